"""Untrusted text (names in models, paths in images, annotations) made safe to show: escaped, and not too long."""

from __future__ import annotations

from typing import Final

_SHORT: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_ELLIPSIS: Final = "…"


def printable(text: str) -> str:
    """Escape the characters of ``text`` that a terminal interprets or hides: controls, line ends, direction marks.

    A backslash stays as it is, so that escaping twice changes nothing.
    """
    return text if text.isprintable() else "".join(map(_shown, text))


def bounded(text: str, characters: int) -> str:
    """Escape ``text`` and cut it to at most ``characters``, with an ellipsis where something is left out."""
    shown = printable(text[: characters + 1])
    return shown if len(shown) <= characters else shown[: characters - len(_ELLIPSIS)] + _ELLIPSIS


def _shown(character: str) -> str:
    if character.isprintable():
        return character
    code = ord(character)
    if character in _SHORT:
        return _SHORT[character]
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
