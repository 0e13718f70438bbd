"""Test that a job waits for its turn, tells its requesters so, and ends its turn in whatever way it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from joulecast_operator.workers.fair_queue import Bounds, QueueFullError, Requester, Ticket
from joulecast_operator.workers.turns import Turns


class World:
    """Workers, one for each namespace, and jobs that last until the test ends them."""

    def __init__(self, *, running: int = 1) -> None:
        self.now = 1000.0
        self.told: list[str] = []
        self.running: list[str] = []
        limits = Bounds(
            running=running, running_per_namespace=1, running_per_registry=1, waiting=10, waiting_per_namespace=2
        )
        self.turns = Turns("fetch", limits, now=lambda: self.now)
        self.ends: dict[str, asyncio.Event] = {}

    async def job(self, name: str, namespace: str = "shop") -> None:
        ticket, end = Ticket(registry="r"), self.ends.setdefault(name, asyncio.Event())
        requester = Requester(namespace=namespace, on_change=lambda: self.told.append(name))
        with ticket.held_by(requester):
            async with self.turns.turn(ticket):
                self.running.append(name)
                try:
                    await end.wait()
                finally:
                    self.running.remove(name)

    async def hold(self, ticket: Ticket) -> None:
        async with self.turns.turn(ticket):
            self.running.append("held")
            await asyncio.Event().wait()

    async def start(self, name: str, namespace: str = "shop") -> asyncio.Task[None]:
        task = asyncio.create_task(self.job(name, namespace))
        await settled()
        return task

    async def end(self, name: str) -> None:
        self.ends[name].set()
        await settled()


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_a_job_runs_at_once_where_it_can_and_tells_nobody() -> None:
    async def run(world: World) -> None:
        await world.start("a")
        assert (world.running, world.told, world.turns.waiting) == (["a"], [], 0)

    with_world(run)


def test_who_waits_is_told_so_and_told_again_when_its_turn_comes() -> None:
    async def run(world: World) -> None:
        await world.start("a")
        await world.start("b")
        assert (world.running, world.told, world.turns.waiting, world.turns.running) == (["a"], ["b"], 1, 1)
        await world.end("a")
        assert (world.running, world.told, world.turns.waiting, world.turns.running) == (["b"], ["b", "b"], 0, 1)

    with_world(run)


def test_a_further_requester_brings_its_turn_at_once() -> None:
    async def run(world: World) -> None:
        await world.start("a")
        ticket = Ticket(registry="other")
        with ticket.held_by(Requester(namespace="shop")):
            waiting = asyncio.create_task(world.hold(ticket))
            await settled()
            assert world.running == ["a"], "its namespace has no further turn"
            with ticket.held_by(Requester(namespace="other")):
                await settled()
                assert world.running == ["a", "held"]
                waiting.cancel()
                await settled()

    with_world(run, running=2)


def test_a_job_that_is_cancelled_while_it_waits_leaves_the_queue() -> None:
    async def run(world: World) -> None:
        await world.start("a")
        waiting = await world.start("b")
        await world.start("c")
        waiting.cancel()
        await settled()
        assert world.turns.waiting == 1
        await world.end("a")
        assert world.running == ["c"]

    with_world(run)


@pytest.mark.parametrize("cancelled_first", [False, True])
def test_a_turn_that_comes_at_the_moment_of_the_cancelling_is_given_back(cancelled_first: bool) -> None:
    async def run(world: World) -> None:
        await world.start("a")
        waiting = await world.start("b")
        await world.start("c")
        if cancelled_first:
            waiting.cancel()
            world.ends["a"].set()
        else:
            world.ends["a"].set()
            await asyncio.sleep(0)
            waiting.cancel()
        await settled()
        assert (world.running, world.turns.running) == (["c"], 1)
        assert waiting.cancelled()

    with_world(run)


def test_a_job_under_way_that_is_cancelled_or_fails_gives_its_turn_back() -> None:
    async def run(world: World) -> None:
        first = await world.start("a")
        await world.start("b")
        first.cancel()
        await settled()
        assert world.running == ["b"]

    with_world(run)


def test_one_namespace_too_many_is_refused_and_takes_no_place() -> None:
    async def run(world: World) -> None:
        for name in "abc":
            await world.start(name)
        with pytest.raises(QueueFullError):
            await world.job("d")
        assert world.turns.waiting == 2
        await world.start("e", namespace="other")
        await world.end("a")
        assert world.running in (["b"], ["e"])
        await world.end(*world.running)
        assert set(world.told) == {"b", "c", "e"}

    with_world(run)


def test_the_age_is_of_the_job_that_has_waited_longest() -> None:
    async def run(world: World) -> None:
        await world.start("a")
        assert world.turns.oldest_seconds() == 0
        await world.start("b")
        world.now += 30
        await world.start("c")
        world.now += 5
        assert world.turns.oldest_seconds() == 35
        await world.end("a")
        assert world.turns.oldest_seconds() == 5
        await world.end("b")
        assert world.turns.oldest_seconds() == 0

    with_world(run)


def with_world(run: Any, **options: int) -> None:
    async def within() -> None:
        world = World(**options)
        test: Coroutine[Any, Any, None] = run(world)
        await test

    asyncio.run(within())
