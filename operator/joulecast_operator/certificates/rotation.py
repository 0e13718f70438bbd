"""Decide what the Secret of the webhook's certificate should hold next: a function of its content and the time.

An authority is replaced in two steps, so that a server certificate is never served before the API server trusts it:

1. The new authority is put beside the old one. The old one signs once more, and its key is forgotten.
2. When the API server trusts the new one, it signs the server certificate. The old one stays trusted until it expires,
   for replicas that have not yet read the new certificate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final, Literal

from cryptography import x509

from joulecast_operator.certificates import pairs
from joulecast_operator.certificates.pairs import Pair

AUTHORITIES: Final = "ca.crt"
AUTHORITY_KEY: Final = "ca.key"
CERTIFICATE: Final = "tls.crt"
CERTIFICATE_KEY: Final = "tls.key"
"""Keys of the Secret: authorities to trust, the signing one first; its private key; the server certificate; its key."""

Reason = Literal["CertificateMade", "CertificateRenewed", "AuthorityAnnounced", "AuthorityReplaced", "AuthorityExpired"]
"""What was changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How certificates are made.

    - ``names``: DNS names of the server.
    - ``certificate``: lifetime of a server certificate.
    - ``authority``: lifetime of an authority.
    """

    names: tuple[str, ...]
    certificate: timedelta
    authority: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What the Secret should hold.

    - ``data``: values of the Secret's keys as text.
    - ``reason``: why that differs from what it holds now; None if it does not.
    - ``due``: when something changes next, if nobody else changes it.
    - ``expires``: when the server certificate expires.
    """

    data: Mapping[str, str] = field(repr=False)
    reason: Reason | None
    due: datetime
    expires: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class _Material:
    """The content of a Secret that can be used: the signing authority, older ones, and the server certificate."""

    authority: Pair
    older: tuple[x509.Certificate, ...]
    server: Pair

    @property
    def authorities(self) -> tuple[x509.Certificate, ...]:
        return (self.authority.certificate, *self.older)

    @property
    def is_announcing(self) -> bool:
        """Tell whether the server certificate is still one of an older authority."""
        return not pairs.is_signed_by(self.server.certificate, [self.authority.certificate])


def decide(data: Mapping[str, str], trusted: str, rules: Rules, now: datetime) -> Decision:
    """Return what a Secret that holds ``data`` should hold at ``now``.

    ``trusted``: the authorities that every API server trusts already, in PEM form.
    """
    found = _read(data)
    material, reason = _next(found, trusted, rules, now)
    return Decision(
        data=_written(material),
        reason=reason,
        due=min(_dates(material)),
        expires=material.server.certificate.not_valid_after_utc,
    )


def _next(
    found: tuple[Pair | None, Sequence[x509.Certificate], Pair | None],
    trusted: str,
    rules: Rules,
    now: datetime,
) -> tuple[_Material, Reason | None]:
    authority, older, server = found
    if authority is None or not pairs.is_valid(authority.certificate, now):
        return _made(rules, now), "CertificateMade"
    kept = tuple(each for each in older if pairs.is_valid(each, now))
    if server is None or not _is_usable(server, (authority.certificate, *kept), rules, now):
        server = pairs.new_server(authority, rules.names, now, rules.certificate)
        return _Material(authority=authority, older=kept, server=server), "CertificateMade"
    material = _Material(authority=authority, older=kept, server=server)
    changed, reason = _rotated(material, trusted, rules, now)
    return changed, reason or ("AuthorityExpired" if len(kept) < len(older) else None)


def _made(rules: Rules, now: datetime) -> _Material:
    """Return everything new. What was trusted before is not, because it may have been taken away on purpose."""
    authority = pairs.new_authority(now, rules.authority)
    server = pairs.new_server(authority, rules.names, now, rules.certificate)
    return _Material(authority=authority, older=(), server=server)


def _rotated(material: _Material, trusted: str, rules: Rules, now: datetime) -> tuple[_Material, Reason | None]:
    """Take the next step in replacing what is usable but due."""
    authority = material.authority
    if material.is_announcing:
        if authority.certificate not in pairs.read_all(trusted):
            return material, None
        server = pairs.new_server(authority, rules.names, now, rules.certificate)
        return replace(material, server=server), "AuthorityReplaced"
    if now >= pairs.due_at(authority.certificate):
        new = pairs.new_authority(now, rules.authority)
        last = pairs.new_server(authority, rules.names, now, rules.certificate)
        return _Material(authority=new, older=material.authorities, server=last), "AuthorityAnnounced"
    if now >= pairs.due_at(material.server.certificate):
        server = pairs.new_server(authority, rules.names, now, rules.certificate)
        return replace(material, server=server), "CertificateRenewed"
    return material, None


def _dates(material: _Material) -> list[datetime]:
    """Return when each certificate needs something to be done; an announced authority waits for the API server."""
    dates = [each.not_valid_after_utc for each in (material.server.certificate, *material.authorities)]
    if not material.is_announcing:
        dates += [pairs.due_at(each) for each in (material.server.certificate, material.authority.certificate)]
    return dates


def _is_usable(server: Pair, authorities: Sequence[x509.Certificate], rules: Rules, now: datetime) -> bool:
    certificate = server.certificate
    is_ours = pairs.is_signed_by(certificate, authorities) and pairs.names_of(certificate) == set(rules.names)
    return is_ours and pairs.is_valid(certificate, now)


def _read(data: Mapping[str, str]) -> tuple[Pair | None, Sequence[x509.Certificate], Pair | None]:
    bundle = data.get(AUTHORITIES, "")
    authority = pairs.read_pair(bundle, data.get(AUTHORITY_KEY, ""))
    server = pairs.read_pair(data.get(CERTIFICATE, ""), data.get(CERTIFICATE_KEY, ""))
    return authority, pairs.read_all(bundle)[1:], server


def _written(material: _Material) -> dict[str, str]:
    return {
        AUTHORITIES: "".join(pairs.pem_of(each) for each in material.authorities),
        AUTHORITY_KEY: material.authority.key_pem,
        CERTIFICATE: material.server.certificate_pem,
        CERTIFICATE_KEY: material.server.key_pem,
    }
