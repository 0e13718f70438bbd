"""Connections that are checked after name resolution, each of them, whatever made us open it."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterable, Iterator
from typing import Any

import httpcore2
import httpx2

from joulecast.errors import ModelReferenceError
from joulecast.sources.address import AddressPolicy, forbidden

_MAX_CONNECTIONS = 4
_KEEPALIVE_SECONDS = 30.0


class CheckedBackend(httpcore2.NetworkBackend):
    """Resolves a name once, drops the addresses that ``policy`` denies and connects to one that is left.

    Raises ModelFetchError (ForbiddenAddress) if none is left.
    """

    def __init__(self, policy: AddressPolicy) -> None:
        self._policy = policy
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
                return self._sockets.connect_tcp(address, port, timeout, local_address, socket_options)
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

    def __init__(self, policy: AddressPolicy, certificate_authority: str | None) -> None:
        self._backend = CheckedBackend(policy)
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
