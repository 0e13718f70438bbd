"""Test that a tenant whose registries do not answer delays no other tenant, not even one with an equal request."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from joulecast_operator.estimates.forecasts import Forecaster
from joulecast_operator.estimates.outcomes import Failure, Forecast, Outcome
from joulecast_operator.estimates.request import ForecastRequest
from joulecast_operator.settings import Settings
from joulecast_operator.workers import pool
from joulecast_operator.workers.fair_queue import Requester
from joulecast_operator.workers.frames import Header
from tests.unit.joulecast_operator.estimates.test_forecasts import Registry
from tests.unit.joulecast_operator.samples.estimates import REQUEST

SILENT = [replace(REQUEST, image=f"silent-{number % 20}.example/team/model:{number}") for number in range(60)]


class Registries(Registry):
    """Registries; those named "silent" never answer. ``asked``: images of the jobs; ``ended``: how many ended."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.ended = 0

    async def run(self, header: Mapping[str, Any], body: bytes = b"") -> tuple[Header, bytes]:
        self.asked.append(header.get("image", ""))
        if self.asked[-1].startswith("silent"):
            try:
                await asyncio.Event().wait()
            finally:
                self.ended += 1
        return await super().run(header, body)


@pytest.fixture
def registries(monkeypatch: pytest.MonkeyPatch) -> Registries:
    found = Registries()
    monkeypatch.setattr(pool.Pool, "run", lambda _, header, body=b"": found.run(header, body))
    return found


def with_forecasts(
    folder: Path, run: Callable[[Forecaster], Coroutine[Any, Any, None]], **settings: int
) -> CollectorRegistry:
    """Return the metrics after that."""
    registry = CollectorRegistry()

    async def within() -> None:
        forecasts = Forecaster(Settings(cache_dir=folder, **settings))  # type: ignore[arg-type]
        for collector in forecasts.collectors:
            registry.register(collector)
        await run(forecasts)

    asyncio.run(within())
    return registry


async def ask(forecasts: Forecaster, request: ForecastRequest, namespace: str) -> Outcome:
    return await forecasts.forecast(request, requester=Requester(namespace=namespace))


async def started(
    forecasts: Forecaster, requests: list[ForecastRequest], namespace: str
) -> list[asyncio.Task[Outcome]]:
    tasks = [asyncio.create_task(ask(forecasts, request, namespace)) for request in requests]
    await asyncio.sleep(0.01)
    return tasks


def test_sixty_estimates_on_twenty_silent_hosts_do_not_delay_another_namespace(
    registries: Registries, tmp_path: Path
) -> None:
    async def run(forecasts: Forecaster) -> None:
        slow = await started(forecasts, SILENT, "slow")
        assert isinstance(await ask(forecasts, REQUEST, "shop"), Forecast)
        assert not any(task.done() for task in slow)
        assert sum(image.startswith("silent") for image in registries.asked) == 2, "half of the fetchers"
        for task in slow:
            task.cancel()
        await asyncio.wait(slow)
        await asyncio.sleep(0.01)
        assert registries.ended == 2

    registry = with_forecasts(tmp_path, run)
    for name in ("joulecast_queued_jobs", "joulecast_running_jobs", "joulecast_oldest_queued_job_seconds"):
        assert registry.get_sample_value(name, {"pool": "fetch"}) == 0


def test_a_job_that_the_slow_tenant_also_waits_for_has_another_namespaces_turn(
    registries: Registries, tmp_path: Path
) -> None:
    async def run(forecasts: Forecaster) -> None:
        slow = await started(forecasts, [*SILENT, REQUEST], "slow")
        assert REQUEST.image not in registries.asked
        assert isinstance(await ask(forecasts, REQUEST, "shop"), Forecast)
        assert isinstance(await slow[-1], Forecast), "it comes along"
        assert not any(task.done() for task in slow[:-1])

    with_forecasts(tmp_path, run)


def test_a_namespace_that_fills_its_part_of_the_queue_is_refused_alone(registries: Registries, tmp_path: Path) -> None:
    async def run(forecasts: Forecaster) -> None:
        await started(forecasts, SILENT[:12], "slow")
        refused = await ask(forecasts, SILENT[12], "slow")
        assert isinstance(refused, Failure)
        assert (refused.reason, refused.transient) == ("QueueFull", True)
        assert isinstance(await ask(forecasts, REQUEST, "shop"), Forecast)

    with_forecasts(tmp_path, run, queued_jobs_per_namespace=10)


def test_the_settings_decide_the_shares(registries: Registries, tmp_path: Path) -> None:
    async def run(forecasts: Forecaster) -> None:
        await started(forecasts, SILENT, "slow")
        assert len(registries.asked) == 3

    with_forecasts(tmp_path, run, fetchers=8, fetches_per_namespace=3)


def test_work_is_counted(registries: Registries, tmp_path: Path) -> None:
    async def run(forecasts: Forecaster) -> None:
        for _ in range(2):
            await ask(forecasts, REQUEST, "shop")
        await ask(forecasts, replace(REQUEST, batch_sizes=(32, 64)), "shop")

    registry = with_forecasts(tmp_path, run)
    value = registry.get_sample_value
    assert value("joulecast_fetch_duration_seconds_count", {"operation": "fetch"}) == 1
    assert value("joulecast_fetch_duration_seconds_count", {"operation": "resolve"}) >= 1  # type: ignore[operator]
    assert value("joulecast_fetched_bytes_total") == 10
    found = {
        kind: [value("joulecast_cache_requests_total", {"kind": kind, "result": each}) for each in ("hit", "miss")]
        for kind in ("claim", "profile", "price")
    }
    assert found == {"claim": [2, 1], "profile": [1, 2], "price": [1, 2]}, json.dumps(found)
