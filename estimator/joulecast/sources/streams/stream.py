"""Bytes read forward once, with skipping: the one interface to files, blobs, layers and archive members."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Protocol


class Bytes(Protocol):
    """The part of a stream that a parser needs."""

    @property
    def position(self) -> int: ...

    def read(self, size: int) -> bytes:
        """Read ``size`` bytes, fewer only at the end."""

    def peek(self, size: int) -> bytes:
        """Return the next ``size`` bytes without consuming them, fewer only at the end."""

    def skip(self, size: int) -> int:
        """Pass over ``size`` bytes; returns how many there were."""


class ByteStream(ABC):
    """Buffered reading over ``_next``; a subclass that can jump overrides ``_leap``."""

    def __init__(self) -> None:
        self._chunk = b""
        self._at = 0
        self._base = 0

    @abstractmethod
    def _next(self) -> bytes:
        """Return the next bytes, at least one; ``b""`` at the end."""

    def _leap(self, distance: int, gap: int) -> int:  # noqa: ARG002 - for those that can
        """Skip ``distance`` bytes without reading them: the rest of a ``gap`` of which a part was read already.

        Returns how far it went, 0 to read through instead.
        """
        return 0

    @property
    def position(self) -> int:
        return self._base + self._at

    def read(self, size: int) -> bytes:
        end = self._at + size
        if end <= len(self._chunk):
            piece = self._chunk[self._at : end]
            self._at = end
            return piece
        return self._gather(size)

    def peek(self, size: int) -> bytes:
        while len(self._chunk) - self._at < size:
            more = self._next()
            if not more:
                break
            self._base += self._at
            self._chunk = self._chunk[self._at :] + more
            self._at = 0
        return self._chunk[self._at : self._at + size]

    def skip(self, size: int) -> int:
        buffered = len(self._chunk) - self._at
        if size <= buffered:
            self._at += size
            return size
        self._drop_buffer()
        leapt = self._leap(size - buffered, size)
        self._base += leapt
        return buffered + leapt + self._pass(size - buffered - leapt)

    def _gather(self, size: int) -> bytes:
        pieces = [self._chunk[self._at :]]
        missing = size - len(pieces[0])
        self._drop_buffer()
        while missing and self._refill():
            pieces.append(self._chunk[:missing])
            self._at = len(pieces[-1])
            missing -= self._at
        return b"".join(pieces)

    def _pass(self, size: int) -> int:
        left = size
        while left:
            self._drop_buffer()
            if not self._refill():
                break
            self._at = min(left, len(self._chunk))
            left -= self._at
        return size - left

    def _drop_buffer(self) -> None:
        self._base += len(self._chunk)
        self._chunk, self._at = b"", 0

    def _refill(self) -> bool:
        self._base += len(self._chunk)
        self._chunk, self._at = self._next(), 0
        return bool(self._chunk)


class MemoryStream(ByteStream):
    """Bytes that are already here."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self._chunk = data

    def _next(self) -> bytes:
        return b""


class LimitedStream:
    """The next ``size`` bytes of another stream, as a stream that ends there; positions count from its start."""

    def __init__(self, inner: Bytes, size: int) -> None:
        self._inner = inner
        self._start = inner.position
        self._size = size

    @property
    def position(self) -> int:
        return self._inner.position - self._start

    @property
    def _left(self) -> int:
        return self._size - self.position

    def read(self, size: int) -> bytes:
        return self._inner.read(min(size, self._left))

    def peek(self, size: int) -> bytes:
        return self._inner.peek(min(size, self._left))

    def skip(self, size: int) -> int:
        return self._inner.skip(min(size, self._left))
