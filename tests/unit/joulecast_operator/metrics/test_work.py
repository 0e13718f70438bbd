"""Figures on jobs, fetches and the cache."""

from __future__ import annotations

import asyncio

from prometheus_client import CollectorRegistry

from joulecast_operator.metrics.registry import registry_with
from joulecast_operator.metrics.work import (
    CACHE_REQUESTS,
    FETCH_DURATION,
    FETCHED_BYTES,
    OLDEST,
    QUEUED,
    RUNNING,
    TurnsCollector,
    WorkMetrics,
)
from joulecast_operator.workers.fair_queue import Bounds, Requester, Ticket
from joulecast_operator.workers.turns import Turns

BOUNDS = Bounds(running=1, running_per_namespace=1, running_per_registry=1, waiting=10, waiting_per_namespace=10)


def registry(metrics: WorkMetrics) -> CollectorRegistry:
    return registry_with(*metrics.collectors)


def test_every_series_starts_at_zero() -> None:
    found = registry(WorkMetrics())
    for kind in ("claim", "profile", "price"):
        for result in ("hit", "miss"):
            assert found.get_sample_value(CACHE_REQUESTS.name, {"kind": kind, "result": result}) == 0
    for operation in ("resolve", "fetch"):
        assert found.get_sample_value(f"{FETCH_DURATION.name}_count", {"operation": operation}) == 0


def test_fetches_and_lookups_are_added_up() -> None:
    metrics = WorkMetrics()
    found = registry(metrics)
    metrics.fetched("fetch", 0.3)
    metrics.fetched("fetch", 1.7)
    metrics.received(100)
    metrics.received(23)
    metrics.looked_up("price", hits=2, misses=1)
    assert found.get_sample_value(f"{FETCH_DURATION.name}_sum", {"operation": "fetch"}) == 2.0
    assert found.get_sample_value(f"{FETCH_DURATION.name}_bucket", {"operation": "fetch", "le": "0.5"}) == 1
    assert found.get_sample_value(FETCHED_BYTES.name) == 123
    assert found.get_sample_value(CACHE_REQUESTS.name, {"kind": "price", "result": "hit"}) == 2
    assert found.get_sample_value(CACHE_REQUESTS.name, {"kind": "price", "result": "miss"}) == 1


def test_jobs_that_wait_and_run_are_read_at_the_scrape() -> None:
    async def run() -> list[float | None]:
        now = [100.0]
        turns = Turns("fetch", BOUNDS, now=lambda: now[0])
        found, end = registry_with(TurnsCollector([turns])), asyncio.Event()

        async def job() -> None:
            ticket = Ticket(registry="r")
            with ticket.held_by(Requester(namespace="shop")):
                async with turns.turn(ticket):
                    await end.wait()

        jobs = [asyncio.create_task(job()) for _ in range(3)]
        await asyncio.sleep(0)
        now[0] = 107.0
        values = [found.get_sample_value(metric.name, {"pool": "fetch"}) for metric in (RUNNING, QUEUED, OLDEST)]
        end.set()
        await asyncio.gather(*jobs)
        return values

    assert asyncio.run(run()) == [1, 2, 7]
