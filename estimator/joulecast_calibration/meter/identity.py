"""The name under which a card's measurements are kept: the same in every later run, yet not its serial number."""

from __future__ import annotations

import hashlib
from functools import cache

_SALT = b"joulecast: which card measured this"  # public and fixed, so that one card has one name everywhere
_ROUNDS = 600_000  # PBKDF2-HMAC-SHA256 (OWASP Password Storage Cheat Sheet)
_DIGITS = 16  # 64 bits: two of 10,000 cards share a name with a probability of 3e-12


@cache
def card_name(uuid: str) -> str:
    """``card-`` and a slow hash of a device's UUID, which it does not reveal to who does not have it already."""
    digest = hashlib.pbkdf2_hmac("sha256", uuid.encode(), _SALT, _ROUNDS)
    return f"card-{digest.hex()[:_DIGITS]}"
