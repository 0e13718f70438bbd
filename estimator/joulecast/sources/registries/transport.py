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

    Raises ModelFetchError (ForbiddenAddress) if none is left.
    """

    def __init__(self, policy: AddressPolicy, remaining_seconds: Callable[[], float]) -> None:
        self._policy = policy
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
        self._policy.check_host(host, port)
        failure: Exception = httpcore2.ConnectError("the name has no address")
        for address in self._admitted(host, port):
            try:
                stream = self._sockets.connect_tcp(address, port, timeout, local_address, socket_options)
                return _TimedStream(stream, self._remaining_seconds)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
        raise failure

    def _admitted(self, host: str, port: int) -> Iterator[str]:
        try:
            answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise httpcore2.ConnectError("the name cannot be resolved") from error
        addresses = list(dict.fromkeys(str(answer[4][0]) for answer in answers))
        admitted = [address for address in addresses if self._policy.admits(host, port, address)]
        if addresses and not admitted:
            raise forbidden(host, port)
        return iter(admitted)


class CheckedTransport(httpx2.HTTPTransport):
    """httpx2's transport over a ``CheckedBackend``: no proxies, no environment.

    Authorities are loaded when https is first used; raises ModelReferenceError then if the bundle at
    ``certificate_authority`` cannot be loaded.
    """

    def __init__(
        self, policy: AddressPolicy, certificate_authority: str | None, remaining_seconds: Callable[[], float]
    ) -> None:
        self._backend = CheckedBackend(policy, remaining_seconds)
        self._certificate_authority = certificate_authority
        self._is_trusting = False
        self._pool = self._pooled(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        if request.url.scheme == "https" and not self._is_trusting:
            self._pool.close()
            self._pool = self._pooled(_trust(self._certificate_authority))
            self._is_trusting = True
        return super().handle_request(request)

    def _pooled(self, context: ssl.SSLContext) -> httpcore2.ConnectionPool:
        return httpcore2.ConnectionPool(
            ssl_context=context,
            max_connections=_MAX_CONNECTIONS,
            keepalive_expiry=_KEEPALIVE_SECONDS,
            network_backend=self._backend,
        )


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
