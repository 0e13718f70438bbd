"""Turns of a pool of workers, given out fairly: a job waits until its ticket's turn has come."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from joulecast_operator.workers.fair_queue import Bounds, FairQueue, Ticket


class Turns:
    """Gives turns in the order of a FairQueue. ``pool``: the word for messages and metrics, "fetch" or "profile"."""

    def __init__(self, pool: str, bounds: Bounds, now: Callable[[], float] = time.monotonic) -> None:
        self.pool = pool
        self._queue = FairQueue(bounds, on_join=self._give)
        self._now = now
        self._waiting: dict[Ticket, tuple[float, asyncio.Future[None]]] = {}
        self._oldest: float | None = None

    @property
    def waiting(self) -> int:
        return len(self._queue)

    @property
    def running(self) -> int:
        return self._queue.running

    def oldest_seconds(self) -> float:
        """Return how long the oldest waiting job has waited; other threads may call this."""
        since = self._oldest
        return 0.0 if since is None else self._now() - since

    @asynccontextmanager
    async def turn(self, ticket: Ticket) -> AsyncIterator[None]:
        """Wait for the ticket's turn, which lasts until this is left. Raises QueueFullError."""
        await self._come(ticket)
        try:
            yield
        finally:
            self._queue.done(ticket)
            self._give()

    async def _come(self, ticket: Ticket) -> None:
        self._queue.enter(ticket)
        come: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[ticket] = (self._now(), come)
        self._give()
        if come.done():
            return
        ticket.tell()
        try:
            await come
        except asyncio.CancelledError:
            self._give_up(ticket)
            raise
        ticket.tell()

    def _give_up(self, ticket: Ticket) -> None:
        """Take a ticket whose job was cancelled out of the line, or give back the turn that it was given meanwhile."""
        if ticket in self._waiting:
            del self._waiting[ticket]
            self._queue.leave(ticket)
        else:
            self._queue.done(ticket)
        self._give()

    def _give(self) -> None:
        """Give all turns that can be given now."""
        while (ticket := self._queue.take()) is not None:
            _, come = self._waiting.pop(ticket)
            if not come.cancelled():  # else its job gives the turn back as soon as it learns of its end
                come.set_result(None)
        self._oldest = next((since for since, _ in self._waiting.values()), None)
