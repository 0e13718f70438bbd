"""Make and read certificates with their keys: authorities, and the server certificates that they sign.

This imports `cryptography`, which takes 10 MB of memory, so only the process that `worker` starts imports it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

BACKDATE: Final = timedelta(hours=1)  # for API servers whose clocks are late, as in client-go
RENEWED_AT: Final = 2 / 3
"""Share of its lifetime after which a certificate is replaced, as in cert-manager and the kubelet."""

Key = ec.EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A certificate and its private key.

    - ``certificate``: the certificate.
    - ``key``: the private key of the certificate's public key.
    """

    certificate: x509.Certificate
    key: Key = field(repr=False)

    @property
    def certificate_pem(self) -> str:
        """Return the certificate in PEM form."""
        return pem_of(self.certificate)

    @property
    def key_pem(self) -> str:
        """Return the key in PEM form, without a password."""
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode("ascii")


def new_authority(now: datetime, lifetime: timedelta) -> Pair:
    """Return a new authority, which signs server certificates and no other authorities."""
    key, number = ec.generate_private_key(ec.SECP256R1()), x509.random_serial_number()
    # each has a name of its own, else a client with two of them in its bundle would try the wrong one first
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"joulecast-webhook-{number:040x}"[:64])])
    builder = _builder(subject, subject, key, now, now + lifetime, number)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(is_authority=True), critical=True)
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    builder = builder.add_extension(identifier, critical=False)
    return Pair(certificate=builder.sign(key, hashes.SHA256()), key=key)


def new_server(authority: Pair, names: Sequence[str], now: datetime, lifetime: timedelta) -> Pair:
    """Return a new server certificate for the DNS ``names``; it expires with ``authority`` at the latest."""
    key, issuer = ec.generate_private_key(ec.SECP256R1()), authority.certificate
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])  # RFC 5280, ub-common-name
    end = min(now + lifetime, issuer.not_valid_after_utc)
    builder = _builder(subject, issuer.subject, key, now, end, x509.random_serial_number())
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage(is_authority=False), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    alternatives = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
    builder = builder.add_extension(alternatives, critical=False)
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key())
    builder = builder.add_extension(identifier, critical=False)
    return Pair(certificate=builder.sign(authority.key, hashes.SHA256()), key=key)


def read_pair(certificate: str, key: str) -> Pair | None:
    """Return a PEM text's first certificate with its key; None if they are unreadable or do not belong together."""
    found = read_all(certificate)
    try:
        loaded = load_pem_private_key(key.encode(), password=None)
    except (TypeError, ValueError):
        return None
    if not found or not isinstance(loaded, Key) or loaded.public_key() != found[0].public_key():
        return None
    return Pair(certificate=found[0], key=loaded)


def read_all(text: str) -> list[x509.Certificate]:
    """Return all certificates of a PEM text; [] if it cannot be read."""
    try:
        return x509.load_pem_x509_certificates(text.encode())
    except ValueError:
        return []


def pem_of(certificate: x509.Certificate) -> str:
    """Return a certificate in PEM form."""
    return certificate.public_bytes(Encoding.PEM).decode("ascii")


def is_valid(certificate: x509.Certificate, now: datetime) -> bool:
    """Tell whether a certificate is valid at ``now``; one of the future is not, which a clock that was wrong leaves."""
    return certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc


def due_at(certificate: x509.Certificate) -> datetime:
    """Return when a certificate should be replaced."""
    begin, end = certificate.not_valid_before_utc + BACKDATE, certificate.not_valid_after_utc
    return begin + (end - begin) * RENEWED_AT


def is_signed_by(certificate: x509.Certificate, authorities: Iterable[x509.Certificate]) -> bool:
    """Tell whether one of ``authorities`` signed a certificate."""
    return any(_is_signed(certificate, authority) for authority in authorities)


def names_of(certificate: x509.Certificate) -> set[str]:
    """Return the DNS names that a server certificate is for."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return set()
    return set(found.get_values_for_type(x509.DNSName))


def _is_signed(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (InvalidSignature, TypeError, ValueError):
        return False
    return True


def _builder(
    subject: x509.Name, issuer: x509.Name, key: Key, now: datetime, end: datetime, number: int
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder(issuer, subject, key.public_key(), number)
    return builder.not_valid_before(now - BACKDATE).not_valid_after(end)


def _usage(*, is_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_authority,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
