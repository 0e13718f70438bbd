from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from joulecast_operator.cluster.workqueue import LONGEST_PAUSE_SECONDS, WorkQueue
from tests.waiting import PATIENCE_SECONDS


def drive(
    handle: Callable[[str], Coroutine[Any, Any, None]],
    act: Callable[[WorkQueue[str]], Any],
    done: Callable[[], bool],
    *,
    workers: int = 4,
) -> None:
    """Work until ``done`` is true and the queue is empty, and a little longer, to see that no other key comes."""

    async def run() -> None:
        queue: WorkQueue[str] = WorkQueue(first_pause_seconds=0.02)
        task = asyncio.create_task(queue.work(handle, workers=workers))
        result = act(queue)
        if asyncio.iscoroutine(result):
            await result
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not done() or len(queue):
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)
        task.cancel()

    asyncio.run(run())


def test_a_key_that_waits_is_worked_on_once() -> None:
    seen: list[str] = []

    async def handle(key: str) -> None:
        seen.append(key)

    drive(handle, lambda queue: [queue.add("a") for _ in range(5)], lambda: bool(seen))
    assert seen == ["a"]


def test_one_key_is_never_worked_on_twice_at_a_time_yet_again_after_a_change() -> None:
    active, most, times = 0, 0, 0
    begun, may_end = asyncio.Event(), asyncio.Event()

    async def handle(_: str) -> None:
        nonlocal active, most, times
        active, times = active + 1, times + 1
        most = max(most, active)
        begun.set()
        await may_end.wait()
        active -= 1

    async def act(queue: WorkQueue[str]) -> None:
        queue.add("a")
        await begun.wait()
        for _ in range(4):
            queue.add("a")
            await asyncio.sleep(0.008)
        may_end.set()

    drive(handle, act, lambda: times > 1)
    assert (most, times) == (1, 2)


def test_an_error_costs_that_key_a_pause_and_nobody_else_anything(caplog: pytest.LogCaptureFixture) -> None:
    tries: list[str] = []

    async def handle(key: str) -> None:
        tries.append(key)
        if key == "bad" and tries.count("bad") < 3:
            raise ZeroDivisionError("injected")

    both = lambda queue: [queue.add("bad"), queue.add("good")]  # noqa: E731
    drive(handle, both, lambda: tries.count("bad") >= 3, workers=1)
    assert tries[:2] == ["bad", "good"]
    assert tries.count("bad") == 3
    assert tries.count("good") == 1
    assert "injected" in caplog.text


def test_what_would_only_be_refused_again_waits_until_somebody_adds_it(caplog: pytest.LogCaptureFixture) -> None:
    tries: list[str] = []
    queue: WorkQueue[str] = WorkQueue(first_pause_seconds=0.01, lasting=lambda error: isinstance(error, ValueError))

    async def handle(key: str) -> None:
        tries.append(key)
        if key == "refused":
            raise ValueError("injected: too large")
        if tries.count(key) < 3:
            raise OSError("injected: away")

    async def run() -> None:
        task = asyncio.create_task(queue.work(handle, workers=1))
        queue.add("refused")
        queue.add("away")
        async with asyncio.timeout(PATIENCE_SECONDS):
            while tries.count("away") < 3:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        task.cancel()

    asyncio.run(run())
    assert tries.count("refused") == 1
    assert "injected: too large" in caplog.text


def test_the_latest_time_counts() -> None:
    seen: list[str] = []

    async def handle(key: str) -> None:
        seen.append(key)

    def act(queue: WorkQueue[str]) -> None:
        queue.add_later("a", 0.01)
        queue.add_later("a", 600)
        queue.add_later("b", 600)
        queue.add_later("b", 0.01)

    drive(handle, act, lambda: bool(seen))
    assert seen == ["b"]


def test_pauses_double_up_to_five_minutes() -> None:
    queue: WorkQueue[str] = WorkQueue(first_pause_seconds=5)
    pauses = [queue.pause_seconds("a") for _ in range(20)]
    assert pauses[:3] == [5, 10, 20]
    assert pauses[-1] == LONGEST_PAUSE_SECONDS
    queue.forget("a")
    assert queue.pause_seconds("a") == 5


def test_the_age_is_of_the_oldest_that_waits_or_is_worked_on() -> None:
    now = [100.0]
    may_end = asyncio.Event()

    async def handle(_: str) -> None:
        await may_end.wait()

    async def run() -> list[float]:
        queue: WorkQueue[str] = WorkQueue(first_pause_seconds=1, now=lambda: now[0])
        ages = [queue.age_seconds()]
        queue.add("a")
        now[0] = 104.0
        queue.add("b")
        now[0] = 105.0
        ages.append(queue.age_seconds())
        task = asyncio.create_task(queue.work(handle, workers=1))
        await asyncio.sleep(0)
        ages.append(queue.age_seconds())
        may_end.set()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(queue):
                await asyncio.sleep(0.01)
        ages.append(queue.age_seconds())
        task.cancel()
        return ages

    assert asyncio.run(run()) == [0.0, 5.0, 5.0, 0.0]


def test_a_cancelled_thing_that_a_key_waited_for_ends_no_worker() -> None:
    seen: list[str] = []

    async def handle(key: str) -> None:
        seen.append(key)
        if key == "a" and seen.count("a") == 1:
            waited_for = asyncio.get_running_loop().create_future()
            waited_for.cancel()
            await waited_for

    drive(handle, lambda queue: [queue.add("a"), queue.add("b")], lambda: seen.count("a") == 2, workers=1)
    assert sorted(seen) == ["a", "a", "b"]


def test_keys_that_are_put_off_again_and_again_leave_nothing_behind() -> None:
    queue: WorkQueue[str] = WorkQueue(first_pause_seconds=1)
    for _ in range(1000):
        for key in ("a", "b", "c"):
            queue.add(key)
            queue.add_later(key, 1e6)
    assert len(queue._timers) < 100


def test_work_that_waits_for_nothing_lets_others_come_in_between() -> None:
    seen: list[str] = []

    async def handle(key: str) -> None:
        seen.append(key)

    async def act(queue: WorkQueue[str]) -> None:
        for number in range(50):
            queue.add(str(number))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        seen.append("in between")

    drive(handle, act, lambda: len(seen) == 51, workers=1)
    assert seen[-1] != "in between"


def test_what_is_asked_for_again_and_again_comes_once_and_in_time() -> None:
    seen: list[str] = []

    async def handle(key: str) -> None:
        seen.append(key)

    async def act(queue: WorkQueue[str]) -> None:
        for _ in range(20):
            queue.add_within("many", 0.1)
            await asyncio.sleep(0.001)

    drive(handle, act, lambda: bool(seen))
    assert seen == ["many"]
