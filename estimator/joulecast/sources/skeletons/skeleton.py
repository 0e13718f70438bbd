"""A model without its weights: the wire-level copy of an ONNX ModelProto that drops every large tensor payload.

The copy is made in one forward pass. Any message small enough to hold no large payload is copied as it stands; the
others are entered, and in a TensorProto whose payload exceeds ``PAYLOAD_BYTES`` the payload fields are passed over (a
file or a registry skips them) and ``data_location = EXTERNAL`` is appended with a location that no file has. So name,
dtype and dims stay, and a reader sees an unknown payload, never zeros. Nothing of the file is interpreted beyond field
numbers (onnx.proto, protobuf encoding guide).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from joulecast.errors import ModelFormatError
from joulecast.sources.budget import FetchBudget
from joulecast.sources.skeletons.formats import SNIFFED_BYTES, named_by_suffix, refuse_foreign

if TYPE_CHECKING:
    from joulecast.sources.streams.stream import Bytes

PAYLOAD_BYTES = 4096
"""Payloads up to this stay: 512 int64 values, more than any tensor that steers a shape holds."""
DROPPED_LOCATION = "joulecast:payload-dropped"
"""``external_data`` location of a dropped payload. No reader finds a file of that name, so none takes the payload for
known."""
MAX_DEPTH = 100
"""Nested messages; protobuf's own default limit."""
MAX_VARINT_BYTES = 10
"""Encoding guide: 64 bits in groups of seven."""

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_FIXED_BYTES = MappingProxyType({_FIXED64: 8, _FIXED32: 4})

CHILDREN: Mapping[str, Mapping[int, str]] = MappingProxyType(
    {
        "ModelProto": {7: "GraphProto", 20: "TrainingInfoProto", 25: "FunctionProto"},
        "GraphProto": {1: "NodeProto", 5: "TensorProto", 15: "SparseTensorProto"},
        "NodeProto": {5: "AttributeProto"},
        "FunctionProto": {7: "NodeProto", 11: "AttributeProto"},
        "TrainingInfoProto": {1: "GraphProto", 2: "GraphProto"},
        "SparseTensorProto": {1: "TensorProto", 2: "TensorProto"},
        "TensorProto": {},
        "AttributeProto": {
            5: "TensorProto", 6: "GraphProto", 10: "TensorProto", 11: "GraphProto", 22: "SparseTensorProto", 23:
            "SparseTensorProto",
        },
    }
)  # fmt: skip
"""The messages of onnx.proto on the way to a TensorProto: field number -> message."""
_GRAPH_FIELD = 7
_PAYLOAD_FIELDS = frozenset({4, 5, 6, 7, 9, 10, 11})
"""TensorProto's float_data, int32_data, string_data, int64_data, raw_data, double_data, uint64_data."""
_EXTERNAL_DATA_FIELD = 13
_EXTERNAL = bytes([14 << 3, 1])  # TensorProto.data_location = EXTERNAL


def record(number: int, content: bytes) -> bytes:
    """Encode a field of bytes or of a message."""
    return _encode(number << 3 | _LENGTH) + _encode(len(content)) + content


def _encode(value: int) -> bytes:
    groups = bytearray()
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    groups.append(value)
    return bytes(groups)


_DROPPED = record(_EXTERNAL_DATA_FIELD, record(1, b"location") + record(2, DROPPED_LOCATION.encode()))


def skeleton(
    stream: Bytes, *, name: str, size: int | None = None, limit_bytes: int = FetchBudget().skeleton_bytes
) -> bytes:
    """Copy the ONNX model in ``stream`` without tensor payloads over 4 KiB, as ModelProto bytes.

    ``size``: its bytes, if known.

    At most ``limit_bytes`` are kept in memory. Raises ModelFormatError, its message beginning with ``name``, if the
    stream is not an ONNX model, is truncated, states wrong lengths, nests too deep, or keeps more than that.
    """
    refuse_foreign(stream.peek(SNIFFED_BYTES), name)
    try:
        return _Copier(stream, name, limit_bytes).model(size)
    except ModelFormatError as error:
        foreign = named_by_suffix(name)
        raise error if foreign is None else foreign.error(name) from error


class _Copier:
    def __init__(self, stream: Bytes, name: str, limit_bytes: int) -> None:
        self._stream = stream
        self._name = name
        self._left = limit_bytes
        self._limit = limit_bytes
        self.graphs = 0

    def model(self, size: int | None) -> bytes:
        """Copy the whole stream."""
        copy = self.message("ModelProto", size if size is None else self._stream.position + size, 0)
        if not self.graphs:
            raise self.error("holds no ONNX graph: give the .onnx file itself")
        return bytes(copy)

    def message(self, kind: str, end: int | None, depth: int) -> bytearray:
        """Copy a message that ends at position ``end`` (``None``: at the end of the stream).

        Fields are appended to one array as they come: kept apart, millions of empty ones would cost forty times their
        size.
        """
        if depth > MAX_DEPTH:
            raise self.error(f"nests messages deeper than {MAX_DEPTH}: no runtime would load such a model")
        if kind == "TensorProto":
            return self._tensor(end)
        copy = bytearray()
        children = CHILDREN[kind]
        for number, head, length in self._fields(end):
            copy += head
            if length is None:
                self._spend(len(head))
                continue
            child = children.get(number)
            self.graphs += depth == 0 and number == _GRAPH_FIELD
            if child is None or length <= PAYLOAD_BYTES:
                content: bytes | bytearray = self._keep(length)
            else:
                content = self.message(child, self._stream.position + length, depth + 1)
            copy += _encode(len(content))
            copy += content
        return copy

    def _tensor(self, end: int | None) -> bytearray:
        kept, payload = bytearray(), bytearray()
        payload_bytes, described = 0, False
        for number, head, length in self._fields(end):
            is_payload = number in _PAYLOAD_FIELDS
            described |= number == _EXTERNAL_DATA_FIELD
            payload_bytes += (length if length is not None else len(head)) if is_payload else 0
            if is_payload and payload_bytes > PAYLOAD_BYTES:
                self._drop(length or 0)
                payload.clear()
                continue
            self._spend(len(head))
            content = b"" if length is None else _encode(length) + self._keep(length)
            (payload if is_payload else kept).extend(head + content)
        if payload_bytes > PAYLOAD_BYTES:
            kept += _EXTERNAL if described else _DROPPED + _EXTERNAL
        return kept + payload

    def _fields(self, end: int | None) -> Iterator[tuple[int, bytes, int | None]]:
        """Yield (number, raw tag and scalar value, length of what follows or None for a scalar) of each field."""
        stream = self._stream
        while end is None or stream.position < end:
            tag, raw = self._varint(may_end=end is None)
            if not raw:
                return
            number, wire = tag >> 3, tag & 7
            if number == 0:
                raise self._foreign("a field number of zero")
            if wire == _LENGTH:
                length = self._varint()[0]
                if end is not None and length > end - stream.position:
                    raise self._truncated()
                yield number, raw, length
            else:
                yield number, raw + self._scalar(wire), None
        if end is not None and stream.position > end:
            raise self._truncated()

    def _scalar(self, wire: int) -> bytes:
        if wire == _VARINT:
            value = self._varint()[1]
        elif wire in _FIXED_BYTES:
            value = self._stream.read(_FIXED_BYTES[wire])
            if len(value) < _FIXED_BYTES[wire]:
                raise self._truncated()
        else:
            raise self._foreign("a wire type that ONNX does not use")
        return value

    def _varint(self, *, may_end: bool = False) -> tuple[int, bytes]:
        """Read a varint and its bytes; no bytes if the stream may end here and does."""
        raw = self._stream.read(1)
        if not raw:
            if may_end:
                return 0, b""
            raise self._truncated()
        if raw[0] < 0x80:
            return raw[0], raw
        value, shift = raw[0] & 0x7F, 7
        while raw[-1] & 0x80:
            byte = self._stream.read(1)
            if not byte:
                raise self._truncated()
            raw += byte
            if len(raw) > MAX_VARINT_BYTES:
                raise self._foreign("a number of more than 64 bits")
            value |= (byte[0] & 0x7F) << shift
            shift += 7
        return value, raw

    def _keep(self, length: int) -> bytes:
        self._spend(length)
        content = self._stream.read(length)
        if len(content) < length:
            raise self._truncated()
        return content

    def _drop(self, length: int) -> None:
        if self._stream.skip(length) < length:
            raise self._truncated()

    def _spend(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise self.error(
                f"keeps more than {self._limit:,} bytes without its weights: it is not an ONNX model, or the "
                "skeleton budget must be raised"
            )

    def error(self, problem: str) -> ModelFormatError:
        """Return an error whose message begins with the stream's name."""
        return ModelFormatError(f"{self._name} {problem}")

    def _foreign(self, why: str) -> ModelFormatError:
        return self.error(
            f"is not an ONNX model or is damaged ({why}): give the .onnx file, or copy or export it again"
        )

    def _truncated(self) -> ModelFormatError:
        return self.error(
            "is cut off, or is not an ONNX model (it ends before a length that it states): copy or"
            " download the file again"
        )
