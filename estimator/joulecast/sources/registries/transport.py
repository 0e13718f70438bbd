"""Connections that are checked after name resolution, redirects and token services included."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import httpcore2
import httpx2

from joulecast.errors import ModelReferenceError
from joulecast.sources.registries.address import AddressPolicy, forbidden
from joulecast.sources.registries.proxies import Proxies, Proxy

_MAX_CONNECTIONS = 4
_KEEPALIVE_SECONDS = 30.0


class _TimedStream(httpcore2.NetworkStream):
    """A connection that bounds all waiting together.

    A peer that sends a byte now and then, in headers too, keeps us no longer than one that is silent.
    """

    def __init__(self, stream: httpcore2.NetworkStream, remaining_seconds: Callable[[], float]) -> None:
        self._stream = stream
        self._remaining_seconds = remaining_seconds

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._bounded(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._bounded(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        secured = self._stream.start_tls(ssl_context, server_hostname, self._bounded(timeout))
        return _TimedStream(secured, self._remaining_seconds)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)

    def _bounded(self, timeout: float | None) -> float:
        remaining = self._remaining_seconds()
        if remaining <= 0:
            raise httpcore2.ReadTimeout("the time for this fetch is spent")
        return remaining if timeout is None else min(timeout, remaining)


class CheckedBackend(httpcore2.NetworkBackend):
    """Resolves a name once, drops the addresses that ``policy`` denies and connects to one that is left.

    What it sends and receives ends when ``remaining_seconds`` does.

    Raises ModelFetchError (ForbiddenAddress) if none is left. ``is_private`` once a connection led to an address of
    which strangers may learn nothing, or to a name that has none.
    """

    def __init__(self, policy: AddressPolicy, remaining_seconds: Callable[[], float]) -> None:
        self._policy = policy
        self._remaining_seconds = remaining_seconds
        self._sockets = httpcore2.SyncBackend()
        self._checked_for_proxy: set[tuple[str, int]] = set()
        self.is_private = False

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        self._policy.check_host(host, port)
        failure: Exception = httpcore2.ConnectError("the name has no address")
        for address in self._admitted(host, port):
            try:
                stream = self._sockets.connect_tcp(address, port, timeout, local_address, socket_options)
                return _TimedStream(stream, self._remaining_seconds)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
        raise failure

    def check_for_proxy(self, host: str, port: int) -> None:
        """Check the name, and every address that it has here, before a proxy is asked for it.

        A name without an address here is resolved by the proxy. Raises ModelFetchError (ForbiddenAddress).
        """
        if (host, port) in self._checked_for_proxy:
            return
        self._policy.check_host(host, port)
        try:
            addresses = _resolved(host, port)
        except httpcore2.ConnectError:
            addresses = []
        self._note(host, port, addresses)
        if not all(self._policy.admits(host, port, address) for address in addresses):
            raise forbidden(host, port)
        self._checked_for_proxy.add((host, port))  # a name server that does not answer is waited for once

    def _note(self, host: str, port: int, addresses: list[str]) -> None:
        """Remember whether what follows may be told; what has no address here could be a name of ours."""
        self.is_private |= not addresses
        self.is_private |= not all(self._policy.may_tell_of(host, port, address) for address in addresses)

    def _admitted(self, host: str, port: int) -> Iterator[str]:
        try:
            addresses = _resolved(host, port)
        except httpcore2.ConnectError:
            self._note(host, port, [])
            raise
        self._note(host, port, addresses)
        admitted = [address for address in addresses if self._policy.admits(host, port, address)]
        if addresses and not admitted:
            raise forbidden(host, port)
        return iter(admitted)


class _ProxyBackend(httpcore2.NetworkBackend):
    """Connects to the proxy, whatever its address: the administrator named it. Waiting is bounded all the same."""

    def __init__(self, remaining_seconds: Callable[[], float]) -> None:
        self._remaining_seconds = remaining_seconds
        self._sockets = httpcore2.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        try:
            stream = self._sockets.connect_tcp(host, port, timeout, local_address, socket_options)
        except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
            raise httpcore2.ProxyError("the proxy cannot be connected to") from error
        return _TimedStream(stream, self._remaining_seconds)


class CheckedTransport(httpx2.HTTPTransport):
    """httpx2's transport over a ``CheckedBackend``, or through one of ``proxies``; it reads no environment.

    Through a proxy TLS is still the registry's own, verified at this end of the tunnel. Authorities are loaded when
    TLS is first used; raises ModelReferenceError then if the bundle at ``certificate_authority`` cannot be loaded.
    """

    def __init__(
        self,
        policy: AddressPolicy,
        certificate_authority: str | None,
        remaining_seconds: Callable[[], float],
        proxies: Proxies,
    ) -> None:
        self._backend = CheckedBackend(policy, remaining_seconds)
        self._proxy_backend = _ProxyBackend(remaining_seconds)
        self._certificate_authority = certificate_authority
        self._proxies = proxies
        self._pools: dict[tuple[bool, Proxy | None], httpcore2.ConnectionPool] = {}

    @property
    def is_private(self) -> bool:
        return self._backend.is_private

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        url, is_secure = request.url, request.url.scheme == "https"
        proxy = self._proxies.proxy_for(url.scheme, url.host, url.port)
        if proxy is not None:
            self._backend.check_for_proxy(url.host, url.port or (443 if is_secure else 80))
        route = (is_secure or (proxy is not None and proxy.is_secure), proxy)
        if route not in self._pools:
            self._pools[route] = self._pooled(*route)
        self._pool = self._pools[route]
        return super().handle_request(request)

    def close(self) -> None:
        for pool in self._pools.values():
            pool.close()

    def _pooled(self, is_secure: bool, proxy: Proxy | None) -> httpcore2.ConnectionPool:
        """``is_secure``: whether TLS is spoken, to the registry or the proxy."""
        context = _trust(self._certificate_authority) if is_secure else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        return httpcore2.ConnectionPool(
            ssl_context=context,
            proxy=None if proxy is None else _named(proxy, context),
            max_connections=_MAX_CONNECTIONS,
            keepalive_expiry=_KEEPALIVE_SECONDS,
            network_backend=self._backend if proxy is None else self._proxy_backend,
        )


def _named(proxy: Proxy, context: ssl.SSLContext) -> httpcore2.Proxy:
    return httpcore2.Proxy(proxy.origin, auth=proxy.credentials, ssl_context=context if proxy.is_secure else None)


def _resolved(host: str, port: int) -> list[str]:
    try:
        answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise httpcore2.ConnectError("the name cannot be resolved") from error
    return list(dict.fromkeys(str(answer[4][0]) for answer in answers))


def _trust(certificate_authority: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if certificate_authority:
        try:
            context.load_verify_locations(cafile=certificate_authority)
        except (OSError, ssl.SSLError):
            raise ModelReferenceError(
                f"the certificate authority {certificate_authority} cannot be loaded: give the path of a PEM bundle",
                reason="InvalidCertificateAuthority",
            ) from None
    return context
