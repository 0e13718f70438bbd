"""The HTTPS server of admission reviews: other clients cannot keep it from answering the API server.

Where the authority of the API server's client certificate is known, others are refused before they are read. Else every
address has a rate of its own. Either way bodies, how many of them are read at a time and how long are bounded, and a
refusal costs no more than the head of its request.
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

REVIEW_BYTES: Final = 2**20
"""A larger review is refused, which lets the workload through: the objects of one Deployment are some 10 KB."""

REVIEWS_PER_SECOND: Final = 400.0  # of one address: twice the 200 a second that a webhook is made to answer in time
_REVIEWS_AT_ONCE: Final = 800.0
_SMALL_BYTES: Final = 2**16  # six times a usual review: as many are read as there are addresses with a turn
_LARGE_AT_A_TIME: Final = 32  # of REVIEW_BYTES each in memory
_READ_OF_ONE_ADDRESS: Final = 16
_BODY_SECONDS: Final = 2.0  # the API server waits no longer for its answer
_LINGER_SECONDS: Final = 0.5  # for what a refused client still sends; aiohttp's own 10 s would keep its connection


_ANSWERS: Final[Mapping[RefusalReason, tuple[int, str]]] = {
    "certificate": (403, "only the API server is answered, by its client certificate: see webhook.clientAuthority"),
    "rate": (429, "more reviews than an API server sends: wait a moment"),
    "size": (413, f"a review may have {REVIEW_BYTES:,} bytes"),
    "slow": (408, f"a review must arrive within {_BODY_SECONDS:g} s"),
    "malformed": (400, "the body is not an AdmissionReview in JSON"),
}

ReviewHandler = Callable[[Any], dict[str, Any]]


class RefusalObserver(Protocol):
    """What is told of every refusal."""

    def refused(self, reason: RefusalReason) -> None: ...


class RequestGuard:
    """Decides who is heard. ``client_names``: the common names that a checked client certificate may have, any where
    none is given; None where no certificates are asked for, and rates hold instead."""

    def __init__(self, client_names: Collection[str] | None, rates: AddressRates | None = None) -> None:
        self._client_names = client_names
        self._rates = rates or AddressRates(per_second=REVIEWS_PER_SECOND, burst=_REVIEWS_AT_ONCE)
        self._large = asyncio.Semaphore(_LARGE_AT_A_TIME)
        self._waiting: Counter[str | None] = Counter()
        self._of_address: dict[str | None, asyncio.Semaphore] = {}

    def refusal(self, certificate: Mapping[str, Any] | None, address: str | None) -> RefusalReason | None:
        """Say why a request is not even read."""
        if self._client_names is None:
            return None if self._rates.admits(address) else "rate"
        named = common_name(certificate or {})
        is_known = named is not None and (not self._client_names or named in self._client_names)
        return None if is_known else "certificate"

    async def read(self, request: web.Request) -> bytes:
        """Read the body when it is this address's turn. Raises TimeoutError for one that comes too slowly and
        HTTPRequestEntityTooLarge for a large one."""
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
    """What kopf opens once the index is filled. ``check_seconds``: between two looks at the certificate."""

    def __init__(
        self,
        review: ReviewHandler,
        certificate: Certificate,
        observer: RefusalObserver,
        *,
        host: str,
        port: int,
        client_names: Collection[str] | None = None,
        check_seconds: float = CHECK_SECONDS,
    ) -> None:
        self._review = review
        self.certificate = certificate
        self._observer = observer
        self._host, self._port = host, port
        self._client_names = client_names
        self._check_seconds = check_seconds
        self.listening = False

    async def __call__(self, _: Any) -> AsyncIterator[Any]:
        """Serve until cancelled; kopf's own way to answer is left unused."""
        watching = asyncio.create_task(self.certificate.watch(self._check_seconds))
        app = application(self._review, RequestGuard(self._client_names), self._observer)
        try:
            async with listening(
                app, self._port, host=self._host or None, tls=self.certificate.context, linger_seconds=_LINGER_SECONDS
            ):
                gc.collect()  # else a collection walks the whole index while reviews wait
                gc.freeze()
                self.listening = True
                yield {"url": f"https://{self._host or 'localhost'}:{self._port}"}
                await asyncio.Event().wait()
        finally:
            watching.cancel()
            gc.unfreeze()  # what is still frozen when Python ends is never freed, and extension modules report leaks


def application(review: ReviewHandler, door: RequestGuard, observer: RefusalObserver) -> web.Application:
    """Return the application that answers reviews by POST, at any path."""

    def refused(reason: RefusalReason, request: web.Request) -> web.Response:
        observer.refused(reason)
        status, text = _ANSWERS[reason]
        response = web.Response(status=status, text=f"{text}\n")
        if not _is_small(request):  # a small rest is passed over, which costs less than the next handshake
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
        return web.json_response(review(asked))

    app = web.Application(client_max_size=REVIEW_BYTES)
    app.add_routes([web.post("/{path:.*}", admit)])
    return app


def _is_small(request: web.Request) -> bool:
    length = request.content_length
    return length is not None and length <= _SMALL_BYTES


def common_name(certificate: Mapping[str, Any]) -> str | None:
    """Return the common name in a certificate's subject; None where there is no certificate."""
    for part in certificate.get("subject") or ():
        for name, value in part:
            if name == "commonName":
                return str(value)
    return "" if certificate else None


def _certificate(request: web.Request) -> Mapping[str, Any] | None:
    transport = request.transport
    connection = transport.get_extra_info("ssl_object") if transport else None
    return connection.getpeercert() if isinstance(connection, ssl.SSLObject) else None
