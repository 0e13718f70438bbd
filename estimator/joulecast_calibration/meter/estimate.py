"""Estimate power and pace with standard errors from edges of a counter and steps of a load."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from joulecast_calibration.meter.constants import COUNTER, CounterConstants
from joulecast_calibration.meter.edges import Edge, in_rhythm, joules_at
from joulecast_calibration.meter.feeder import Step
from joulecast_calibration.meter.policy import Policy
from joulecast_calibration.meter.uncertainty import (
    correlation,
    drift,
    error_of_mean,
    largest_gap,
    scatter,
    scatter_of_neighbours,
)

_FEWEST_BLOCKS = 3  # a scatter and a slope need three
_NOISE_OF_STEP = 3.0  # standard errors beyond which two parts of a recording are told apart: one in 370 by chance
_NOISE_OF_DRIFT = 2.0  # standard errors within which a slope is not told from none


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """The estimate from one stretch of edges; times are the clock's.

    - ``drift``: relative rise of power, ``pace_drift`` of the time of an execution; None where too few were seen.
    - ``phase_gap``: None where executions cannot alias.
    """

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
    pace_drift: float | None
    phase_gap: float | None

    def settled(self, policy: Policy) -> bool:
        """Return whether the estimate is accurate enough to stop."""
        level = (self.drift is None or abs(self.drift) <= policy.largest_drift) and self._keeps_pace(policy)
        seen = self.phase_gap is None or self.phase_gap <= policy.largest_phase_gap
        return level and seen and self.watts_standard_error <= policy.relative_error * self.watts

    def steady(self, policy: Policy) -> bool | None:
        if self.drift is None:
            return None
        level = abs(self.drift) <= max(policy.largest_drift, _NOISE_OF_DRIFT * self.drift_standard_error)
        return level and self._keeps_pace(policy)

    def _keeps_pace(self, policy: Policy) -> bool:
        """Return whether the pace is steady; rising clocks show here even if the sensor misses their power."""
        return self.pace_drift is None or abs(self.pace_drift) <= policy.largest_drift


def estimate(
    edges: Sequence[Edge], steps: Sequence[Step], constants: CounterConstants, policy: Policy, warm: float
) -> Estimate | None:
    """Estimate over an integer number of executions from the first edge on; None where not one fits.

    ``steps``: of the load since it began; ``warm``: the time from which on its pace is steady.
    """
    if len(edges) < 2:
        return None
    begins, last = edges[0].seconds, edges[-1].seconds
    pace = _pace(steps, max(warm, begins), last)
    executions = 0 if pace is None else math.floor((last - begins) / pace[0] * (1 + 1e-12))
    if pace is None or executions < 1:
        return None
    ends = min(begins + executions * pace[0], last)
    watts = float(joules_at(edges, [ends])[0] - edges[0].joules) / (ends - begins)
    blocks = _blocks(edges, begins, pace[0], executions, constants.period_seconds)
    phases = [(at / pace[0]) % 1.0 for at in in_rhythm(edges, constants.period_seconds)]
    aliases = pace[0] > policy.aliasing_share * constants.period_seconds
    rise = None if blocks.parts or len(blocks.watts) < _FEWEST_BLOCKS else drift(blocks.middles(), blocks.watts)
    return Estimate(
        begins=begins,
        ends=ends,
        edges=len(edges),
        executions=executions,
        seconds=pace[0],
        seconds_standard_error=pace[1],
        watts=watts,
        watts_standard_error=math.hypot(
            _varying_error(blocks, phases if aliases else None, _timing_scatter(edges, watts, blocks)),
            _reading_error(edges, ends, constants),
            _late(rise, constants.lag_seconds / (last - begins)),
        ),
        drift=None if rise is None else rise[0] / watts,
        drift_standard_error=math.inf if rise is None else rise[1] / watts,
        pace_drift=_pace_drift(steps, max(warm, begins), last),
        phase_gap=largest_gap(phases) if aliases else None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """What was cut off before a window: the last whole executions of it.

    - ``seconds``: duration.
    - ``watts``: mean power with a standard error.
    - ``execution_seconds``: time of an execution; None where not one fits.
    """

    seconds: float = 0.0
    watts: float | None = None
    watts_standard_error: float = 0.0
    execution_seconds: float | None = None

    def undisturbed(self, found: Estimate, policy: Policy) -> bool:
        """Return False where an execution before the window took so much less that something must have changed.

        The limits are fewer joules than a warming chip and noise explain, or less time. Clocks that rise from rest make
        the beginning slower and more expensive, so they are no reason.
        """
        if self.watts is None or self.execution_seconds is None:
            return True
        slower = found.seconds / self.execution_seconds
        dearer = slower * found.watts / self.watts
        noise = math.hypot(self.watts_standard_error / self.watts, found.watts_standard_error / found.watts)
        return slower - 1.0 <= policy.largest_step and dearer - 1.0 <= max(policy.largest_step, _NOISE_OF_STEP * noise)


def beginning(edges: Sequence[Edge], dropped: int, steps: Sequence[Step], warm: float) -> Beginning:
    """Describe the part of ``edges`` before the window, which begins at edge ``dropped``."""
    begins, ends = edges[0].seconds, edges[dropped].seconds
    pace = _pace(steps, max(warm, begins), ends) if dropped else None
    executions = 0 if pace is None else math.floor((ends - begins) / pace[0])
    if pace is None or executions < 1:
        return Beginning(seconds=ends - begins)
    length = executions * pace[0]
    watts = float(edges[dropped].joules - joules_at(edges, [ends - length])[0]) / length
    later = edges[dropped:]
    powers = np.diff([edge.joules for edge in later]) / np.diff([edge.seconds for edge in later])
    error = scatter_of_neighbours([float(each) for each in powers]) / math.sqrt(dropped)
    return Beginning(seconds=ends - begins, watts=watts, watts_standard_error=error, execution_seconds=pace[0])


def _pace(steps: Sequence[Step], begins: float, ends: float) -> tuple[float, float] | None:
    """Return seconds per execution and their standard error, by the steps nearest outside ``begins`` and inside
    ``ends``."""
    first = next((step for step in reversed(steps) if step.after <= begins), steps[0])
    last = next((step for step in reversed(steps) if step.after <= ends), steps[0])
    executions = last.executions - first.executions
    if executions < 1 or first is steps[0]:
        return None
    error = math.hypot(first.standard_error, last.standard_error)
    return (last.seconds - first.seconds) / executions, error / executions


def _pace_drift(steps: Sequence[Step], begins: float, ends: float) -> float | None:
    """Return the relative rise of an execution's time between the halves; None where it is within its noise."""
    middle = (begins + ends) / 2.0
    early, late = _pace(steps, begins, middle), _pace(steps, middle, ends)
    if early is None or late is None:
        return None
    rise = 2.0 * (late[0] - early[0])  # the middles of the halves are half of the whole apart
    noise = 2.0 * math.hypot(early[1], late[1])
    return rise / early[0] if abs(rise) > _NOISE_OF_DRIFT * noise else None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Blocks:
    """Mean powers between ``bounds`` (blocks + 1,).

    - ``parts``: whether blocks are parts of executions, which may have phases.
    """

    bounds: list[float]
    watts: list[float]
    parts: bool
    executions: bool

    def middles(self) -> list[float]:
        return [(a + b) / 2.0 for a, b in pairwise(self.bounds)]

    def seconds(self) -> float:
        return _median_gap(self.bounds)


def _blocks(edges: Sequence[Edge], begins: float, pace: float, executions: int, period: float) -> _Blocks:
    """Divide the window into blocks for the scatter: between edges, or executions if these are longer and enough."""
    bounds = [edge.seconds for edge in edges]
    long = pace > max(period, _median_gap(bounds))
    whole = long and executions >= _FEWEST_BLOCKS
    if whole:
        bounds = [min(begins + index * pace, bounds[-1]) for index in range(executions + 1)]
    watts = np.diff(joules_at(edges, bounds)) / np.diff(bounds)
    return _Blocks(bounds=bounds, watts=[float(each) for each in watts], parts=long and not whole, executions=whole)


def _median_gap(times: Sequence[float]) -> float:
    return float(np.median(np.diff(times)))


def _timing_scatter(edges: Sequence[Edge], watts: float, blocks: _Blocks) -> float:
    """Return the watts of the blocks' scatter that come from the uncertain times of the edges."""
    variance = float(np.mean([edge.standard_error**2 for edge in edges]))
    return watts * math.sqrt(2.0 * variance) / blocks.seconds()


def _varying_error(blocks: _Blocks, phases: Sequence[float] | None, timing: float) -> float:
    """Return the standard error, in watts, of the mean of a power that varies from block to block.

    Where blocks hold different parts of executions, the scatter is taken between neighbours: in time if the blocks are
    shorter than an execution, in phase (``phases``: of the bounds) if they are longer and can alias, as of a systematic
    sample.
    """
    count = len(blocks.watts)
    if blocks.parts:
        return error_of_mean(scatter_of_neighbours(blocks.watts), count, explained=timing)
    if phases is not None and not blocks.executions:
        ordered = [watts for _, watts in sorted(zip(phases[1:], blocks.watts, strict=True))]
        unseen = scatter(blocks.watts) * _unseen(phases[1:])
        return math.hypot(unseen, error_of_mean(scatter_of_neighbours(ordered), count, explained=timing))
    return error_of_mean(scatter(blocks.watts), count, correlation=correlation(blocks.watts), explained=timing)


def _late(rise: tuple[float, float] | None, lag: float) -> float:
    """Return the watts by which a drifting load is read late: half the lag (given in windows), as of a mean over it."""
    return 0.0 if rise is None else abs(rise[0]) * lag / 2.0


def _reading_error(edges: Sequence[Edge], ends: float, constants: CounterConstants) -> float:
    """Return the error, in watts, of the readings at the window's ends.

    The outer edges are known to a poll's spacing, the counter to its resolution, and the energy between two edges to
    how much power varies (a bridge's: share · (1 − share) of a period).
    """
    seconds = edges[-1].seconds - edges[0].seconds
    watts = (edges[-1].joules - edges[0].joules) / seconds
    timing = watts * math.hypot(edges[0].standard_error, edges[-1].standard_error)
    counting = 0.0
    if constants.method == COUNTER:
        counting = (constants.resolution_joules or 0.0) / math.sqrt(6.0)  # two readings, each uniform in one step
    return math.hypot(timing, counting, _bridge_error(edges, ends)) / seconds


def _bridge_error(edges: Sequence[Edge], ends: float) -> float:
    """Return the error of the energy between two edges, in joules."""
    times = np.array([edge.seconds for edge in edges])
    index = min(max(int(np.searchsorted(times, ends)), 1), len(times) - 1)
    gap = float(times[index] - times[index - 1])
    share = (ends - float(times[index - 1])) / gap
    powers = np.diff([edge.joules for edge in edges]) / np.diff(times)
    return float(np.std(powers)) * gap * max(0.0, share * (1.0 - share))


def _unseen(phases: Sequence[float]) -> float:
    """Return the share of an execution in which no block ended, beyond that of as many evenly spread ones."""
    return max(0.0, largest_gap(phases) - 2.0 / len(phases))
