"""The few verbs of the Kubernetes API that joulecast may use, on the official client and kopf's credentials.

The client's generic call is used with plain dicts: its typed groups cost 37 MiB of memory and 1.8 s at the start.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp
import kopf
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration

log = logging.getLogger(__name__)

FIELD_MANAGER: Final = "joulecast-controller"
PAGE_OBJECTS: Final = 500  # at most, as kubectl's own chunk size
FIRST_PAGE_OBJECTS: Final = 50
PAGE_BYTES: Final = 512 * 1024
"""What a page should hold: json reads 100 MB a second, so that nothing waits longer than 5 ms for it."""

SILENCE_SECONDS: Final = 70.0
"""After which a watch counts as dead: the server sends a bookmark every minute."""

METADATA_ONLY: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"

_TIMEOUT: Final = aiohttp.ClientTimeout(total=30.0)  # seconds, of one attempt; the client's own is five minutes
_WATCH_TIMEOUT: Final = aiohttp.ClientTimeout(total=None, sock_connect=30.0, sock_read=SILENCE_SECONDS)
_RETRIES: Final = 4
_RETRIED_STATUSES: Final = frozenset({429, 500, 502, 503, 504})
_FIRST_BACKOFF_SECONDS: Final = 0.2
_LONGEST_BACKOFF_SECONDS: Final = 10.0

JsonObject = dict[str, Any]
Login = Callable[[], kopf.ConnectionInfo]


_PASSING_REFUSALS: Final = frozenset({401, 404, 408, 409, 410, 425, 429})
"""Client errors that another look at the object, a new token or a later time takes away."""

_TOO_LARGE: Final = ("request is too large", "trying to send message larger than max")
"""What etcd and its client say to an object beyond their limits; the API server passes it on as a fault of its own."""


_TERMINATING: Final = "because it is being terminated"
"""Part of the refusal of the admission plugin NamespaceLifecycle to create an object in a namespace being deleted."""


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
        """Tell whether the object has no place any more because its namespace is being deleted."""
        return self.status == 403 and _TERMINATING in str(self)


def login(settings: kopf.OperatorSettings | None = None) -> kopf.ConnectionInfo:
    """Return credentials from the pod's ServiceAccount, else from KUBECONFIG. Raises kopf.LoginError."""
    settings = settings or kopf.OperatorSettings()
    info = kopf.login_with_service_account(settings=settings) or kopf.login_with_kubeconfig(settings=settings)
    if info is None:
        raise kopf.LoginError("no credentials: run in a pod with a ServiceAccount, or set KUBECONFIG")
    return info


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    """One request to the API server; ``headers`` are those beside the client's own."""

    method: str
    path: str
    body: Mapping[str, Any] | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


class Cluster:
    """One connection pool to the API server; ``concurrency`` bounds the requests under way."""

    def __init__(self, log_in: Login = login, *, concurrency: int = 16) -> None:
        self._log_in = log_in
        self._slots = asyncio.Semaphore(concurrency)
        self._client: ApiClient | None = None

    async def close(self) -> None:
        if self._client is not None:
            client, self._client = self._client, None
            await client.close()

    async def pages(self, path: str, *, metadata_only: bool = False) -> AsyncIterator[JsonObject]:
        """List the collection at ``path`` page by page, at one version. Raises ApiError; 410: the version expired.

        How many objects a page has follows from their size, so that parsing one never holds up the event loop long.
        """
        headers = {"Accept": METADATA_ONLY} if metadata_only else {}
        parameters, limit = {"limit": str(FIRST_PAGE_OBJECTS)}, FIRST_PAGE_OBJECTS
        while True:
            content = await self._content(_Call(method="GET", path=path, parameters=parameters, headers=headers))
            limit = _next_limit(limit, len(content))
            page = json.loads(content)
            del content
            yield page
            following = page.get("metadata", {}).get("continue")
            if not following:
                return
            parameters = {"limit": str(limit), "continue": following}

    async def version(self, path: str) -> str:
        """Return the version of the collection at ``path`` now. Raises ApiError."""
        page = await self.request("GET", path, parameters={"limit": "1"}, headers={"Accept": METADATA_ONLY})
        return str(page["metadata"]["resourceVersion"])

    async def watch(self, path: str, version: str) -> AsyncIterator[JsonObject]:
        """Yield events of the collection at ``path`` after ``version``, until the server ends the connection.

        Raises ApiError, 410 where the server remembers no such version, and aiohttp's errors: TimeoutError where not
        even a bookmark came.
        """
        parameters = {"watch": "1", "resourceVersion": version, "allowWatchBookmarks": "true"}
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
        return await self.request("GET", path)

    async def create(self, path: str, body: Mapping[str, Any]) -> JsonObject:
        return await self.request("POST", path, body=body)

    async def delete(self, path: str, *, uid: str | None = None) -> None:
        """Delete the object at ``path``, if it is still the one of ``uid``."""
        body = {"preconditions": {"uid": uid}} if uid else {}
        await self.request("DELETE", path, body=body)

    async def merge_patch(self, path: str, body: Mapping[str, Any]) -> JsonObject:
        parameters = {"fieldManager": FIELD_MANAGER}
        return await self.request("PATCH", path, body=body, kind="application/merge-patch+json", parameters=parameters)

    async def apply(self, path: str, body: Mapping[str, Any]) -> JsonObject:
        """Apply on the server's side as ``joulecast-controller``, taking fields over from other managers."""
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
        """Send a request, again while the server is busy or unavailable. Raises ApiError or, at the end, aiohttp's."""
        sent = {**(headers or {}), **({"Content-Type": kind} if body is not None else {})}
        call = _Call(method=method, path=path, body=body, parameters=parameters or {}, headers=sent)
        content = await self._content(call)
        answer: JsonObject = json.loads(content) if content else {}
        return answer

    async def _content(self, call: _Call) -> bytes:
        """Return the body of the answer to ``call``, which is sent again as ``request`` says."""
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

    Its own retries stay off, as they leave out PATCH and POST. Proxies are taken from ``info`` alone, as kopf's are.
    """
    configuration = Configuration(host=info.server.rstrip("/"), proxy=info.proxy_url)
    configuration.client_session_kwargs = {"trust_env": False}
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
    """Convert a Status that came as an event of a watch into an error."""
    return ApiError(int(status.get("code") or 500), str(status.get("reason", "")), str(status.get("message", "")))


def _next_limit(limit: int, size_bytes: int) -> int:
    """Return how many objects make a page of PAGE_BYTES, from the size of the last page of ``limit`` objects."""
    return max(1, min(PAGE_OBJECTS, limit * PAGE_BYTES // max(size_bytes, 1)))


async def _lines(stream: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Yield lines of any length; aiohttp's own reader fails at 128 KiB."""
    rest = bytearray()
    async for chunk in stream.iter_any():
        first, *others = chunk.split(b"\n")
        rest += first
        for part in others:
            if rest:
                yield bytes(rest)
            rest = bytearray(part)
