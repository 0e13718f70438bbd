"""Test that a job is shared by all who request it while it runs, and is cancelled with the last of them."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from joulecast_operator.workers.fair_queue import Requester, Ticket
from joulecast_operator.workers.shared_jobs import SharedJobs


class Work:
    """Work that lasts until the test ends it, and counts how often it began, ended or was cancelled."""

    def __init__(self) -> None:
        self.begun = self.ended = self.cancelled = 0
        self.may_end = asyncio.Event()
        self.tickets: list[Ticket] = []

    async def run(self, ticket: Ticket) -> str:
        self.tickets.append(ticket)
        self.begun += 1
        try:
            await self.may_end.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        self.ended += 1
        return "done"


async def ask(
    jobs: SharedJobs, name: str, work: Callable[[Ticket], Coroutine[Any, Any, str]], namespace: str = "shop"
) -> str:
    return await jobs.once(name, work, requester=Requester(namespace=namespace))


async def begun(*coroutines: Coroutine[Any, Any, str]) -> list[asyncio.Task[str]]:
    """Start the coroutines as tasks, and let them run until all wait."""
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    await settled()
    return tasks


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_all_who_ask_meanwhile_share_one_job() -> None:
    async def run() -> None:
        jobs, work = SharedJobs(), Work()
        tasks = await begun(*(ask(jobs, "a", work.run) for _ in range(3)), ask(jobs, "b", work.run))
        work.may_end.set()
        assert await asyncio.gather(*tasks) == ["done"] * 4
        assert work.begun == 2
        assert await ask(jobs, "a", work.run) == "done"
        assert work.begun == 3, "what is over is not shared"

    asyncio.run(run())


def test_the_ticket_of_a_job_knows_who_waits_for_it() -> None:
    async def run() -> None:
        jobs, work = SharedJobs(), Work()
        first, second = await begun(ask(jobs, "a", work.run, "slow"), ask(jobs, "a", work.run, "shop"))
        (ticket,) = work.tickets
        assert [each.namespace for each in ticket.requesters] == ["slow", "shop"]
        first.cancel()
        await settled()
        assert [each.namespace for each in ticket.requesters] == ["shop"]
        work.may_end.set()
        assert await second == "done"
        assert ticket.requesters == {}

    asyncio.run(run())


def test_a_job_outlives_one_requester_but_not_the_last() -> None:
    async def run() -> None:
        jobs, work = SharedJobs(), Work()
        first, second = await begun(ask(jobs, "a", work.run), ask(jobs, "a", work.run))
        first.cancel()
        await settled()
        assert (work.begun, work.cancelled) == (1, 0)
        second.cancel()
        await settled()
        assert (work.begun, work.cancelled) == (1, 1)

    asyncio.run(run())


def test_a_job_that_is_being_ended_is_not_joined() -> None:
    async def run() -> None:
        jobs, work = SharedJobs(), Work()
        (first,) = await begun(ask(jobs, "a", work.run))
        first.cancel()
        (second,) = await begun(ask(jobs, "a", work.run))
        work.may_end.set()
        assert await second == "done"
        assert (work.begun, work.cancelled) == (2, 1)

    asyncio.run(run())


@pytest.mark.slow
def test_a_failure_reaches_all_and_none_is_left_unretrieved() -> None:
    async def run() -> None:
        complaints: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        jobs, may_fail = SharedJobs(), asyncio.Event()

        async def fail(_: Ticket) -> str:
            try:
                await may_fail.wait()
            finally:
                raise ValueError("no")

        tasks = await begun(ask(jobs, "a", fail), ask(jobs, "a", fail))
        (gone,) = await begun(ask(jobs, "b", fail))
        gone.cancel()
        await settled()
        del gone
        may_fail.set()
        for task in tasks:
            with pytest.raises(ValueError, match="no"):
                await task
        await settled()
        gc.collect()
        assert complaints == []

    asyncio.run(run())


def test_all_jobs_end_together() -> None:
    async def run() -> None:
        jobs, work = SharedJobs(), Work()
        tasks = await begun(ask(jobs, "a", work.run), ask(jobs, "b", work.run))
        jobs.cancel()
        await settled()
        assert work.cancelled == 2
        assert all(task.cancelled() for task in tasks)

    asyncio.run(run())
