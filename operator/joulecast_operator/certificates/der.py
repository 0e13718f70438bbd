"""Read when a certificate expires, which `ssl` does not tell, from its DER form (X.690, RFC 5280 section 4.1)."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

_VERSION_TAG: Final = 0xA0
_FORMATS: Final = {0x17: "%y%m%d%H%M%SZ", 0x18: "%Y%m%d%H%M%SZ"}  # UTCTime and GeneralizedTime
_VALIDITY: Final = 3  # position of the field: after serial number, signature algorithm and issuer


def not_after(certificate: bytes) -> datetime:
    """Return when a certificate expires. Raises ValueError for bytes that are not a certificate."""
    try:
        ((_, whole),) = _parts(certificate)
        _, signed = next(_parts(whole))
        fields = [content for tag, content in _parts(signed) if tag != _VERSION_TAG]
        _, (tag, text) = _parts(fields[_VALIDITY])
        return datetime.strptime(text.decode("ascii"), _FORMATS[tag]).replace(tzinfo=UTC)
    except (IndexError, KeyError, StopIteration, ValueError) as error:
        raise ValueError("the certificate has no readable expiry date: is it a certificate in PEM form?") from error


def not_after_of_pem(text: str) -> datetime:
    """Return when the first certificate of a PEM text expires: a server's own, which those of its issuers follow.

    Raises ValueError for a text without one.
    """
    begin = text.index(ssl.PEM_HEADER)
    own = text[begin : text.index(ssl.PEM_FOOTER, begin) + len(ssl.PEM_FOOTER)]
    return not_after(ssl.PEM_cert_to_DER_cert(own))


def _parts(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield tag and content of each element."""
    position = 0
    while position < len(content):
        tag, length, position = content[position], content[position + 1], position + 2
        if length & 0x80:  # the other bits say how many bytes the length has
            following = length & 0x7F
            length = int.from_bytes(content[position : position + following], "big")
            position += following
        yield tag, content[position : position + length]
        position += length
