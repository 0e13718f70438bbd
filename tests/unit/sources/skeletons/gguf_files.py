"""Small GGUF files, written as docs/gguf.md of ggml says."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

_CODES = {"B": 0, "b": 1, "H": 2, "h": 3, "I": 4, "i": 5, "f": 6, "?": 7, "Q": 10, "q": 11, "d": 12}


def gguf_file(
    metadata: Mapping[str, object], tensors: Sequence[tuple[str, tuple[int, ...], int]] = (), *, version: int = 3
) -> bytes:
    """Return a header; ``tensors``: name, shape (outermost first), ggml type. Integers are written as uint32."""
    parts = [b"GGUF", struct.pack("<IQQ", version, len(tensors), len(metadata))]
    for key, value in metadata.items():
        parts += [string(key), typed(value)]
    offset = 0
    for name, shape, kind in tensors:
        sizes = tuple(reversed(shape))
        parts += [string(name), struct.pack(f"<I{len(sizes)}QIQ", len(sizes), *sizes, kind, offset)]
    return b"".join(parts)


def string(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def typed(value: object) -> bytes:
    """Return a value with its type before it."""
    if isinstance(value, list):
        return struct.pack("<I", 9) + array(value)
    code, data = _scalar(value)
    return struct.pack("<I", code) + data


def array(values: list) -> bytes:
    """Return the type of the elements, their count and them."""
    if values and isinstance(values[0], list):
        return struct.pack("<IQ", 9, len(values)) + b"".join(map(array, values))
    found = [_scalar(value) for value in values]
    return struct.pack("<IQ", found[0][0] if found else 4, len(values)) + b"".join(data for _, data in found)


def _scalar(value: object) -> tuple[int, bytes]:
    if isinstance(value, str):
        return 8, string(value)
    letter = "?" if isinstance(value, bool) else "I" if isinstance(value, int) else "f"
    return _CODES[letter], struct.pack(f"<{letter}", value)
