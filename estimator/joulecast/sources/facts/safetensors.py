"""The header of a safetensors file: eight bytes of length, then a JSON object (safetensors, "Format")."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from joulecast.errors import ModelFormatError
from joulecast.sources.facts.json_files import parsed_object
from joulecast.sources.facts.model_facts import StoredTensor

if TYPE_CHECKING:
    from joulecast.sources.facts.folder import ModelFile

MAX_HEADER_BYTES = 100_000_000  # of the safetensors library: a longer header is refused by it too
FIRST_BYTES = 8 << 10
"""What the first request takes: the header of a file of some seventy tensors, as those of large models are."""
_LENGTH = struct.Struct("<Q")
_MAX_DIMENSIONS = 64
_MAX_SIZE = 1 << 63


def header(file: ModelFile, name: str, limit_bytes: int) -> bytes | None:
    """Read the JSON of a file's header; None if it is longer than ``limit_bytes``.

    Raises ModelFormatError, beginning with ``name``, if the file is shorter than it says or its length is impossible.
    """
    head = _read(file, 0, min(FIRST_BYTES, limit_bytes + _LENGTH.size), name, at_least=_LENGTH.size)
    (length,) = _LENGTH.unpack(head[: _LENGTH.size])
    if length > MAX_HEADER_BYTES or (file.size is not None and length > file.size - _LENGTH.size):
        raise ModelFormatError(
            f"{name} states a header of {length:,} bytes, more than the file or the format allows: it is not a"
            " safetensors file, or is damaged"
        )
    if length > limit_bytes:
        return None
    content = head[_LENGTH.size : _LENGTH.size + length]
    return content + _read(file, _LENGTH.size + len(content), length - len(content), name)


def tensors(content: bytes, name: str) -> dict[str, StoredTensor]:
    """Return the tensors that a header describes. Raises ModelFormatError, beginning with ``name``."""
    entries = parsed_object(content, f"{name}, header")
    return {key: _tensor(entry, key, name) for key, entry in entries.items() if key != "__metadata__"}


def _tensor(entry: Any, key: str, name: str) -> StoredTensor:
    shape = entry.get("shape") if isinstance(entry, dict) else None
    dtype = entry.get("dtype") if isinstance(entry, dict) else None
    if not isinstance(dtype, str) or not isinstance(shape, list) or not _is_shape(shape):
        raise ModelFormatError(f"{name} describes the tensor {key[:80]!r} without dtype and shape: it is damaged")
    return StoredTensor(dtype=dtype, shape=tuple(shape))


def _is_shape(shape: list[Any]) -> bool:
    is_whole = all(isinstance(size, int) and not isinstance(size, bool) and 0 <= size < _MAX_SIZE for size in shape)
    return is_whole and len(shape) <= _MAX_DIMENSIONS


def _read(file: ModelFile, offset: int, length: int, name: str, *, at_least: int | None = None) -> bytes:
    """Read ``length`` bytes, or what there is of them if that is ``at_least``."""
    content = b""
    while len(content) < length:
        piece = file.read(offset + len(content), length - len(content))
        if not piece:
            break
        content += piece
    if len(content) < (length if at_least is None else at_least):
        raise ModelFormatError(f"{name} ends within its header: copy or download the file again")
    return content
