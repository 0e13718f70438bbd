"""From edges of a counter and steps of a load to joules per execution, with their standard errors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from joulecast.calibration.meter.constants import COUNTER, CounterConstants
from joulecast.calibration.meter.edges import Edge, joules_at
from joulecast.calibration.meter.feeder import Step
from joulecast.calibration.meter.policy import Policy
from joulecast.calibration.meter.uncertainty import drift, standard_error_of_mean

_FEWEST_BLOCKS = 3  # a scatter and a slope need three
_NOISE_OF_DRIFT = 2.0  # standard errors within which a slope is not told from none


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """One measured configuration.

    ``joules``, ``seconds``: of one execution, ``watts``: the mean while ``executions`` of them ran without a gap for
    ``window_seconds``, seen through ``edges`` edges. ``drift``: relative rise of power from begin to end; ``steady``:
    whether that is within the policy or its own noise; both None where less than three executions long enough to have
    phases were seen. ``single``: just one execution. ``power_joules``: of one execution by integration of the power
    reading over the same window, None where that averages over more than what ran. ``warmup_seconds``: for which the
    load ran before the window. ``redone``: windows thrown away because the counter was reset in them; ``missed``:
    samples that the sensor did not give. Clocks, temperature: means over the window; throttle reasons: their union.
    """

    method: str
    executions: int
    seconds: float
    seconds_standard_error: float
    watts: float
    watts_standard_error: float
    joules: float
    joules_standard_error: float
    window_seconds: float
    warmup_seconds: float
    edges: int
    drift: float | None
    steady: bool | None
    single: bool
    power_joules: float | None
    sm_clock_mhz: float | None
    memory_clock_mhz: float | None
    temperature_celsius: float | None
    throttle_reasons: tuple[str, ...]
    redone: int
    missed: int

    def row(self) -> dict[str, Any]:
        """JSON values by column name; an infinite standard error (nothing to tell it from) becomes None."""
        row = asdict(self) | {"throttle_reasons": list(self.throttle_reasons)}
        return {name: None if isinstance(value, float) and math.isinf(value) else value for name, value in row.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What one stretch of edges says. Times are the clock's."""

    begins: float
    ends: float
    edges: int
    executions: int
    seconds: float
    seconds_standard_error: float
    watts: float
    watts_standard_error: float
    drift: float | None
    drift_standard_error: float

    def settled(self, policy: Policy) -> bool:
        """Good enough to stop."""
        within = self.drift is None or abs(self.drift) <= policy.largest_drift
        return within and self.watts_standard_error <= policy.relative_error * self.watts

    def steady(self, policy: Policy) -> bool | None:
        if self.drift is None:
            return None
        return abs(self.drift) <= max(policy.largest_drift, _NOISE_OF_DRIFT * self.drift_standard_error)


def estimate(edges: Sequence[Edge], steps: Sequence[Step], constants: CounterConstants, warm: float) -> Estimate | None:
    """An integer number of executions from the first of the edges on; None where not one fits.

    ``steps``: of the load since it began; ``warm``: the time since which its pace is that of the rest.
    """
    if len(edges) < 2:
        return None
    pace = _pace(steps, max(warm, edges[0].seconds), edges[-1].seconds)
    begins = edges[0].seconds
    executions = 0 if pace is None else math.floor((edges[-1].seconds - begins) / pace[0] * (1 + 1e-12))
    if pace is None or executions < 1:
        return None
    ends = min(begins + executions * pace[0], edges[-1].seconds)
    watts = (joules_at(edges, [ends])[0] - edges[0].joules) / (ends - begins)
    bounds = _bounds(edges, begins, pace[0], executions)
    blocks = np.diff(joules_at(edges, bounds)) / np.diff(bounds)
    rise = _drift(bounds, blocks, pace[0], constants.period_seconds)
    return Estimate(
        begins=begins, ends=ends, edges=len(edges), executions=executions,
        seconds=pace[0], seconds_standard_error=pace[1],
        watts=float(watts),
        watts_standard_error=math.hypot(standard_error_of_mean(list(blocks)), _reading_error(edges, ends, constants)),
        drift=None if rise is None else rise[0] / float(watts),
        drift_standard_error=math.inf if rise is None else rise[1] / float(watts),
    )  # fmt: skip


def _pace(steps: Sequence[Step], begins: float, ends: float) -> tuple[float, float] | None:
    """Seconds per execution and their standard error, by the steps nearest outside ``begins`` and inside ``ends``."""
    first = next((step for step in reversed(steps) if step.after <= begins), steps[0])
    last = next((step for step in reversed(steps) if step.after <= ends), steps[0])
    executions = last.executions - first.executions
    if executions < 1 or first is steps[0]:
        return None
    error = math.hypot(first.standard_error, last.standard_error)
    return (last.seconds - first.seconds) / executions, error / executions


def _bounds(edges: Sequence[Edge], begins: float, pace: float, executions: int) -> list[float]:
    """Where the blocks end by whose scatter the mean is judged: edges, or executions where these are longer."""
    periods = [edge.seconds for edge in edges]
    if pace <= _median_gap(periods) or executions < _FEWEST_BLOCKS:
        return periods
    return [min(begins + index * pace, periods[-1]) for index in range(executions + 1)]


def _median_gap(times: Sequence[float]) -> float:
    return float(np.median(np.diff(times)))


def _drift(bounds: Sequence[float], blocks: np.ndarray, pace: float, period: float) -> tuple[float, float] | None:
    """None where blocks are parts of an execution, whose phases are no drift."""
    parts = pace > max(period, _median_gap(bounds)) * (1 + 1e-9)
    if parts or len(blocks) < _FEWEST_BLOCKS:
        return None
    middles = [(a + b) / 2.0 for a, b in pairwise(bounds)]
    return drift(middles, list(blocks))


def _reading_error(edges: Sequence[Edge], ends: float, constants: CounterConstants) -> float:
    """Watts: that the outer edges are known to a poll's spacing, the counter to its resolution, and the energy between
    two edges to how much power varies (a bridge's: share · (1 − share) of a period).
    """
    seconds = edges[-1].seconds - edges[0].seconds
    watts = (edges[-1].joules - edges[0].joules) / seconds
    timing = watts * math.hypot(edges[0].standard_error, edges[-1].standard_error)
    counting = 0.0
    if constants.method == COUNTER:
        counting = (constants.resolution_joules or 0.0) / math.sqrt(6.0)  # two readings, each uniform in one step
    return math.hypot(timing, counting, _bridge_error(edges, ends)) / seconds


def _bridge_error(edges: Sequence[Edge], ends: float) -> float:
    """Joules."""
    times = np.array([edge.seconds for edge in edges])
    index = min(max(int(np.searchsorted(times, ends)), 1), len(times) - 1)
    gap = float(times[index] - times[index - 1])
    share = (ends - float(times[index - 1])) / gap
    powers = np.diff([edge.joules for edge in edges]) / np.diff(times)
    return float(np.std(powers)) * gap * max(0.0, share * (1.0 - share))
