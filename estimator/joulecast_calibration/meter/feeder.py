"""Keep a device's queue filled, so that no gap opens between executions, and observe when they complete."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

from joulecast.errors import MeasurementError
from joulecast_calibration.meter.policy import Policy
from joulecast_calibration.meter.sensor import Clock, Load

_REMEMBERED = 8  # steps whose mean rate sets the size of the queue: enough that one late look does not
_GROWTH = 2  # the queue at most doubles with each filling, in case the first executions were no measure of the rest


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """An observation: ``executions`` had completed, the last of them between ``before`` and ``after``."""

    before: float
    after: float
    executions: int

    @property
    def seconds(self) -> float:
        return (self.before + self.after) / 2.0

    @property
    def standard_error(self) -> float:
        """Return the standard error, in seconds, of a time that is uniformly distributed between two polls."""
        return (self.after - self.before) / math.sqrt(12.0)


class Feeder:
    """Feeds one load. Counts start when it is made; ``steps[0]`` is that moment."""

    def __init__(self, load: Load, clock: Clock, policy: Policy) -> None:
        now = clock.seconds()
        self._load, self._clock, self._policy = load, clock, policy
        self._looked_at = now
        self._enqueued = load.completed()
        self._chunk = load.multiple
        self.steps = [Step(before=now, after=now, executions=self._enqueued)]
        self._recent = deque(self.steps, maxlen=_REMEMBERED)

    @property
    def pending(self) -> int:
        return self._enqueued - self.steps[-1].executions

    def seconds_per_execution(self) -> float | None:
        """Return seconds per execution by the latest steps; None before the first."""
        first, last = self._recent[0], self._recent[-1]
        if first.executions == last.executions:
            return None
        return max(last.after - first.after, 1e-9) / (last.executions - first.executions)

    def feed(self) -> bool:
        """Enqueue one chunk if the queue runs low, and poll what has completed; return False if there was nothing to
        do."""
        runs_low = self.pending < self._wanted()
        if runs_low:
            self._chunk = min(self._wanted_chunk(), _GROWTH * self._chunk)
            self._load.enqueue(self._chunk)
            self._enqueued += self._chunk
        self._look()
        return runs_low

    def _look(self) -> None:
        completed, now = self._load.completed(), self._clock.seconds()
        if completed > self.steps[-1].executions:
            step = Step(before=self._looked_at, after=now, executions=completed)
            self.steps.append(step)
            self._recent.append(step)
        elif now - self.steps[-1].after > self._policy.patience_seconds:
            raise MeasurementError(
                f"the load has completed nothing for {now - self.steps[-1].after:.0f} s: the device hangs or is taken;"
                " look at its processes and its log",
                reason="LoadStalled",
            )
        self._looked_at = now

    def _wanted(self) -> int:
        pace = self.seconds_per_execution()
        one_running_one_waiting = 2 * self._load.multiple
        return max(one_running_one_waiting, 0 if pace is None else math.ceil(self._policy.queue_seconds / pace))

    def _wanted_chunk(self) -> int:
        pace = self.seconds_per_execution()
        whole = 1.0 if pace is None else self._policy.chunk_seconds / pace
        return max(1, math.floor(whole / self._load.multiple)) * self._load.multiple
