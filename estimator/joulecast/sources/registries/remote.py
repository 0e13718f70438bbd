"""Files of a server by position: one bounded request a call, wherever the server redirects to."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import httpx2

from joulecast.errors import ModelFetchError
from joulecast.sources.registries.exchange import Exchange
from joulecast.sources.streams.stream import ByteStream

_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)")  # RFC 9110, 14.4
_UNSATISFIED = re.compile(r"bytes \*/(\d{1,18})")
_EXPIRED = frozenset({400, 401, 403, 404, 410})
"""What storage services answer to an address whose signature has run out."""


class RemoteRanges:
    """``Ranges`` over a file, straight to where the server last redirected to.

    A server that ignores ranges sends the whole file; it is read as far as needed and then broken off.
    """

    def __init__(
        self,
        exchange: Exchange,
        url: httpx2.URL,
        name: str,
        *,
        size: int | None = None,
        inspect: Callable[[httpx2.Response], None] | None = None,
        is_constant: bool = True,
    ) -> None:
        """Prepare; nothing is asked yet.

        - ``size``: bytes of the file; None where the first answer tells it.
        - ``inspect``: is shown every answer of the server itself, redirects too.
        - ``is_constant``: False for a file that may be replaced; a change while it is read is an error then.
        """
        self._exchange = exchange
        self._url = url
        self._target = url
        self._name = name
        self._inspect = inspect
        self._is_constant = is_constant
        self._tag: str | None = None
        self._whole: _Whole | None = None
        self.size = size

    def read(self, offset: int, length: int) -> bytes:
        if self.size is not None and offset >= self.size:
            return b""
        return self._exchange.attempt(lambda: self._read(offset, length))

    def close(self) -> None:
        if self._whole:
            self._whole.close()
        self._whole = None

    def _read(self, offset: int, length: int) -> bytes:
        if self._whole is None or offset < self._whole.position:
            self.close()
            response = self._asked(offset, length)
            if response.status_code == 206:
                self._check(response, offset, length)
                return self._answered(response, length)
            if response.status_code == 416 and self._is_past_the_end(response, offset):
                return b""
            if response.status_code != 200:
                raise self._exchange.refused(response, self._name)
            self._whole = self._opened(response)
        return self._from_whole(self._whole, offset, length)

    def _asked(self, offset: int, length: int) -> httpx2.Response:
        headers = {"Range": f"bytes={offset}-{offset + length - 1}"}
        response, self._target = self._exchange.send("GET", self._target, headers, self._inspect)
        if response.status_code in _EXPIRED and self._target != self._url:
            response.close()
            response, self._target = self._exchange.send("GET", self._url, headers, self._inspect)
        if response.headers.get("content-encoding", "identity") != "identity":
            response.close()
            raise self._exchange.service.misbehaved(f"compresses {self._name}, which was requested without encoding")
        self._check_tag(response)
        return response

    def _check_tag(self, response: httpx2.Response) -> None:
        """Raise ModelFetchError (Changed) if the file was replaced since its first bytes were read."""
        tag = response.headers.get("etag")
        if self._is_constant or tag is None or response.status_code not in (200, 206):
            return
        if self._tag not in (None, tag):
            response.close()
            raise ModelFetchError(
                f"{self._name} was replaced while it was read: it will be read again", reason="Changed", transient=True
            )
        self._tag = tag

    def _check(self, response: httpx2.Response, offset: int, length: int) -> None:
        match = _CONTENT_RANGE.fullmatch(response.headers.get("content-range", "").strip())
        first, last = (int(match[1]), int(match[2])) if match else (-1, -1)
        total = match[3] if match else ""
        is_total = total == "*" or self.size is None or total == str(self.size)
        if first != offset or not offset <= last < offset + length or not is_total:
            response.close()
            raise self._exchange.service.misbehaved(f"answers with another range of {self._name} than was requested")
        if total.isdigit():
            self.size = int(total)

    def _is_past_the_end(self, response: httpx2.Response, offset: int) -> bool:
        """Decide whether the server says that the file ends before ``offset``, and remember its size."""
        match = _UNSATISFIED.fullmatch(response.headers.get("content-range", "").strip())
        if match is None or self.size not in (None, int(match[1])) or int(match[1]) > offset:
            return False
        response.close()
        self.size = int(match[1])
        return True

    def _opened(self, response: httpx2.Response) -> _Whole:
        length = response.headers.get("content-length", "")
        if self.size is None and length.isdigit():
            self.size = int(length[:18])
        return _Whole(self._exchange, response)

    def _answered(self, response: httpx2.Response, length: int) -> bytes:
        content = self._exchange.body(response, length)
        if not content:
            raise self._exchange.service.misbehaved(f"answers with an empty range of {self._name}")
        return content

    def _from_whole(self, whole: _Whole, offset: int, length: int) -> bytes:
        """Return a part of a body from a server without ranges, by discarding the bytes before ``offset``."""
        try:
            whole.skip(offset - whole.position)
            return whole.read(length)
        except httpx2.TransportError:
            self.close()
            raise


class _Whole(ByteStream):
    """The body of a whole file, read as it comes."""

    def __init__(self, exchange: Exchange, response: httpx2.Response) -> None:
        super().__init__()
        self._exchange = exchange
        self._response = response
        self._pieces: Iterator[bytes] = response.iter_raw()

    def _next(self) -> bytes:
        piece = next(self._pieces, b"")
        self._exchange.count(piece)
        return piece

    def close(self) -> None:
        self._response.close()


class RemoteFile:
    """``ModelFile`` whose first bytes were read when it was opened, so that its size and existence are known."""

    def __init__(self, ranges: RemoteRanges, first_bytes: int) -> None:
        """Read the first bytes. Raises ModelFetchError, NotFound for a file that does not exist."""
        self._ranges = ranges
        self._first = ranges.read(0, first_bytes)

    @property
    def size(self) -> int | None:
        return self._ranges.size

    def read(self, offset: int, length: int) -> bytes:
        if offset < len(self._first):
            return self._first[offset : offset + length]
        return self._ranges.read(offset, length)

    def close(self) -> None:
        self._ranges.close()
