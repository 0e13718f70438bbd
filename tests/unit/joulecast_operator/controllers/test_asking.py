"""Test that an estimate that waits for its turn shows this, is written rarely, and delays no reconciler."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from joulecast_operator.api.conditions import condition
from joulecast_operator.api.kinds import ESTIMATES
from joulecast_operator.api.objects import Key
from joulecast_operator.cluster.workqueue import WorkQueue
from joulecast_operator.controllers import asking
from joulecast_operator.controllers.asking import Rate
from joulecast_operator.controllers.estimates import Estimates
from joulecast_operator.estimates.outcomes import Outcome
from joulecast_operator.estimates.request import ForecastRequest
from joulecast_operator.index.index import Index
from joulecast_operator.workers.fair_queue import Bounds, Requester, Ticket
from joulecast_operator.workers.turns import Turns
from tests.unit.joulecast_operator.samples.estimates import estimate, forecast


class World:
    """Estimates of several namespaces in the queue of one worker, whose job ends when the test says so."""

    def __init__(self, *, patient: int = 16) -> None:
        self.now = 1000.0
        self.writes: list[tuple[str, str]] = []
        self.running: list[str] = []
        self.may_end = asyncio.Semaphore(0)
        self.index = Index()
        self.version = 1
        self.queue: WorkQueue[Key] = WorkQueue(first_pause_seconds=5, now=lambda: self.now)
        limits = Bounds(
            running=1, running_per_namespace=1, running_per_registry=1, waiting=999, waiting_per_namespace=999
        )
        self.turns = Turns("fetch", limits)
        self.estimates = Estimates(
            index=self.index,
            cluster=None,  # type: ignore[arg-type]  # no pull secrets here
            writer=self,  # type: ignore[arg-type]
            forecasts=self,  # type: ignore[arg-type]
            queue=self.queue,
            overrides=list,
            rate=Rate(1000),
            patience=asyncio.Semaphore(patient),
            now=lambda: self.now,
        )

    async def forecast(self, request: ForecastRequest, *, fresh: bool, requester: Requester) -> Outcome:
        ticket = Ticket(registry="r")
        with ticket.held_by(requester):
            async with self.turns.turn(ticket):
                self.running.append(request.image)
                try:
                    await self.may_end.acquire()
                finally:
                    self.running.remove(request.image)
        return forecast(image=request.image)

    async def status(self, _: object, resource: dict[str, Any], desired: dict[str, Any]) -> bool:
        if resource.get("status") == desired:
            return False
        self.writes.append((resource["metadata"]["name"], desired["conditions"][-1]["reason"]))
        self.put({**resource, "status": desired})
        return True

    def put(self, resource: dict[str, Any]) -> None:
        self.version += 1
        metadata = {**resource["metadata"], "resourceVersion": str(self.version)}
        self.index.put(ESTIMATES, {**resource, "metadata": metadata})

    def add(self, name: str, namespace: str) -> Key:
        resource = estimate(model={"image": name}, accelerators={"names": ["NVIDIA-H200"]})
        resource["metadata"] |= {"name": name, "namespace": namespace}
        self.put(resource)
        return Key(kind=ESTIMATES.kind, namespace=namespace, name=name)

    async def ask(self, *keys: Key) -> None:
        """Reconcile, and again after the time in which a pending request is not shown."""
        for key in keys:
            await self.estimates.reconcile(key)
        self.now += 2
        for key in keys:
            await self.estimates.reconcile(key)

    async def next_turn(self) -> None:
        self.may_end.release()
        for _ in range(10):
            await asyncio.sleep(0)

    def ready(self, key: Key) -> dict[str, Any]:
        status = (self.index.resource(key) or {}).get("status") or {}
        return dict(condition(status, "Ready") or {})


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "_PATIENCE_SECONDS", 0.01)


def test_an_estimate_that_waits_says_what_is_before_it() -> None:
    async def run(world: World) -> None:
        keys = [world.add(f"shop-{number}", "shop") for number in range(4)]
        await world.ask(*keys, world.add("other", "other"))
        assert world.ready(keys[0])["reason"] == "Estimating"
        assert [world.ready(key)["reason"] for key in keys[1:]] == ["Queued"] * 3
        assert [world.ready(key)["status"] for key in keys[1:]] == ["Unknown"] * 3
        assert [world.ready(key)["message"] for key in keys[1:]] == [
            f"at most {number} of this namespace and 1 of others are before it in the queue"
            for number in ("0 jobs", "1 job", "2 jobs")
        ]


def test_the_only_one_that_waits_is_next() -> None:
    async def run(world: World) -> None:
        first, second = world.add("first", "shop"), world.add("second", "shop")
        await world.ask(first, second)
        assert world.ready(second)["message"] == "it is next in the queue: its turn comes when a job under way ends"

    with_world(run)


def test_a_position_is_written_anew_when_it_is_half_of_what_was_said() -> None:
    async def run(world: World) -> None:
        keys = [world.add(f"shop-{number}", "shop") for number in range(42)]
        await world.ask(*keys)
        last, before = keys[-1], len(world.writes)
        for _ in range(41):
            await world.next_turn()
            world.now += 20
            await world.estimates.reconcile(last)
        assert [reason for _, reason in world.writes[before:]] == ["Queued"] * 6 + ["Estimating"], "40 20 10 5 2 1 0"

    with_world(run)


def test_what_passes_at_once_is_not_written() -> None:
    async def run(world: World) -> None:
        first, second = world.add("first", "shop"), world.add("second", "shop")
        await world.ask(first, second)
        for _ in range(2):
            await world.next_turn()
            await world.estimates.reconcile(second)
        assert [reason for name, reason in world.writes if name == "second"] == ["Queued", "Estimated"]

    with_world(run)


def test_a_turn_brings_the_estimate_up_again() -> None:
    async def run(world: World) -> None:
        first, second = world.add("first", "shop"), world.add("second", "shop")
        await world.ask(first, second)
        world.queue._due.clear()
        await world.next_turn()
        assert world.queue._due[second] > world.now + 1
        assert first in world.queue._waiting
        world.now = world.queue._due[second]
        await world.estimates.reconcile(second)
        assert world.ready(second)["reason"] == "Estimating"

    with_world(run)


def test_a_deleted_estimate_leaves_the_queue() -> None:
    async def run(world: World) -> None:
        keys = [world.add(f"slow-{number}", "slow") for number in range(9)]
        await world.ask(*keys)
        assert (world.turns.running, world.turns.waiting) == (1, 8)
        for key in keys:
            world.index.drop(key)
            await world.estimates.reconcile(key)
        await asyncio.sleep(0.01)
        assert (world.turns.running, world.turns.waiting, world.running) == (0, 0, [])

    with_world(run)


GOING: dict[str, Any] = {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}
SUSPENDED: dict[str, Any] = {"spec": {"suspend": True}}
INVALID: dict[str, Any] = {"spec": {"workload": 7}}


@pytest.mark.parametrize("change", [GOING, SUSPENDED, INVALID], ids=["going", "suspended", "invalid"])
def test_an_estimate_that_asks_nothing_any_more_leaves_the_queue(change: dict[str, Any]) -> None:
    async def run(world: World) -> None:
        first, second = world.add("first", "shop"), world.add("second", "shop")
        await world.ask(first, second)
        resource = dict(world.index.resource(second) or {})
        world.put(resource | {name: {**resource[name], **values} for name, values in change.items()})
        await world.estimates.reconcile(second)
        await asyncio.sleep(0.01)
        assert (world.turns.running, world.turns.waiting) == (1, 0)

    with_world(run)


def test_answers_that_do_not_come_hold_up_few_reconcilers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "_PATIENCE_SECONDS", 3600.0)

    async def run(world: World) -> None:
        keys = [world.add(f"slow-{number}", "slow") for number in range(9)]
        tasks = [asyncio.create_task(world.estimates.reconcile(key)) for key in keys]
        await asyncio.wait(tasks[2:])
        assert not any(task.done() for task in tasks[:2]), "two wait, as many as may"
        assert set(world.queue._due) >= set(keys[2:]), "the others come up again"
        assert world.writes == []
        for task in tasks[:2]:
            task.cancel()

    with_world(run, patient=2)


def test_numbers_of_before_stay_while_a_new_look_waits() -> None:
    async def run(world: World) -> None:
        first, second = world.add("first", "shop"), world.add("second", "shop")
        await world.ask(first, second)
        await world.next_turn()
        await world.next_turn()
        for key in (first, second):
            await world.estimates.reconcile(key)
        world.now += 1000
        before = len(world.writes)
        await world.ask(first, second)
        assert world.turns.waiting == 1
        assert len(world.writes) == before

    with_world(run)


def with_world(run: Any, **options: int) -> None:
    async def within() -> None:
        test: Coroutine[Any, Any, None] = run(World(**options))
        await test

    asyncio.run(within())
