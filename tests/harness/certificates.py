"""A certificate authority of our own, for loopback."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

VALIDITY = timedelta(days=30)  # longer than any kept demo
BACKDATE = timedelta(minutes=5)  # for a clock that steps back


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPair:
    """The PEM files of a private key and its certificate."""

    certificate: Path
    key: Path


class CertificateAuthority:
    """Signs server and client certificates; everything lies as PEM files in one directory."""

    def __init__(self, directory: Path, name: str) -> None:
        """Make the authority `name` in `directory`: NAME.crt and NAME.key."""
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = _builder(self._subject, self._subject, self._key.public_key())
        certificate = certificate.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        certificate = certificate.add_extension(_key_usage(signs_certificates=True), critical=True)
        self._identifier = x509.SubjectKeyIdentifier.from_public_key(self._key.public_key())
        certificate = certificate.add_extension(self._identifier, critical=False)
        self.files = _write(directory, name, certificate.sign(self._key, hashes.SHA256()), self._key)

    @property
    def bundle(self) -> Path:
        """The certificate that clients trust."""
        return self.files.certificate

    def server(self, name: str, hosts: tuple[str, ...] = ("localhost", "127.0.0.1")) -> KeyPair:
        """A server certificate for `hosts` (DNS names and IP addresses): NAME.crt and NAME.key."""
        return self._issue(name, name, None, ExtendedKeyUsageOID.SERVER_AUTH, hosts)

    def client(self, name: str, *, user: str, group: str | None = None) -> KeyPair:
        """A client certificate; Kubernetes reads the common name as the user, the organisation as a group."""
        return self._issue(name, user, group, ExtendedKeyUsageOID.CLIENT_AUTH, ())

    def _issue(
        self,
        name: str,
        common_name: str,
        organisation: str | None,
        usage: x509.ObjectIdentifier,
        hosts: tuple[str, ...],
    ) -> KeyPair:
        key = ec.generate_private_key(ec.SECP256R1())
        attributes = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
        if organisation:
            attributes.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation))
        certificate = _builder(x509.Name(attributes), self._subject, key.public_key())
        certificate = certificate.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        certificate = certificate.add_extension(_key_usage(signs_certificates=False), critical=True)
        certificate = certificate.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(self._identifier)
        certificate = certificate.add_extension(issuer, critical=False)
        if hosts:
            names = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
            certificate = certificate.add_extension(names, critical=False)
        return _write(self._directory, name, certificate.sign(self._key, hashes.SHA256()), key)


def write_signing_key(directory: Path, name: str) -> KeyPair:
    """A key without a certificate, as for ServiceAccount tokens: NAME.key, and its public half in NAME.pub."""
    key = ec.generate_private_key(ec.SECP256R1())
    files = KeyPair(certificate=directory / f"{name}.pub", key=directory / f"{name}.key")
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    files.certificate.write_bytes(public)
    _write_key(files.key, key)
    return files


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATE)
        .not_valid_after(now + VALIDITY)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _write(directory: Path, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> KeyPair:
    files = KeyPair(certificate=directory / f"{name}.crt", key=directory / f"{name}.key")
    files.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    _write_key(files.key, key)
    return files


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    path.touch(mode=0o600)
    # RFC 5915, "EC PRIVATE KEY": the form that all Go programs here read
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
    )
