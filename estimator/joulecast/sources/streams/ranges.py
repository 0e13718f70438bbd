"""Turn random access into a stream that reads ahead in growing windows and skips what is not wanted."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from joulecast.errors import ModelFetchError
from joulecast.sources.budget import KIB, MIB
from joulecast.sources.streams.stream import ByteStream

if TYPE_CHECKING:
    from joulecast.sources.budget import Meter

HASHES = {"sha256": 64, "sha512": 128}
"""Digest algorithms registered by the OCI image specification, and the length of their hexadecimal form."""


class Ranges(Protocol):
    """Bytes that can be read by position."""

    def read(self, offset: int, length: int) -> bytes:
        """Read between 1 and ``length`` bytes from ``offset`` on; ``b""`` only at the end."""

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """How much one request reads.

    - ``first_bytes``: the first request; each further one doubles, up to ``ceiling_bytes``.
    - ``landing_bytes``: the first request after a skip, then doubling.
    - ``leap_bytes``: a gap from which on skipping (another round trip) is faster than reading through; ``None``: never
      skip.
    """

    first_bytes: int = 64 * KIB
    landing_bytes: int = 2 * KIB  # fits a tensor's name and dims, or a tar header; most requests are landings
    ceiling_bytes: int = 4 * MIB
    leap_bytes: int | None = 256 * KIB  # a round trip of 10 ms at 25 MB/s


PLAIN = Windows()
COMPRESSED = Windows(ceiling_bytes=512 * KIB, leap_bytes=None)
"""A compressed stream is stopped in the middle of a window, so large ones are waste, and nothing in it can be leapt
over."""
LOCAL = Windows(landing_bytes=4 * KIB, leap_bytes=4 * KIB)  # a page: seeking costs nothing
VERIFIED = Windows(leap_bytes=None)


class RangedStream(ByteStream):
    """A blob of ``size`` bytes read through ``ranges``; checked against ``digest`` when every byte of it was read."""

    def __init__(
        self, ranges: Ranges, *, name: str, size: int, meter: Meter, windows: Windows, digest: str | None = None
    ) -> None:
        super().__init__()
        self._ranges = ranges
        self._name = name
        self._size = size
        self._meter = meter
        self._windows = windows
        self._window = windows.first_bytes
        self._offset = 0
        self._digest = digest
        self._hash = hashlib.new(digest.partition(":")[0]) if digest else None
        self.verified = False

    @property
    def size(self) -> int:
        return self._size

    def use(self, windows: Windows) -> None:
        """Read on by other windows, now that more is known of the content."""
        self._windows = windows

    def drain(self) -> None:
        """Read to the end, so that the digest is checked. Raises what reading raises."""
        self.skip(self._size - self.position)
        self._next()

    def close(self) -> None:
        self._ranges.close()

    def _next(self) -> bytes:
        self._meter.check_time()
        wanted = min(self._window, self._size - self._offset)
        if not wanted:
            self._check_digest()
            return b""
        chunk = self._ranges.read(self._offset, wanted)
        if not chunk:
            raise ModelFetchError(
                f"{self._name} ends after {self._offset:,} of its {self._size:,} bytes: push or copy it again",
                reason="Truncated",
            )
        self._offset += len(chunk)
        self._window = min(self._window * 2, self._windows.ceiling_bytes)
        if self._hash:
            self._hash.update(chunk)
        if self._offset == self._size:
            self._check_digest()
        return chunk

    def _leap(self, distance: int, gap: int) -> int:
        if self._windows.leap_bytes is None or gap < self._windows.leap_bytes:
            return 0
        distance = min(distance, self._size - self._offset)
        self._offset += distance
        self._window = self._windows.landing_bytes
        self._hash = None
        return distance

    def _check_digest(self) -> None:
        if self._hash is None or self.verified:
            return
        if self._hash.hexdigest() != str(self._digest).partition(":")[2]:
            raise ModelFetchError(
                f"{self._name} does not have the content that its digest promises: do not trust this copy, push "
                "it again",
                reason="DigestMismatch",
                transient=False,
            )
        self.verified = True
