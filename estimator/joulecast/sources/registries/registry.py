"""OCI registries (distribution specification), read by ranges."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import httpx2

from joulecast.errors import ModelFetchError, ModelReferenceError
from joulecast.sources.images.manifest import INDEX_TYPES, MANIFEST_TYPES, Descriptor, Document, misbehaved, verified
from joulecast.sources.images.reference import DOCKER_HUB, ImageReference, is_digest
from joulecast.sources.registries.address import listed
from joulecast.sources.registries.credentials import lookup
from joulecast.sources.registries.exchange import Exchange
from joulecast.sources.streams.stream import ByteStream

if TYPE_CHECKING:
    from collections.abc import Iterator

    from joulecast.sources.budget import Meter
    from joulecast.sources.registries.access import RegistryAccess

T = TypeVar("T")

_ACCEPT = ", ".join(MANIFEST_TYPES + INDEX_TYPES)
_HUB_HOST = "registry-1.docker.io"
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)")  # RFC 9110, 14.4
_EXPIRED = frozenset({400, 401, 403, 404, 410})
"""What storage services answer to an address whose signature has run out."""
_FINAL = frozenset({"FetchBudgetExceeded", "ForbiddenAddress"})


class RegistryStore:
    """``Store`` over a repository in a registry; its mirrors are tried first, until one answers."""

    def __init__(self, reference: ImageReference, access: RegistryAccess, meter: Meter) -> None:
        """Prepare the endpoints. Raises ModelReferenceError if the registry may not be used."""
        check_allowed(reference, access)
        self._access = access
        self._meter = meter
        self._name = f"{reference.repository}"
        self._waiting = [*_mirrors(reference, access), _upstream(reference)]
        self._exchange, self._base = self._connected()

    def document(self, target: str | None) -> Document:
        wanted = target or "latest"
        return self._settled(lambda: self._exchange.attempt(lambda: self._document(wanted)))

    def digest(self, target: str | None) -> tuple[str, str] | None:
        wanted = target or "latest"
        return self._settled(lambda: self._exchange.attempt(lambda: self._head(wanted)))

    def ranges(self, descriptor: Descriptor) -> BlobRanges:
        url = self._exchange.url(f"{self._base}/blobs/{descriptor.digest}")
        return BlobRanges(self._exchange, url, descriptor)

    def close(self) -> None:
        self._exchange.close()

    def _document(self, target: str) -> Document:
        url = self._exchange.url(f"{self._base}/manifests/{target}")
        response, _ = self._exchange.send("GET", url, {"Accept": _ACCEPT})
        if response.status_code != 200:
            raise self._exchange.refused(response, f"{self._name}:{target}")
        content = self._exchange.body(response)
        if is_digest(target):
            digest = target
            verified(content, digest, f"{self._name}@{target} in registry {self._exchange.host}")
        else:
            digest = "sha256:" + hashlib.sha256(content).hexdigest()
        return Document(content=content, digest=digest, media_type=_media_type(response))

    def _head(self, target: str) -> tuple[str, str] | None:
        url = self._exchange.url(f"{self._base}/manifests/{target}")
        response, _ = self._exchange.send("HEAD", url, {"Accept": _ACCEPT})
        response.close()
        digest = response.headers.get("docker-content-digest", "")
        if response.status_code != 200 or not is_digest(digest):
            return None
        return digest, _media_type(response)

    def _settled(self, action: Callable[[], T]) -> T:
        """Run ``action`` at the first endpoint that answers it; later calls use the same endpoint."""
        while True:
            try:
                result = action()
            except ModelFetchError as error:
                if not self._waiting or error.reason in _FINAL:
                    raise
                self._exchange.close()
                self._exchange, self._base = self._connected()
            else:
                if result is not None:
                    self._waiting.clear()
                return result

    def _connected(self) -> tuple[Exchange, str]:
        host, repository = self._waiting.pop(0)
        credentials = lookup(self._access.docker_config, host, repository)
        exchange = Exchange(host, repository, access=self._access, credentials=credentials, meter=self._meter)
        return exchange, f"/v2/{repository}"


class BlobRanges:
    """``Ranges`` over a blob: one bounded request a call, straight to where the registry last redirected to."""

    def __init__(self, exchange: Exchange, url: httpx2.URL, descriptor: Descriptor) -> None:
        self._exchange = exchange
        self._url = url
        self._target = url
        self._size = descriptor.size
        self._name = f"blob {descriptor.digest[:19]}"
        self._whole: _Whole | None = None

    def read(self, offset: int, length: int) -> bytes:
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
            if response.status_code != 200:
                raise self._exchange.refused(response, self._name)
            self._whole = _Whole(self._exchange, response)
        return self._from_whole(self._whole, offset, length)

    def _asked(self, offset: int, length: int) -> httpx2.Response:
        headers = {"Range": f"bytes={offset}-{offset + length - 1}"}
        response, self._target = self._exchange.send("GET", self._target, headers)
        if response.status_code in _EXPIRED and self._target != self._url:
            response.close()
            response, self._target = self._exchange.send("GET", self._url, headers)
        if response.headers.get("content-encoding", "identity") != "identity":
            response.close()
            raise misbehaved(f"registry {self._exchange.host}", "compresses a blob that was requested without encoding")
        return response

    def _check(self, response: httpx2.Response, offset: int, length: int) -> None:
        match = _CONTENT_RANGE.fullmatch(response.headers.get("content-range", "").strip())
        first, last = (int(match[1]), int(match[2])) if match else (-1, -1)
        total = match[3] if match else ""
        if first != offset or not offset <= last < offset + length or total not in ("*", str(self._size)):
            response.close()
            raise misbehaved(
                f"registry {self._exchange.host}", f"answers with another range of {self._name} than was requested"
            )

    def _answered(self, response: httpx2.Response, length: int) -> bytes:
        content = self._exchange.body(response, length)
        if not content:
            raise misbehaved(f"registry {self._exchange.host}", f"answers with an empty range of {self._name}")
        return content

    def _from_whole(self, whole: _Whole, offset: int, length: int) -> bytes:
        """Return a part of a body from a registry without ranges, by discarding the bytes before ``offset``."""
        try:
            whole.skip(offset - whole.position)
            return whole.read(length)
        except httpx2.TransportError:
            self.close()
            raise


class _Whole(ByteStream):
    """The body of a whole blob, read as it comes."""

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


def check_allowed(reference: ImageReference, access: RegistryAccess) -> None:
    """Raise ModelReferenceError (ForbiddenRegistry) if the reference names a registry that may not be used."""
    is_allowed = not access.allowed_registries or listed(reference.host, reference.port, access.allowed_registries)
    if not is_allowed or listed(reference.host, reference.port, access.denied_registries):
        raise ModelReferenceError(
            f"registry {reference.registry} may not be used here: copy the model to an allowed one, or have it allowed",
            reason="ForbiddenRegistry",
        )


def _mirrors(reference: ImageReference, access: RegistryAccess) -> list[tuple[str, str]]:
    """Return (host, repository) at each mirror of the reference's registry."""
    endpoints: list[tuple[str, str]] = []
    for mirror in access.mirrors.get(reference.registry, ()):
        host, _, prefix = re.sub(r"^https?://", "", mirror).strip("/").partition("/")
        endpoints.append((host, f"{prefix}/{reference.repository}".lstrip("/")))
    return endpoints


def _upstream(reference: ImageReference) -> tuple[str, str]:
    host = _HUB_HOST if reference.registry == DOCKER_HUB else reference.registry
    return host, reference.repository


def _media_type(response: httpx2.Response) -> str:
    return str(response.headers.get("content-type", "")).partition(";")[0].strip()
