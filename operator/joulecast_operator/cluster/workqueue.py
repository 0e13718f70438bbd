"""Queue the keys that wait to be reconciled: each is in the queue once and is handled by one worker at a time."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
import time
from collections import deque
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Final, Generic, TypeVar

from joulecast_operator.cluster import defects

log = logging.getLogger(__name__)

LONGEST_PAUSE_SECONDS: Final = 300.0
_SPARE_TIMERS: Final = 64  # obsolete timers that may be kept in addition to as many as are valid, before a clean-up

K = TypeVar("K", bound=Hashable)


class WorkQueue(Generic[K]):
    """A queue like client-go's workqueue: a key that is added while it is handled is handled again afterwards.

    ``first_pause_seconds``: pause after the first failure of a key; each further failure doubles it, up to 5 minutes.
    ``lasting`` tells whether an error would come again, so that its key is not retried before it is added again.
    """

    def __init__(
        self,
        *,
        first_pause_seconds: float,
        lasting: Callable[[Exception], bool] = lambda _: False,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._first_pause_seconds = first_pause_seconds
        self._lasting = lasting
        self._now = now
        self._ready: deque[K] = deque()
        self._waiting: set[K] = set()
        self._since: dict[K, float] = {}  # ordered by time
        self._active: set[K] = set()
        self._again: set[K] = set()
        self._failures: dict[K, int] = {}
        self._due: dict[K, float] = {}
        self._timers: list[tuple[float, int, K]] = []
        self._order = itertools.count()
        self._woken = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting) + len(self._active)

    def age_seconds(self) -> float:
        """Return for how long the oldest key has waited or been handled; 0.0 if there is none."""
        return self._now() - next(iter(self._since.values()), self._now())

    def add(self, key: K) -> None:
        """Queue ``key`` now."""
        self._due.pop(key, None)
        if key in self._active:
            self._again.add(key)
        elif key not in self._waiting:
            self._waiting.add(key)
            self._since[key] = self._now()
            self._ready.append(key)
            self._woken.set()

    def add_later(self, key: K, seconds: float) -> None:
        """Queue ``key`` in ``seconds``, unless it is queued before; a later call replaces the time."""
        due = self._now() + seconds
        self._due[key] = due
        if len(self._timers) > 2 * len(self._due) + _SPARE_TIMERS:
            self._timers = [timer for timer in self._timers if self._due.get(timer[2]) == timer[0]]
            heapq.heapify(self._timers)
        heapq.heappush(self._timers, (due, next(self._order), key))
        self._woken.set()

    def add_within(self, key: K, seconds: float) -> None:
        """Queue ``key`` in ``seconds`` at the latest; further calls until then change nothing."""
        if key not in self._waiting and key not in self._due:
            self.add_later(key, seconds)

    def pause_seconds(self, key: K) -> float:
        """Count a failure of ``key`` and return how long to wait before the next try, in seconds."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        return float(min(self._first_pause_seconds * 2 ** min(failures, 16), LONGEST_PAUSE_SECONDS))

    def forget(self, key: K) -> None:
        """Forget the failures of ``key``, so that its next failure counts as the first."""
        self._failures.pop(key, None)

    async def work(self, handle: Callable[[K], Coroutine[Any, Any, None]], *, workers: int) -> None:
        """Call ``handle`` for each key until cancelled. An error is logged and delays only the key that it concerns."""
        async with asyncio.TaskGroup() as group:
            for _ in range(workers):
                group.create_task(self._worker(handle))

    async def _worker(self, handle: Callable[[K], Coroutine[Any, Any, None]]) -> None:
        while True:
            key = await self._next()
            self._active.add(key)
            try:
                await handle(key)
            except Exception as error:
                self._failed(key, error)
            except asyncio.CancelledError as error:
                if _is_cancelled():
                    raise
                self._failed(key, RuntimeError(f"what {key} waited for was cancelled: {error}"))
            finally:
                self._active.discard(key)
                self._since.pop(key, None)
                if key in self._again:
                    self._again.discard(key)
                    self.add(key)
            await asyncio.sleep(0)  # lets other tasks run, also if ``handle`` waited for nothing

    def _failed(self, key: K, error: Exception) -> None:
        if self._lasting(error):
            log.error("reconciling was refused: %s", error, extra={"key": str(key)})
            self.forget(key)
        else:
            log.error("reconciling failed", exc_info=error, extra={"key": str(key), **defects.id_of(error)})
            self.add_later(key, self.pause_seconds(key))

    async def _next(self) -> K:
        while True:
            self._ripen()
            if self._ready:
                key = self._ready.popleft()
                self._waiting.discard(key)
                return key
            self._woken.clear()
            pause = max(0.0, self._timers[0][0] - self._now()) if self._timers else None
            try:
                await asyncio.wait_for(self._woken.wait(), pause)
            except TimeoutError:
                continue

    def _ripen(self) -> None:
        while self._timers and self._timers[0][0] <= self._now():
            due, _, key = heapq.heappop(self._timers)
            if self._due.get(key) == due:
                self.add(key)


def _is_cancelled() -> bool:
    """Tell whether the running task itself was cancelled, and not only something that it waited for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
