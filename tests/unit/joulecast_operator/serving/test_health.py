from __future__ import annotations

import asyncio
import gzip

import aiohttp
from prometheus_client import CollectorRegistry, Gauge

from joulecast_operator.serving.health import Health, served


def get(health: Health, *paths: str) -> list[tuple[int, str]]:
    async def ask() -> list[tuple[int, str]]:
        registry = CollectorRegistry()
        Gauge("answer", "An answer.", registry=registry).set(42)
        async with served(0, registry, health, host="127.0.0.1") as port, aiohttp.ClientSession() as session:
            found = []
            for path in paths:
                async with session.get(f"http://127.0.0.1:{port}{path}") as response:
                    found.append((response.status, await response.text()))
            return found

    return asyncio.run(ask())


def nothing() -> None:
    return None


def test_a_healthy_process_serves_its_metrics() -> None:
    health, ready, metrics = get(Health(sick=nothing, unready=nothing), "/healthz", "/readyz", "/metrics")
    assert health == ready == (200, "ok\n")
    assert metrics[0] == 200
    assert "answer 42.0" in metrics[1]


def test_a_process_that_fills_its_index_lives_but_is_not_ready() -> None:
    health, ready = get(Health(sick=nothing, unready=lambda: "the index is being filled"), "/healthz", "/readyz")
    assert health[0] == 200
    assert ready == (503, "the index is being filled\n")


def test_a_stale_watch_is_fatal_and_says_so() -> None:
    health, ready = get(Health(sick=lambda: "the watch is stale", unready=nothing), "/healthz", "/readyz")
    assert health == ready == (503, "the watch is stale\n")


def test_a_page_is_compressed_for_those_who_take_it_so() -> None:
    registry = CollectorRegistry()
    gauge = Gauge("answers", "Answers.", ["name"], registry=registry)
    for number in range(500):
        gauge.labels(f"a-rather-long-name-{number}").set(number)

    async def ask(accepted: str) -> tuple[str | None, bytes]:
        headers = {"Accept-Encoding": accepted}
        async with (
            served(0, registry, Health(sick=nothing, unready=nothing), host="127.0.0.1") as port,
            aiohttp.ClientSession(auto_decompress=False) as session,
            session.get(f"http://127.0.0.1:{port}/metrics", headers=headers) as response,
        ):
            return response.headers.get("Content-Encoding"), await response.read()

    (plain, whole), (packed, small) = (asyncio.run(ask(accepted)) for accepted in ("identity", "gzip"))
    assert (plain, packed) == (None, "gzip")
    assert gzip.decompress(small) == whole
    assert len(small) < len(whole) / 5
