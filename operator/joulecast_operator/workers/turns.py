"""Give jobs their turns at a pool of workers, in a fair order."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from joulecast_operator.workers.fair_queue import Bounds, FairQueue, Ticket


class Turns:
    """Gives turns in the order of a FairQueue. ``pool``: name of the pool in metrics, "fetch" or "profile"."""

    def __init__(self, pool: str, bounds: Bounds, now: Callable[[], float] = time.monotonic) -> None:
        self.pool = pool
        self._queue = FairQueue(bounds, on_join=self._give)
        self._now = now
        self._waiting: dict[Ticket, tuple[float, asyncio.Future[None]]] = {}
        self._oldest: float | None = None

    @property
    def waiting(self) -> int:
        """Return how many jobs wait for their turn."""
        return len(self._queue)

    @property
    def running(self) -> int:
        """Return how many jobs have their turn."""
        return self._queue.running

    def oldest_seconds(self) -> float:
        """Return how long the oldest waiting job has waited, 0.0 if none waits. Other threads may call this."""
        since = self._oldest
        return 0.0 if since is None else self._now() - since

    @asynccontextmanager
    async def turn(self, ticket: Ticket) -> AsyncIterator[None]:
        """Wait for the ticket's turn, which lasts while the code inside runs. Raises QueueFullError."""
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
        """Remove a ticket whose job was cancelled from the queue, or end the turn that it has got meanwhile."""
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
            if not come.cancelled():  # else its job ends the turn when it handles its cancellation
                come.set_result(None)
        self._oldest = next((since for since, _ in self._waiting.values()), None)
