"""Serve admission reviews over HTTPS so that other clients cannot keep the server from answering the API server.

If the authority of the API server's client certificate is known, requests of other clients are refused before their
body is read. Otherwise the rate of requests of each address is limited. In both cases the size of a body, the number of
bodies that are read at a time, and the time to read one are bounded, and a refusal reads only the head of a request.
"""

from __future__ import annotations

import asyncio
import gc
import json
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import nullcontext
from typing import Any, Final, Protocol

from aiohttp import web

from joulecast_operator.metrics.reasons import RefusalReason
from joulecast_operator.serving.certificate import CHECK_SECONDS, Certificate
from joulecast_operator.serving.health import listening
from joulecast_operator.serving.rates import AddressRates

WARNINGS_PATH: Final = "/warn"
"""End of the path to which the API server sends objects that are not changed, but only warned about."""

REVIEW_BYTES: Final = 2**20
"""Most bytes of a review. A larger one is refused, and the API server then admits the object without the webhook; a
review of a Deployment has some 10 KB."""

REVIEWS_PER_SECOND: Final = 400.0  # of one address: twice the 200 a second that the webhook must answer in time
_REVIEWS_AT_ONCE: Final = 800.0
_SMALL_BYTES: Final = 2**16  # six times a usual review; small bodies are not counted against _LARGE_AT_A_TIME
_LARGE_AT_A_TIME: Final = 32  # bodies of up to REVIEW_BYTES in memory
_READ_OF_ONE_ADDRESS: Final = 16  # bodies of one address that are read at a time
_BODY_SECONDS: Final = 2.0  # the API server waits no longer for its answer
_LINGER_SECONDS: Final = 0.5  # for the rest of a refused request; aiohttp's default would keep the connection for 10 s


_ANSWERS: Final[Mapping[RefusalReason, tuple[int, str]]] = {
    "certificate": (403, "only the API server with its client certificate is answered: see webhook.clientAuthority"),
    "rate": (429, "this address sends more reviews than an API server does: wait a moment"),
    "size": (413, f"a review may have at most {REVIEW_BYTES:,} bytes"),
    "slow": (408, f"a review must arrive within {_BODY_SECONDS:g} s"),
    "malformed": (400, "the body is not an AdmissionReview in JSON"),
}

ReviewHandler = Callable[[Any], dict[str, Any]]
"""Returns the answer to an AdmissionReview, both as JSON values."""


class RefusalObserver(Protocol):
    """Is told of every refused request."""

    def refused(self, reason: RefusalReason) -> None:
        """Count a request that was refused."""


class RequestGuard:
    """Decides which requests are read, and reads them within bounds.

    ``client_names``: the common names that a verified client certificate may have; any if it is empty; None if clients
    need no certificate, and the rate of each address is limited instead.
    """

    def __init__(self, client_names: Collection[str] | None, rates: AddressRates | None = None) -> None:
        self._client_names = client_names
        self._rates = rates or AddressRates(per_second=REVIEWS_PER_SECOND, burst=_REVIEWS_AT_ONCE)
        self._large = asyncio.Semaphore(_LARGE_AT_A_TIME)
        self._waiting: Counter[str | None] = Counter()
        self._of_address: dict[str | None, asyncio.Semaphore] = {}

    def refusal(self, certificate: Mapping[str, Any] | None, address: str | None) -> RefusalReason | None:
        """Return why a request is refused before its body is read; None if it may be read."""
        if self._client_names is None:
            return None if self._rates.admits(address) else "rate"
        named = common_name(certificate or {})
        is_known = named is not None and (not self._client_names or named in self._client_names)
        return None if is_known else "certificate"

    async def read(self, request: web.Request) -> bytes:
        """Read the body when few enough others are being read. Raises TimeoutError if it comes too slowly, and
        HTTPRequestEntityTooLarge if it is too large."""
        address = request.remote
        turn = self._of_address.setdefault(address, asyncio.Semaphore(_READ_OF_ONE_ADDRESS))
        self._waiting[address] += 1
        try:
            async with turn, nullcontext() if _is_small(request) else self._large, asyncio.timeout(_BODY_SECONDS):
                return await request.read()
        finally:
            self._waiting[address] -= 1
            if not self._waiting[address]:
                del self._waiting[address], self._of_address[address]


class AdmissionServer:
    """The HTTPS server, which kopf starts when the index is filled.

    ``review`` answers a review, and ``warn`` one of an object that must not be changed. ``client_names``: as for
    ``RequestGuard``. ``check_seconds``: time between two looks at the certificate's files.
    """

    def __init__(
        self,
        review: ReviewHandler,
        certificate: Certificate,
        observer: RefusalObserver,
        *,
        warn: ReviewHandler,
        host: str,
        port: int,
        client_names: Collection[str] | None = None,
        check_seconds: float = CHECK_SECONDS,
    ) -> None:
        self._review, self._warn = review, warn
        self.certificate = certificate
        self._observer = observer
        self._host, self._port = host, port
        self._client_names = client_names
        self._check_seconds = check_seconds
        self.listening = False

    async def __call__(self, _: Any) -> AsyncIterator[Any]:
        """Serve until cancelled, as soon as there is a certificate. The argument, kopf's own handler, is not used."""
        await self.certificate.arrival()
        watching = asyncio.create_task(self.certificate.watch(self._check_seconds))
        app = application(self._review, RequestGuard(self._client_names), self._observer, warn=self._warn)
        try:
            async with listening(
                app, self._port, host=self._host or None, tls=self.certificate.context, linger_seconds=_LINGER_SECONDS
            ):
                gc.collect()  # else a later collection would visit the whole index while reviews wait
                gc.freeze()
                self.listening = True
                yield {"url": f"https://{self._host or 'localhost'}:{self._port}"}
                await asyncio.Event().wait()
        finally:
            watching.cancel()
            gc.unfreeze()  # frozen objects are never freed, and extension modules would report them as leaks


def application(
    review: ReviewHandler, door: RequestGuard, observer: RefusalObserver, *, warn: ReviewHandler
) -> web.Application:
    """Return the application that answers reviews sent by POST: by ``warn`` at a path that ends in WARNINGS_PATH, by
    ``review`` at any other."""

    def refused(reason: RefusalReason, request: web.Request) -> web.Response:
        observer.refused(reason)
        status, text = _ANSWERS[reason]
        response = web.Response(status=status, text=f"{text}\n")
        if not _is_small(request):  # reading the rest of a small request costs less than a new TLS handshake
            response.force_close()
        return response

    async def admit(request: web.Request) -> web.Response:
        reason = door.refusal(_certificate(request), request.remote)
        if reason is None and (request.content_length or 0) > REVIEW_BYTES:
            reason = "size"
        if reason is not None:
            return refused(reason, request)
        try:
            asked = json.loads(await door.read(request))
        except web.HTTPRequestEntityTooLarge:
            return refused("size", request)
        except TimeoutError:
            return refused("slow", request)
        except (ValueError, RecursionError):
            return refused("malformed", request)
        answer = warn if request.path.endswith(WARNINGS_PATH) else review
        return web.json_response(answer(asked))

    app = web.Application(client_max_size=REVIEW_BYTES)
    app.add_routes([web.post("/{path:.*}", admit)])
    return app


def _is_small(request: web.Request) -> bool:
    length = request.content_length
    return length is not None and length <= _SMALL_BYTES


def common_name(certificate: Mapping[str, Any]) -> str | None:
    """Return the common name in a certificate's subject, "" if it has none; None if there is no certificate."""
    for part in certificate.get("subject") or ():
        for name, value in part:
            if name == "commonName":
                return str(value)
    return "" if certificate else None


def _certificate(request: web.Request) -> Mapping[str, Any] | None:
    transport = request.transport
    connection = transport.get_extra_info("ssl_object") if transport else None
    return connection.getpeercert() if isinstance(connection, ssl.SSLObject) else None
