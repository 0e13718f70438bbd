"""Do work that several requesters wait for once, and cancel it when the last of them has gone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from joulecast_operator.workers.fair_queue import Requester, Ticket

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """``ticket``: who waits for ``task``, and by which turn it begins."""

    task: asyncio.Task[Any]
    ticket: Ticket


class SharedJobs:
    """Jobs under way, by name."""

    def __init__(self) -> None:
        self._running: dict[str, _Job] = {}

    async def once(
        self,
        name: str,
        work: Callable[[Ticket], Coroutine[Any, Any, T]],
        *,
        requester: Requester,
        registry: str = "",
    ) -> T:
        """Return the result of ``work``, shared with all who ask for the same ``name`` meanwhile.

        ``work`` is given the ticket by which it waits for its turn, at ``registry``. A requester that is cancelled
        leaves the job to the others. With the last one the job is cancelled, too, so that nothing is fetched for an
        object that is gone. Raises what ``work`` raises.
        """
        job = self._running.get(name)
        if job is None or job.task.done():
            ticket = Ticket(registry=registry)
            job = self._running[name] = _Job(task=asyncio.create_task(work(ticket)), ticket=ticket)
            job.task.add_done_callback(_heed)
        try:
            with job.ticket.held_by(requester):
                return await asyncio.shield(job.task)
        finally:
            if not job.ticket.requesters:
                self._end(name, job)

    def cancel(self) -> None:
        """End all jobs."""
        for name, job in list(self._running.items()):
            self._end(name, job)

    def _end(self, name: str, job: _Job) -> None:
        if self._running.get(name) is job:
            del self._running[name]
        job.task.cancel()


def _heed(task: asyncio.Task[Any]) -> None:
    """Retrieve a failure that no task awaits any more, else asyncio logs it as never retrieved."""
    if not task.cancelled():
        task.exception()
