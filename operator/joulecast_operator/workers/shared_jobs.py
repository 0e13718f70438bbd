"""Do work that several requesters need only once, and cancel it when no requester needs it any more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from joulecast_operator.workers.fair_queue import Requester, Ticket

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """A job under way.

    - ``task``: the task that does it.
    - ``ticket``: who waits for it, and its place in the queue.
    """

    task: asyncio.Task[Any]
    ticket: Ticket


class SharedJobs:
    """Holds the jobs under way, by name."""

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
        """Return the result of ``work``, shared with all calls of the same ``name`` while it runs.

        ``work`` gets the ticket with which it waits for its turn at ``registry``. If a requester is cancelled, the job
        goes on for the others. When the last one is cancelled, so is the job, so that nothing is fetched for an object
        that is gone. Raises what ``work`` raises.
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
        """Cancel all jobs."""
        for name, job in list(self._running.items()):
            self._end(name, job)

    def _end(self, name: str, job: _Job) -> None:
        if self._running.get(name) is job:
            del self._running[name]
        job.task.cancel()


def _heed(task: asyncio.Task[Any]) -> None:
    """Retrieve the exception of a task that nothing awaits any more, because asyncio would log it else."""
    if not task.cancelled():
        task.exception()
