"""OCI registries (distribution specification), read by ranges."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import httpx2

from joulecast.errors import ModelFetchError, ModelReferenceError
from joulecast.sources.images.manifest import INDEX_TYPES, MANIFEST_TYPES, Descriptor, Document, verified
from joulecast.sources.images.reference import DOCKER_HUB, ImageReference, is_digest
from joulecast.sources.registries.address import listed
from joulecast.sources.registries.authorization import Authorizer
from joulecast.sources.registries.credentials import lookup
from joulecast.sources.registries.exchange import Exchange
from joulecast.sources.registries.remote import RemoteRanges
from joulecast.sources.registries.service import Service

if TYPE_CHECKING:
    from joulecast.sources.budget import Meter
    from joulecast.sources.registries.access import RegistryAccess

T = TypeVar("T")

_ACCEPT = ", ".join(MANIFEST_TYPES + INDEX_TYPES)
_HUB_HOST = "registry-1.docker.io"
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

    def ranges(self, descriptor: Descriptor) -> RemoteRanges:
        url = self._exchange.url(f"{self._base}/blobs/{descriptor.digest}")
        return RemoteRanges(self._exchange, url, f"blob {descriptor.digest[:19]}", size=descriptor.size)

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
            verified(content, digest, f"{self._name}@{target} in {self._exchange.service.label}")
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
        exchange = Exchange(Service(host=host), access=self._access, meter=self._meter)
        exchange.authority = Authorizer(host, repository, credentials, exchange.asked_token)
        return exchange, f"/v2/{repository}"


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
