"""The header of a GGUF file: metadata and tensor descriptions, read forward and never further (ggml, docs/gguf.md).

Arrays of more than ``KEPT_ELEMENTS`` elements, vocabularies above all, are passed over and leave their length. Nothing
that the file states is believed before it was read: a forged count ends with the file or with a limit.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from joulecast.errors import ModelFormatError

if TYPE_CHECKING:
    from joulecast.sources.streams.stream import Bytes

FORMAT = "gguf"
"""``FetchedModel.format`` of a GGUF file; its skeleton is what ``GgufFacts.document`` returns."""
MAGIC = b"GGUF"
VERSIONS = (2, 3)
"""Version 1 had lengths of 32 bits and was in use for two weeks in August 2023."""
MAX_HEADER_BYTES = 64 << 20
"""A vocabulary of a quarter of a million words with merges takes about 12 MB."""
KEPT_ELEMENTS = 1024
"""More than the layers of any model, for whose sake lists a layer are kept."""
_MAX_ENTRIES = 100_000  # metadata keys, or tensors; DeepSeek V3 has about 1,100 tensors
_MAX_STRINGS = 2_000_000
"""In all arrays that are passed over: five times the words and merges of the largest vocabularies."""
_MAX_NAME_BYTES = 65_535  # of a metadata key; of a tensor 64
_MAX_KEPT_STRING_BYTES = 4096
_MAX_DIMENSIONS = 4  # GGML_MAX_DIMS
_STRING, _ARRAY = 8, 9
_CODES = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_SCALARS: Mapping[int, struct.Struct] = {kind: struct.Struct(f"<{code}") for kind, code in _CODES.items()}
"""gguf_metadata_value_type."""
_U32, _U64 = struct.Struct("<I"), struct.Struct("<Q")
_READ_BYTES = 1 << 16  # of a run of strings that is passed over


@dataclass(frozen=True, slots=True, kw_only=True)
class GgufTensor:
    """A tensor as the header describes it. ``kind``: its ``ggml_type``; ``shape``: the fastest dimension first."""

    kind: int
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GgufFacts:
    """The header of a GGUF file, or of all files of a model in parts.

    - ``metadata``: by key; without arrays of more than ``KEPT_ELEMENTS`` elements.
    - ``lengths``: elements of every array, kept or not.
    - ``tensors``: by name.
    """

    version: int
    metadata: Mapping[str, Any] = field(default_factory=dict)
    lengths: Mapping[str, int] = field(default_factory=dict)
    tensors: Mapping[str, GgufTensor] = field(default_factory=dict)

    def document(self) -> bytes:
        """Return the facts as JSON: keys sorted, no blanks, so that equal facts give equal bytes."""
        document = {
            "version": self.version,
            "metadata": self.metadata,
            "lengths": self.lengths,
            "tensors": {name: [tensor.kind, tensor.shape] for name, tensor in self.tensors.items()},
        }
        return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def read_document(content: bytes) -> GgufFacts:
    """Return the facts that ``document`` wrote. Raises ModelFormatError if ``content`` is not such a document."""
    try:
        document = json.loads(content)
        tensors = {
            str(name): GgufTensor(kind=int(kind), shape=tuple(map(int, shape)))
            for name, (kind, shape) in document.pop("tensors").items()
        }
        return GgufFacts(tensors=tensors, **document)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ModelFormatError("the stored header of the GGUF file cannot be read: fetch the model again") from error


def read_header(stream: Bytes, name: str) -> GgufFacts:
    """Read the header at the start of ``stream``. Raises ModelFormatError, beginning with ``name``."""
    return _Header(stream, name).facts()


def joined(parts: list[GgufFacts]) -> GgufFacts:
    """Return the facts of a model in several files: the metadata of the first, the tensors of all."""
    tensors = {name: tensor for part in parts for name, tensor in part.tensors.items()}
    first = parts[0]
    return GgufFacts(version=first.version, metadata=first.metadata, lengths=first.lengths, tensors=tensors)


class _Header:
    def __init__(self, stream: Bytes, name: str) -> None:
        self._stream = stream
        self._name = name
        self._end = stream.position + MAX_HEADER_BYTES
        self._metadata: dict[str, Any] = {}
        self._lengths: dict[str, int] = {}
        self._strings_left = _MAX_STRINGS

    def facts(self) -> GgufFacts:
        if self._take(len(MAGIC)) != MAGIC:
            raise self._error("is not a GGUF file")
        version = self._u32()
        if version not in VERSIONS:
            raise self._error(
                f"is GGUF of version {version}, and versions {VERSIONS[0]} and {VERSIONS[1]} with the least byte first"
                " are read: convert the model again"
            )
        tensors, entries = self._count("tensors"), self._count("metadata keys")
        for _ in range(entries):
            self._entry()
        described = dict(self._tensor() for _ in range(tensors))
        return GgufFacts(version=version, metadata=self._metadata, lengths=self._lengths, tensors=described)

    def _entry(self) -> None:
        key = self._text(_MAX_NAME_BYTES)
        kind = self._u32()
        if kind == _ARRAY:
            self._array(key)
        elif kind == _STRING:
            length = self._u64()
            if length <= _MAX_KEPT_STRING_BYTES:
                self._metadata[key] = self._decoded(length)
            else:  # a chat template
                self._skip(length)
        else:
            self._metadata[key] = self._scalars(kind, 1)[0]

    def _array(self, key: str) -> None:
        kind, length = self._u32(), self._u64()
        self._lengths[key] = length
        is_kept = length <= KEPT_ELEMENTS
        if kind == _STRING:
            words = self._strings(length, is_kept=is_kept)
        elif not is_kept:
            self._skip(length * self._scalar(kind).size)
            return
        else:
            words = self._scalars(kind, length)
        if is_kept:
            self._metadata[key] = words

    def _strings(self, count: int, *, is_kept: bool) -> list[str]:
        if is_kept:
            return [self._text(_MAX_KEPT_STRING_BYTES) for _ in range(count)]
        self._strings_left -= count
        if self._strings_left < 0:
            raise self._error(f"states {count:,} strings in an array, more than any vocabulary has: it is damaged")
        left = count
        while left:
            left -= self._pass_strings(left)
        return []

    def _pass_strings(self, count: int) -> int:
        """Pass over the strings that lie wholly in the next bytes; at least one. Return how many there were."""
        window = self._stream.peek(_READ_BYTES)
        passed = at = 0
        while passed < count and at + _U64.size <= len(window):
            end = at + _U64.size + int.from_bytes(window[at : at + _U64.size], "little")
            if end > len(window):
                break
            passed, at = passed + 1, end
        self._skip(at)
        if not passed:  # longer than a window, or the end
            self._skip(self._u64())
            return 1
        return passed

    def _tensor(self) -> tuple[str, GgufTensor]:
        name = self._text(_MAX_NAME_BYTES)
        dimensions = self._u32()
        if dimensions > _MAX_DIMENSIONS:
            raise self._error(f"describes a tensor of {dimensions} dimensions: it is damaged")
        shape = tuple(self._u64() for _ in range(dimensions))
        kind = self._u32()
        self._u64()  # where its data begins
        return name, GgufTensor(kind=kind, shape=shape)

    def _count(self, what: str) -> int:
        count = self._u64()
        if count > _MAX_ENTRIES:
            raise self._error(f"states {count:,} {what}, more than any model has: it is damaged")
        return count

    def _scalars(self, kind: int, count: int) -> list[Any]:
        scalar = self._scalar(kind)
        content = self._take(scalar.size * count)
        return [value for (value,) in scalar.iter_unpack(content)]

    def _scalar(self, kind: int) -> struct.Struct:
        if kind not in _SCALARS:
            raise self._error(f"has a metadata value of unknown type {kind}: it is damaged, or newer than joulecast")
        return _SCALARS[kind]

    def _text(self, limit_bytes: int) -> str:
        length = self._u64()
        if length > limit_bytes:
            raise self._error(f"has a name of {length:,} bytes: it is damaged")
        return self._decoded(length)

    def _decoded(self, length: int) -> str:
        return self._take(length).decode("utf-8", "replace")

    def _u32(self) -> int:
        return int(_U32.unpack(self._take(_U32.size))[0])

    def _u64(self) -> int:
        return int(_U64.unpack(self._take(_U64.size))[0])

    def _take(self, size: int) -> bytes:
        self._check(size)
        content = self._stream.read(size)
        if len(content) < size:
            raise self._truncated()
        return content

    def _skip(self, size: int) -> None:
        self._check(size)
        if self._stream.skip(size) < size:
            raise self._truncated()

    def _check(self, size: int) -> None:
        if size > self._end - self._stream.position:
            raise self._error(f"has a header of more than {MAX_HEADER_BYTES:,} bytes, more than any model has")

    def _truncated(self) -> ModelFormatError:
        return self._error("ends within its header: copy or download the file again")

    def _error(self, problem: str) -> ModelFormatError:
        return ModelFormatError(f"{self._name} {problem}")
