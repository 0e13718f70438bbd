"""Open the two ports of each process: health pages over plain HTTP, and /metrics over TLS with access control."""

from __future__ import annotations

import asyncio
import ssl
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from aiohttp import web
from prometheus_client import CollectorRegistry

from joulecast_operator.cluster.client import Cluster
from joulecast_operator.serving import self_signed
from joulecast_operator.serving.certificate import Certificate, CertificateError
from joulecast_operator.serving.health import Health, health_application, listening, metrics_application, served
from joulecast_operator.serving.metrics_access import MetricsAccess
from joulecast_operator.settings import Settings

_REVIEWS_AT_A_TIME = 4

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def opened(settings: Settings, registry: CollectorRegistry, health: Health) -> AsyncIterator[None]:
    """Serve both ports. With ``metrics_insecure`` all pages are also served on the metrics' port in plain HTTP, to all.

    Ends the program with a message if the files that are given for /metrics do not hold a certificate.
    """
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(listening(health_application(health), settings.health_port))
        if settings.metrics_insecure:
            await stack.enter_async_context(served(settings.metrics_port, registry, health))
        else:
            await stack.enter_async_context(_secured(settings, registry))
        yield


@asynccontextmanager
async def _secured(settings: Settings, registry: CollectorRegistry) -> AsyncIterator[None]:
    cluster = Cluster(concurrency=_REVIEWS_AT_A_TIME)  # a separate one: reconciles must not delay scrapes
    app = metrics_application(registry, guarded(MetricsAccess(cluster)))
    context, watching = await _context(settings)
    try:
        async with listening(app, settings.metrics_port, tls=context):
            yield
    finally:
        if watching is not None:
            watching.cancel()
        await cluster.close()


async def _context(settings: Settings) -> tuple[ssl.SSLContext, asyncio.Task[None] | None]:
    """Return the TLS context of /metrics, and the task that reloads its files when they change."""
    if not settings.metrics_certfile:
        return await self_signed.context(), None
    certificate = Certificate(settings.metrics_certfile, settings.metrics_keyfile, server="the certificate of /metrics")
    try:
        certificate.load()
    except CertificateError as error:
        sys.exit(f"{error}; give a certificate and its key in PEM form, or leave --metrics-certfile out")
    return certificate.context, asyncio.create_task(certificate.watch())


def guarded(access: MetricsAccess) -> Callable[[web.Request, Handler], Awaitable[web.StreamResponse]]:
    """Return a middleware that refuses the requests that ``access`` refuses."""

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        refusal = await access.refusal(request.headers.get("Authorization", ""), request.remote)
        if refusal is None:
            return await handler(request)
        challenge = {"WWW-Authenticate": "Bearer"} if refusal.status == 401 else {}
        return web.Response(status=refusal.status, text=f"{refusal.text}\n", headers=challenge)

    return guard
