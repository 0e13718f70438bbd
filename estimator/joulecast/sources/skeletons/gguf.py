"""The header of a GGUF file: its metadata and the names, shapes and types of its tensors, never their content.

The header is read forward once. Strings that are kept are short, arrays of strings (a tokenizer's words) are passed
over, and every count is checked against the bytes that it would take, so that a forged one costs nothing. Layout:
ggml, docs/gguf.md, versions 2 and 3.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from joulecast.errors import ModelFormatError

if TYPE_CHECKING:
    from joulecast.sources.streams.stream import Bytes

MAGIC = b"GGUF"
VERSIONS = (2, 3)
"""Version 1 counted in 32 bits and is not written since 2023."""

HEADER_BYTES = 128 * 2**20
"""Beyond any header: a vocabulary of 262,144 words with scores and types takes 8 MB."""
KEPT_STRING_BYTES = 1024
"""Of a string that is kept: names of architectures and tensors; a chat template is longer and is passed over."""
KEPT_NUMBERS = 4096
"""Of an array of numbers that is kept: one a layer; a vocabulary's scores are more and are passed over."""
TENSORS = 1_000_000
"""Twenty times the tensors of the largest model published in experts of their own (DeepSeek V3, 46,000)."""
_KEYS = 100_000
_DIMENSIONS = 4  # GGML_MAX_DIMS
_DEPTH = 4  # of arrays in arrays

_FORMATS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
"""Struct formats of scalar values by their type's number."""
_STRING, _ARRAY = 8, 9

Value = int | float | bool | str | tuple[int | float | bool, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GgufTensor:
    """``shape``: outermost dimension first (the file has them innermost first). ``type``: the number of a ggml type."""

    name: str
    shape: tuple[int, ...]
    type: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GgufHeader:
    """What the header says.

    - ``metadata``: scalars, short strings and short arrays of numbers, by key.
    - ``lengths``: how many elements each array has, by key, whether it was kept or not.
    """

    version: int
    metadata: Mapping[str, Value]
    lengths: Mapping[str, int]
    tensors: tuple[GgufTensor, ...]


def read_gguf_header(stream: Bytes, *, name: str, limit_bytes: int = HEADER_BYTES) -> GgufHeader:
    """Read the header of the GGUF file in ``stream``, which is called ``name`` in errors.

    Raises ModelFormatError for what is not GGUF of a known version, ends early, or states counts beyond all bounds.
    """
    return _Walk(stream, name, limit_bytes).header()


class _Walk:
    """A forward walk within a budget of bytes."""

    def __init__(self, stream: Bytes, name: str, limit_bytes: int) -> None:
        self._stream = stream
        self._name = name
        self._limit = limit_bytes
        self._left = limit_bytes

    def header(self) -> GgufHeader:
        version = self._version()
        tensors, keys = self._count("tensors", TENSORS), self._count("metadata keys", _KEYS)
        metadata: dict[str, Value] = {}
        lengths: dict[str, int] = {}
        for _ in range(keys):
            key = self._kept_string("a metadata key")
            if key in metadata or key in lengths:
                raise self._error(f"states {key[:60]!r} twice")
            self._value(key, metadata, lengths)
        return GgufHeader(version=version, metadata=metadata, lengths=lengths, tensors=tuple(self._tensors(tensors)))

    def _version(self) -> int:
        if self._read(4) != MAGIC:
            raise ModelFormatError(f"{self._name} does not begin with GGUF: give a GGUF file")
        version = self._number("<I")
        if version in VERSIONS:
            return int(version)
        if int.from_bytes(int(version).to_bytes(4, "big"), "little") in VERSIONS:
            raise self._error("is big-endian, which no GPU's host is", "convert it to little-endian")
        raise self._error(f"is of GGUF version {version}, and versions 2 and 3 can be read", "convert the model again")

    def _value(self, key: str, metadata: dict[str, Value], lengths: dict[str, int]) -> None:
        kind = self._number("<I")
        if kind == _STRING:
            text = self._string()
            if text is not None:
                metadata[key] = text
        elif kind == _ARRAY:
            kept, lengths[key] = self._array(key, depth=1)
            if kept is not None:
                metadata[key] = kept
        else:
            metadata[key] = self._number(self._format(kind, key))

    def _array(self, key: str, depth: int) -> tuple[tuple[Any, ...] | None, int]:
        """Return the numbers of a short array, else None, and its length."""
        if depth > _DEPTH:
            raise self._error(f"nests arrays in {key[:60]!r} deeper than {_DEPTH}")
        kind, count = self._number("<I"), int(self._number("<Q"))
        if kind in (_STRING, _ARRAY):
            self._affordable(count, 8, key)
            for _ in range(count):
                self._skip(int(self._number("<Q"))) if kind == _STRING else self._array(key, depth + 1)
            return None, count
        form = self._format(kind, key)
        size = struct.calcsize(form)
        self._affordable(count, size, key)
        if count > KEPT_NUMBERS:
            self._skip(count * size)
            return None, count
        return struct.unpack(f"<{count}{form[1]}", self._read(count * size)), count

    def _tensors(self, count: int) -> Iterator[GgufTensor]:
        seen: set[str] = set()
        for _ in range(count):
            name = self._kept_string("a tensor's name")
            if name in seen:
                raise self._error(f"has two tensors named {name[:60]!r}")
            seen.add(name)
            dimensions = int(self._number("<I"))
            if dimensions > _DIMENSIONS:
                raise self._error(f"gives tensor {name[:60]!r} {dimensions} dimensions, more than {_DIMENSIONS}")
            sizes = struct.unpack(f"<{dimensions}Q", self._read(8 * dimensions))
            kind = int(self._number("<I"))
            self._skip(8)  # where its content begins
            yield GgufTensor(name=name, shape=tuple(reversed(sizes)), type=kind)

    def _count(self, what: str, most: int) -> int:
        count = int(self._number("<Q"))
        if count > most:
            raise self._error(f"states {count} {what}, more than {most}")
        return count

    def _format(self, kind: int | float, key: str) -> str:
        form = _FORMATS.get(int(kind))
        if form is None:
            raise self._error(f"gives {key[:60]!r} a value of type {kind}, which GGUF does not have")
        return form

    def _affordable(self, count: int, size: int, key: str) -> None:
        if count * size > self._left:
            raise self._error(f"gives {key[:60]!r} {count} elements, more than a header of {self._limit} bytes holds")

    def _kept_string(self, what: str) -> str:
        text = self._string()
        if text is None:
            raise self._error(f"has {what} of more than {KEPT_STRING_BYTES} bytes")
        return text

    def _string(self) -> str | None:
        """Return a short string; pass over a long one and return None."""
        size = int(self._number("<Q"))
        if size > KEPT_STRING_BYTES:
            self._skip(size)
            return None
        return self._read(size).decode("utf-8", errors="replace")

    def _number(self, form: str) -> Any:
        return struct.unpack(form, self._read(struct.calcsize(form)))[0]

    def _read(self, size: int) -> bytes:
        self._spend(size)
        found = self._stream.read(size)
        if len(found) < size:
            raise self._ended()
        return found

    def _skip(self, size: int) -> None:
        self._spend(size)
        if self._stream.skip(size) < size:
            raise self._ended()

    def _spend(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise self._error(f"has a header of more than {self._limit} bytes")

    def _ended(self) -> ModelFormatError:
        return self._error("ends within its header", "copy or download it again")

    def _error(self, problem: str, way_out: str = "it is damaged: copy or download it again") -> ModelFormatError:
        return ModelFormatError(f"{self._name} {problem}; {way_out}")
