"""Work that several requesters wait for: done once, and ended when the last of them is gone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(slots=True, kw_only=True)
class _Job:
    """``requesters``: how many wait for ``task``."""

    task: asyncio.Task[Any]
    requesters: int = 0


class SharedJobs:
    """Jobs under way, by name."""

    def __init__(self) -> None:
        self._running: dict[str, _Job] = {}

    async def once(self, name: str, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Return the result of ``work``, shared with whoever asks for the same ``name`` meanwhile.

        A requester that is cancelled leaves the job to the others. With the last one the job is cancelled, too, so that
        nothing is fetched for an object that is gone. Raises what ``work`` raises.
        """
        job = self._running.get(name)
        if job is None or job.task.done():
            job = self._running[name] = _Job(task=asyncio.create_task(work()))
            job.task.add_done_callback(_heed)
        job.requesters += 1
        try:
            return await asyncio.shield(job.task)
        finally:
            job.requesters -= 1
            if job.requesters == 0:
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
    """Retrieve a failure that nobody waits for any more, of which asyncio would complain in the log."""
    if not task.cancelled():
        task.exception()
