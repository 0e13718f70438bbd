"""Call the Kubernetes API by the official client with kopf's credentials.

Only the client's generic call is used, with plain dicts, because its typed groups take 37 MiB of memory and 1.8 s.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import aiohttp
import kopf
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration

log = logging.getLogger(__name__)

FIELD_MANAGER: Final = "joulecast-controller"
PAGE_OBJECTS: Final = 500  # most objects of a page, as kubectl's chunk size
FIRST_PAGE_OBJECTS: Final = 50
PAGE_BYTES: Final = 512 * 1024
"""Bytes that a page should have: json parses 100 MB a second, so a page delays other tasks by 5 ms at most."""

SILENCE_SECONDS: Final = 70.0
"""How long a watch may be silent before it counts as lost; the server sends a bookmark every minute."""

METADATA_ONLY: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
"""Content type of a listing that has only the metadata of the objects."""

_TIMEOUT: Final = aiohttp.ClientTimeout(total=30.0)  # seconds, of one attempt; the client's own is five minutes
_WATCH_TIMEOUT: Final = aiohttp.ClientTimeout(total=None, sock_connect=30.0, sock_read=SILENCE_SECONDS)
_UNLIMITED: Final = 0  # connections, as aiohttp counts; ``Cluster`` itself limits all requests that end
_RETRIES: Final = 4
_RETRIED_STATUSES: Final = frozenset({429, 500, 502, 503, 504})
_FIRST_BACKOFF_SECONDS: Final = 0.2
_LONGEST_BACKOFF_SECONDS: Final = 10.0

JsonObject = dict[str, Any]
Login = Callable[[], kopf.ConnectionInfo]


_PASSING_REFUSALS: Final = frozenset({401, 404, 408, 409, 410, 425, 429})
"""Statuses of client errors that may not come again after a new token, a new read of the object, or some time."""

_TOO_LARGE: Final = ("request is too large", "trying to send message larger than max")
"""Parts of the messages of etcd and its client about too large an object; the API server reports them as status 500."""


_TERMINATING: Final = "because it is being terminated"
"""Part of the message by which the admission plugin NamespaceLifecycle refuses objects of a namespace being deleted."""


class ApiError(Exception):
    """The API server refused a request: HTTP ``status``, the Status object's ``reason`` and its message."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason

    @property
    def lasting(self) -> bool:
        """Tell whether the same request is refused again until the object, a right or a policy changes."""
        too_large = any(part in str(self) for part in _TOO_LARGE)
        return too_large or (400 <= self.status < 500 and self.status not in _PASSING_REFUSALS)

    @property
    def of_going_namespace(self) -> bool:
        """Tell whether the object could not be created because its namespace is being deleted."""
        return self.status == 403 and _TERMINATING in str(self)


def login(settings: kopf.OperatorSettings | None = None) -> kopf.ConnectionInfo:
    """Return credentials from the pod's ServiceAccount, else from KUBECONFIG. Raises kopf.LoginError."""
    settings = settings or kopf.OperatorSettings()
    if account := kopf.login_with_service_account(settings=settings):
        return replace(account, server=_server_of_pod(os.environ) or account.server)
    info = kopf.login_with_kubeconfig(settings=settings)
    if info is None:
        raise kopf.LoginError("no credentials: run in a pod with a ServiceAccount, or set KUBECONFIG")
    return info


def _server_of_pod(environ: Mapping[str, str]) -> str | None:
    """Return the API server's URL as the kubelet tells it to pods; kopf's own has a name, for which DNS must work."""
    host, port = environ.get("KUBERNETES_SERVICE_HOST"), environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not host:
        return None
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    """One request to the API server.

    - ``method``, ``path``: HTTP method, and path of the URL.
    - ``body``: the body as a JSON value; None for no body.
    - ``parameters``: query parameters.
    - ``headers``: headers in addition to the client's own.
    """

    method: str
    path: str
    body: Mapping[str, Any] | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


class Cluster:
    """Sends requests to the API server over one connection pool; at most ``concurrency`` are under way at a time."""

    def __init__(self, log_in: Login = login, *, concurrency: int = 16) -> None:
        self._log_in = log_in
        self._slots = asyncio.Semaphore(concurrency)
        self._client: ApiClient | None = None

    async def close(self) -> None:
        """Close all connections; the next request logs in again."""
        if self._client is not None:
            client, self._client = self._client, None
            await client.close()

    async def pages(
        self, path: str, *, metadata_only: bool = False, selector: Mapping[str, str] | None = None
    ) -> AsyncIterator[JsonObject]:
        """List the collection at ``path`` page by page, all at one version. Raises ApiError; 410: the version expired.

        ``selector``: query parameters that select objects. The number of objects of a page follows from their size, so
        that parsing a page delays the event loop little.
        """
        headers = {"Accept": METADATA_ONLY} if metadata_only else {}
        chosen, limit = dict(selector or {}), FIRST_PAGE_OBJECTS
        parameters = chosen | {"limit": str(limit)}
        while True:
            content = await self._content(_Call(method="GET", path=path, parameters=parameters, headers=headers))
            limit = _next_limit(limit, len(content))
            page = json.loads(content)
            del content
            yield page
            following = page.get("metadata", {}).get("continue")
            if not following:
                return
            parameters = chosen | {"limit": str(limit), "continue": following}

    async def version(self, path: str, *, selector: Mapping[str, str] | None = None) -> str:
        """Return the present version of the collection at ``path``. Raises ApiError."""
        parameters = {**(selector or {}), "limit": "1"}
        page = await self.request("GET", path, parameters=parameters, headers={"Accept": METADATA_ONLY})
        return str(page["metadata"]["resourceVersion"])

    async def watch(
        self, path: str, version: str, *, selector: Mapping[str, str] | None = None
    ) -> AsyncIterator[JsonObject]:
        """Yield events of the collection at ``path`` after ``version``, until the server ends the connection.

        Raises ApiError, with status 410 if the server no longer knows the version, and aiohttp's errors: TimeoutError
        if neither an event nor a bookmark came in time.
        """
        asked = {"watch": "1", "resourceVersion": version, "allowWatchBookmarks": "true"}
        parameters = {**(selector or {}), **asked}
        call = _Call(method="GET", path=path, parameters=parameters)
        async with await self._called(call, _WATCH_TIMEOUT) as response:
            if response.status >= 400:
                if response.status == 401:
                    await self.close()
                raise _refusal(response.status, await response.read())
            async for line in _lines(response.content):
                event: JsonObject = json.loads(line)
                if event["type"] == "ERROR":
                    raise _reported(event["object"])
                yield event

    async def get(self, path: str) -> JsonObject:
        """Return the object at ``path``. Raises ApiError."""
        return await self.request("GET", path)

    async def create(self, path: str, body: Mapping[str, Any]) -> JsonObject:
        """Create an object in the collection at ``path`` and return it. Raises ApiError."""
        return await self.request("POST", path, body=body)

    async def delete(self, path: str, *, uid: str | None = None) -> None:
        """Delete the object at ``path`` if its uid is still ``uid``. Raises ApiError."""
        body = {"preconditions": {"uid": uid}} if uid else {}
        await self.request("DELETE", path, body=body)

    async def merge_patch(self, path: str, body: Mapping[str, Any]) -> JsonObject:
        """Change the object at ``path`` by a JSON merge patch and return it. Raises ApiError."""
        parameters = {"fieldManager": FIELD_MANAGER}
        return await self.request("PATCH", path, body=body, kind="application/merge-patch+json", parameters=parameters)

    async def strategic_patch(self, path: str, body: Mapping[str, Any]) -> JsonObject:
        """Change the object at ``path`` by a strategic merge patch, which merges lists by name. Raises ApiError."""
        kind, parameters = "application/strategic-merge-patch+json", {"fieldManager": FIELD_MANAGER}
        return await self.request("PATCH", path, body=body, kind=kind, parameters=parameters)

    async def apply(self, path: str, body: Mapping[str, Any]) -> JsonObject:
        """Apply ``body`` by server-side apply as ``joulecast-controller``, also to fields that others manage."""
        parameters = {"fieldManager": FIELD_MANAGER, "force": "true"}
        return await self.request("PATCH", path, body=body, kind="application/apply-patch+yaml", parameters=parameters)

    async def request(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        kind: str = "application/json",
        parameters: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> JsonObject:
        """Send a request, again if the server is busy or unavailable. Raises ApiError, or aiohttp's errors."""
        sent = {**(headers or {}), **({"Content-Type": kind} if body is not None else {})}
        call = _Call(method=method, path=path, body=body, parameters=parameters or {}, headers=sent)
        content = await self._content(call)
        answer: JsonObject = json.loads(content) if content else {}
        return answer

    async def _content(self, call: _Call) -> bytes:
        """Return the body of the answer to ``call``, which is sent again as described in ``request``."""
        for attempt in range(_RETRIES + 1):
            try:
                async with self._slots:
                    return await self._once(call)
            except ApiError as error:
                if attempt == _RETRIES or error.lasting or error.status not in (401, *_RETRIED_STATUSES):
                    raise
                if error.status == 401:
                    await self.close()
                else:
                    log.warning("API server busy: %s %s answered %s", call.method, call.path, error.status)
            except (aiohttp.ClientConnectionError, TimeoutError):
                if attempt == _RETRIES:
                    raise
            await asyncio.sleep(min(_FIRST_BACKOFF_SECONDS * 4**attempt, _LONGEST_BACKOFF_SECONDS))
        raise AssertionError("the last attempt returns or raises")

    async def _once(self, call: _Call) -> bytes:
        async with await self._called(call) as response:
            content = await response.read()
        if response.status >= 400:
            raise _refusal(response.status, content)
        return content

    async def _called(self, call: _Call, timeout: aiohttp.ClientTimeout = _TIMEOUT) -> aiohttp.ClientResponse:
        client = self._opened()
        request = await client.param_serialize(
            call.method,
            call.path,
            query_params=list(call.parameters.items()),
            header_params=dict(call.headers),
            body=call.body,
        )
        answer = await client.call_api(*request, _request_timeout=timeout)
        response: aiohttp.ClientResponse = answer.response
        return response

    def _opened(self) -> ApiClient:
        if self._client is None:
            self._client = _client_of(self._log_in())
        return self._client


def _client_of(info: kopf.ConnectionInfo) -> ApiClient:
    """Return the official client with the credentials of ``info``.

    The client's own retries are not used, because they do not cover PATCH and POST. Only the proxy of ``info`` is used,
    as by kopf.
    """
    configuration = Configuration(host=info.server.rstrip("/"), proxy=info.proxy_url)
    configuration.client_session_kwargs = {"trust_env": False}
    configuration.connection_pool_maxsize = _UNLIMITED  # each watch holds a connection, and there is one a namespace
    client = ApiClient(configuration)
    client.rest_client.ssl_context = info.as_ssl_context()
    client.default_headers |= info.as_http_headers() | {"User-Agent": "joulecast"}
    return client


def _refusal(status: int, content: bytes) -> ApiError:
    try:
        answer = json.loads(content)
        return ApiError(status, str(answer.get("reason", "")), str(answer.get("message", "")))
    except (ValueError, AttributeError):
        return ApiError(status, "", content[:200].decode(errors="replace"))


def _reported(status: Mapping[str, Any]) -> ApiError:
    """Convert a Status object that came as an event of a watch into an error."""
    return ApiError(int(status.get("code") or 500), str(status.get("reason", "")), str(status.get("message", "")))


def _next_limit(limit: int, size_bytes: int) -> int:
    """Return how many objects fill a page of PAGE_BYTES, from the size of the last page of ``limit`` objects."""
    return max(1, min(PAGE_OBJECTS, limit * PAGE_BYTES // max(size_bytes, 1)))


async def _lines(stream: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Yield lines of any length; aiohttp's own reader fails for lines of more than 128 KiB."""
    rest = bytearray()
    async for chunk in stream.iter_any():
        first, *others = chunk.split(b"\n")
        rest += first
        for part in others:
            if rest:
                yield bytes(rest)
            rest = bytearray(part)
