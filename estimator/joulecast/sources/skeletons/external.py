"""Shape constants that lie in a file beside the model: found in its skeleton, and put into it once they were read.

``onnx.save(…, save_as_external_data=True, size_threshold=0)`` moves the target of a Reshape, of some bytes, out of the
model like any weight. Only what can steer a shape is read: small tensors of whole numbers, and a few floats.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from joulecast.sources.skeletons.skeleton import CHILDREN, DROPPED_LOCATION, PAYLOAD_BYTES, record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from joulecast.sources.streams.stream import Bytes

MAX_PIECES = 1024
"""Tensors read from beside one model; a graph of thousands of nodes has some hundreds of shape constants."""

_MAX_FLOATS = 16
"""Elements of a float tensor that may steer a shape: the scales of a Resize, the ends of a Range."""

_WHOLE = MappingProxyType({2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 8, 9: 1, 12: 4, 13: 8})
_FLOATS = MappingProxyType({1: 4, 10: 2, 11: 8})
"""Bytes an element, by TensorProto.DataType (onnx.proto): uint8, int8, uint16, int16, int32, int64, bool, uint32,
uint64; float, float16, double."""

_DIMS, _DATA_TYPE, _RAW_DATA, _EXTERNAL_DATA, _DATA_LOCATION = 1, 2, 9, 13, 14
_INLINE = bytes([_DATA_LOCATION << 3, 0])
_KEY = b"location"  # StringStringEntryProto.key of every external tensor
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_Field = tuple[int, int, bytes]


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Piece:
    """Bytes of a file beside the model.

    - ``location``: the file's path relative to the model's folder.
    """

    location: str
    offset: int
    length: int


Contents = Mapping[Piece, bytes]


def pieces(skeleton: bytes) -> list[Piece]:
    """Return what may steer a shape and lies outside, in the order of its files, at most ``MAX_PIECES``."""
    found: dict[Piece, None] = {}
    _rewritten("ModelProto", skeleton, lambda piece: found.setdefault(piece))
    return sorted(found)[:MAX_PIECES]


def inlined(skeleton: bytes, contents: Contents) -> bytes:
    """Return the skeleton with ``contents`` in the tensors that they belong to."""
    return _rewritten("ModelProto", skeleton, contents.get) if contents else skeleton


def read(stream: Bytes, wanted: Sequence[Piece]) -> dict[Piece, bytes]:
    """Read the pieces of one file in ``stream``, which is read forward; a piece that ends early is left out."""
    found = {}
    for piece in sorted(wanted):
        distance = piece.offset - stream.position
        if distance < 0 or stream.skip(distance) < distance:
            continue
        content = stream.read(piece.length)
        if len(content) == piece.length:
            found[piece] = content
    return found


def _rewritten(kind: str, message: bytes, content_of: Callable[[Piece], bytes | None]) -> bytes:
    """Fill each external tensor of the message by ``content_of``; a malformed message stays as it is."""
    if kind == "TensorProto":
        return _tensor(message, content_of)
    copy = bytearray()
    try:
        for number, wire, content in _fields(message):
            child = CHILDREN[kind].get(number) if wire == _LENGTH else None
            if child is not None and _KEY in content:
                content = _rewritten(child, content, content_of)
            copy += record(number, content) if wire == _LENGTH else content
    except ValueError:
        return message
    return bytes(copy)


def _tensor(message: bytes, content_of: Callable[[Piece], bytes | None]) -> bytes:
    try:
        piece = _piece(list(_fields(message)))
    except (ValueError, UnicodeDecodeError):
        return message
    content = content_of(piece) if piece is not None else None
    return message if content is None else message + record(_RAW_DATA, content) + _INLINE


def _piece(fields: Sequence[_Field]) -> Piece | None:
    """Return where the tensor's content lies, if it lies outside and may steer a shape."""
    entries = dict(_entry(content) for number, wire, content in fields if (number, wire) == (_EXTERNAL_DATA, _LENGTH))
    numel = math.prod(_dims(fields))
    types = [_number(content) for number, wire, content in fields if (number, wire) == (_DATA_TYPE, _VARINT)]
    length = numel * _itemsize(types[-1] if types else 0, numel)
    location = entries.get("location", "")
    if not 0 < length <= PAYLOAD_BYTES or not _is_beside(location):
        return None
    offset, said = int(entries.get("offset") or 0), int(entries.get("length") or length)
    return Piece(location=location, offset=offset, length=length) if offset >= 0 and said == length else None


def _is_beside(location: str) -> bool:
    """Decide whether the path stays within the model's folder, as onnx demands."""
    parts = location.split("/")
    is_inside = not location.startswith("/") and ".." not in parts and "\\" not in location and "\0" not in location
    return bool(location) and location != DROPPED_LOCATION and is_inside


def _itemsize(data_type: int, numel: int) -> int:
    return _WHOLE.get(data_type) or (_FLOATS.get(data_type, 0) if numel <= _MAX_FLOATS else 0)


def _dims(fields: Sequence[_Field]) -> Iterator[int]:
    for number, wire, content in fields:
        if number == _DIMS and wire == _VARINT:
            yield _number(content)
        elif number == _DIMS and wire == _LENGTH:  # packed
            position = 0
            while position < len(content):
                value, position = _varint(content, position)
                yield value


def _entry(message: bytes) -> tuple[str, str]:
    texts = {number: content.decode() for number, wire, content in _fields(message) if wire == _LENGTH}
    return texts.get(1, ""), texts.get(2, "")


def _number(scalar: bytes) -> int:
    """Decode a varint field, tag included."""
    _, start = _varint(scalar, 0)
    return _varint(scalar, start)[0]


def _fields(message: bytes) -> Iterator[_Field]:
    """Yield (number, wire type, content) of each field; a scalar's content is the whole field, tag included.

    Raises ValueError where the message is malformed.
    """
    position = 0
    while position < len(message):
        start = position
        tag, position = _varint(message, position)
        number, wire = tag >> 3, tag & 7
        if wire == _LENGTH:
            length, position = _varint(message, position)
            start, position = position, position + length
        elif wire == _VARINT:
            position = _varint(message, position)[1]
        elif wire in (_FIXED64, _FIXED32):
            position += 8 if wire == _FIXED64 else 4
        else:
            raise ValueError(f"wire type {wire}")
        if position > len(message):
            raise ValueError("truncated")
        yield number, wire, message[start:position]


def _varint(message: bytes, position: int) -> tuple[int, int]:
    value, shift = 0, 0
    while shift < 70:
        if position >= len(message):
            raise ValueError("truncated")
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
    raise ValueError("a number of more than 64 bits")
