"""Serve the pages of both processes: /healthz, /readyz and /metrics."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from joulecast_operator.metrics import exposition

ProblemCheck = Callable[[], str | None]
"""Returns what is wrong now, as a sentence; None if nothing is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What the health pages report.

    - ``sick``: returns why the process should be restarted.
    - ``unready``: returns why the process should not get requests yet.
    - ``notes``: returns further lines for /readyz.
    """

    sick: ProblemCheck
    unready: ProblemCheck
    notes: Callable[[], Sequence[str]] = tuple


@asynccontextmanager
async def served(
    port: int, registry: CollectorRegistry, health: Health, *, host: str | None = None
) -> AsyncIterator[int]:
    """Serve all three pages over plain HTTP without access control, and yield the port, a free one if ``port`` is 0."""
    app = health_application(health)
    app.add_routes(_metrics_routes(registry))
    async with listening(app, port, host=host) as opened:
        yield opened


@asynccontextmanager
async def listening(
    app: web.Application,
    port: int,
    *,
    host: str | None = None,
    tls: ssl.SSLContext | None = None,
    linger_seconds: float = 10.0,
) -> AsyncIterator[int]:
    """Serve ``app`` on ``host``, or on all addresses if it is None, and yield the port.

    ``linger_seconds``: how long to read the rest of a request that was answered before all of it had arrived.
    """
    runner = web.AppRunner(app, access_log=None, lingering_time=linger_seconds)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, ssl_context=tls).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def health_application(health: Health) -> web.Application:
    """Return the application that serves /healthz and /readyz."""

    async def healthz(_: web.Request) -> web.Response:
        return _answer(health.sick())

    async def readyz(_: web.Request) -> web.Response:
        return _answer(health.sick() or health.unready(), health.notes())

    app = web.Application()
    app.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz)])
    return app


def metrics_application(registry: CollectorRegistry, guard: Any) -> web.Application:
    """Return the application that serves /metrics behind the middleware ``guard``."""
    app = web.Application(middlewares=[guard])
    app.add_routes(_metrics_routes(registry))
    return app


def _metrics_routes(registry: CollectorRegistry) -> list[web.RouteDef]:
    async def metrics(_: web.Request) -> web.Response:
        page = await asyncio.to_thread(exposition.page, registry)  # thousands of series would delay the event loop
        response = web.Response(body=page, headers={"Content-Type": CONTENT_TYPE_LATEST}, zlib_executor_size=1024)
        response.enable_compression()  # also in a thread, if the client accepts it: to a fifteenth of the bytes
        return response

    return [web.get("/metrics", metrics)]


def _answer(problem: str | None, notes: Sequence[str] = ()) -> web.Response:
    text = "".join(f"{line}\n" for line in (problem or "ok", *notes))
    return web.Response(text=text, status=503 if problem else 200)
