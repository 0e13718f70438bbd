"""gzip and zstd layers as streams: bounded output a step, many members or frames, stopped wherever the reader stops."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

from joulecast.errors import ModelFormatError
from joulecast.sources.budget import KIB, MIB
from joulecast.sources.streams.stream import ByteStream

if TYPE_CHECKING:
    from joulecast.sources.budget import Meter
    from joulecast.sources.streams.stream import Bytes

GZIP_MAGIC = b"\x1f\x8b"  # RFC 1952
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"  # RFC 8878
_STEP_BYTES = 256 * KIB
"""Output of one step, so that a bomb is noticed before it fills memory."""
_FEED_BYTES = 16 * KIB
_WINDOW_BYTES = 128 * MIB  # what zstd itself decodes unless told --long
_GZIP_WBITS = 16 + zlib.MAX_WBITS  # zlib.h: 16 added means a gzip header


def compression_of(head: bytes) -> str | None:
    """Return ``gzip``, ``zstd`` or None by the first bytes, because media types are often wrong."""
    if head[:2] == GZIP_MAGIC:
        return "gzip"
    skippable = len(head) >= 4 and head[1:4] == b"\x2a\x4d\x18" and head[0] >> 4 == 5  # RFC 8878, 3.1.2: 0x184D2A5?
    return "zstd" if head[:4] == ZSTD_MAGIC or skippable else None


def decompressed(inner: Bytes, *, name: str, meter: Meter) -> Bytes:
    """Return the decompressed content of ``inner``, or ``inner`` itself if it is not compressed."""
    compression = compression_of(inner.peek(4))
    if compression is None:
        return inner
    return GzipStream(inner, name, meter) if compression == "gzip" else ZstdStream(inner, name, meter)


class _Unfolding(ByteStream):
    """Counts input and output against the meter. Raises ModelFormatError for damaged or excessive input."""

    def __init__(self, inner: Bytes, name: str, meter: Meter) -> None:
        super().__init__()
        self._inner = inner
        self._name = name
        self._meter = meter
        self._produced = 0

    def _next(self) -> bytes:
        piece = self._step()
        self._produced += len(piece)
        self._meter.check_inflation(self._inner.position, self._produced)
        return piece

    def _step(self) -> bytes:
        raise NotImplementedError

    def _damaged(self, what: str) -> ModelFormatError:
        return ModelFormatError(f"{self._name} is damaged: {what}; build and push the image again")


class GzipStream(_Unfolding):
    """All members of a gzip file, one after the other (RFC 1952, 2.2); zero padding after the last one is ignored."""

    def __init__(self, inner: Bytes, name: str, meter: Meter) -> None:
        super().__init__(inner, name, meter)
        self._member = zlib.decompressobj(_GZIP_WBITS)
        self._pending = b""
        self._begun = False

    def _step(self) -> bytes:
        while True:
            if self._member.eof and not self._next_member():
                return b""
            self._pending = self._pending or self._inner.read(_FEED_BYTES)
            if not self._pending and self._begun:
                raise self._damaged("its gzip stream ends too early")
            piece = self._inflate()
            if piece:
                return piece

    def _next_member(self) -> bool:
        self._pending = (self._member.unused_data or self._inner.read(_FEED_BYTES)).lstrip(b"\0")
        while not self._pending:
            self._pending = self._inner.read(_FEED_BYTES)
            if not self._pending:
                return False
            self._pending = self._pending.lstrip(b"\0")
        self._member = zlib.decompressobj(_GZIP_WBITS)
        return True

    def _inflate(self) -> bytes:
        self._begun = True
        try:
            piece = self._member.decompress(self._pending, _STEP_BYTES)
        except zlib.error:
            raise self._damaged("its gzip stream cannot be decoded") from None
        self._pending = self._member.unconsumed_tail
        return piece


class ZstdStream(_Unfolding):
    """All frames of a zstd file, skippable ones passed over, so zstd:chunked and parallel zstd too."""

    def __init__(self, inner: Bytes, name: str, meter: Meter) -> None:
        super().__init__(inner, name, meter)
        import zstandard

        decompressor = zstandard.ZstdDecompressor(max_window_size=_WINDOW_BYTES)
        source: Any = inner  # of the file protocol only read(size) is used
        self._reader = decompressor.stream_reader(source, read_size=_FEED_BYTES, read_across_frames=True)
        self._error: type[Exception] = zstandard.ZstdError

    def _step(self) -> bytes:
        try:
            return self._reader.read(_STEP_BYTES)
        except self._error:
            raise self._damaged(
                "its zstd stream cannot be decoded, or needs more than 128 MiB for its window"
            ) from None
