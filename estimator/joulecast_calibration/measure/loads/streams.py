"""Loads that the device executes again and again, as the host sees them while they run."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

import torch

from joulecast.errors import MeasurementError
from joulecast_calibration.meter.sensor import Load

Runnable = Callable[[], object]
"""One execution, which returns its results."""


class ClosableLoad(Load, Protocol):
    """A load that holds memory until it is closed."""

    def close(self) -> None: ...


class RotatingRuns:
    """Executes several runs in turn, one per call.

    The output of a run is kept until its next turn, so that another run's output is not written to the same memory.
    """

    def __init__(self, runs: Sequence[Runnable]) -> None:
        self._runs = list(runs)
        self.kept: list[object] = [None] * len(runs)
        self._turn = 0

    def __call__(self) -> object:
        turn = self._turn % len(self._runs)
        self._turn += 1
        self.kept[turn] = None  # first, so that the same memory may be used again
        self.kept[turn] = self._runs[turn]()
        return self.kept[turn]


class ProcessorLoad:
    """Executes runs at once, on the processor."""

    multiple = 1

    def __init__(self, run: Runnable) -> None:
        self._run: Runnable | None = run
        self._completed = 0

    def enqueue(self, executions: int) -> None:
        run = _alive(self._run)
        with torch.inference_mode():
            for _ in range(executions):
                run()
                self._completed += 1

    def completed(self) -> int:
        return self._completed

    def drain(self) -> None: ...

    def close(self) -> None:
        self._run = None


class StreamLoad:
    """Executes runs on the current CUDA stream.

    - ``run``: stands for ``multiple`` executions; an event follows each.
    """

    def __init__(self, run: Runnable, *, multiple: int = 1) -> None:
        self.multiple = multiple
        self._run: Runnable | None = run
        self._pending: deque[tuple[torch.cuda.Event, int]] = deque()
        self._spare: list[torch.cuda.Event] = []
        self._enqueued = 0
        self._completed = 0

    def enqueue(self, executions: int) -> None:
        """Enqueue ``executions``, which must be a multiple of ``multiple``."""
        run = _alive(self._run)
        if executions % self.multiple:
            raise MeasurementError(f"{executions} executions were asked of a load that runs {self.multiple} at a time")
        with torch.inference_mode():
            for _ in range(executions // self.multiple):
                run()
                self._mark()

    def _mark(self) -> None:
        self._enqueued += self.multiple
        event = self._spare.pop() if self._spare else torch.cuda.Event()  # type: ignore[no-untyped-call]
        event.record()
        self._pending.append((event, self._enqueued))

    def completed(self) -> int:
        while self._pending and self._pending[0][0].query():  # type: ignore[no-untyped-call]
            event, self._completed = self._pending.popleft()
            self._spare.append(event)
        return self._completed

    def drain(self) -> None:
        torch.cuda.synchronize()
        self.completed()

    def close(self) -> None:
        try:
            self.drain()  # memory that is still written to must not be handed out again
        finally:
            self._run = None


def _alive(run: Runnable | None) -> Runnable:
    if run is None:
        raise MeasurementError("the load is closed: build it again")
    return run


def eager_load(run: Runnable, device: torch.device) -> ClosableLoad:
    """Build a load that launches ``run`` again and again."""
    return ProcessorLoad(run) if device.type == "cpu" else StreamLoad(run)
