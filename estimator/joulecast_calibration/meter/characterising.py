"""Characterise a device's counter and power reading: how often they change, in which steps, and how late."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from joulecast.errors import MeasurementError
from joulecast_calibration.meter.constants import COUNTER, POWER, CounterConstants
from joulecast_calibration.meter.edges import Edge, EdgeRecorder
from joulecast_calibration.meter.feeder import Feeder, Step
from joulecast_calibration.meter.loop import undisturbed
from joulecast_calibration.meter.measuring import refuse_foreign_processes
from joulecast_calibration.meter.policy import Policy
from joulecast_calibration.meter.sensor import Clock, Load, Sensor

_TOLERANCE = 0.02  # of the step: what is left of a first-order response after 4 time constants
_NOISE = 4.0  # standard deviations of the settled part: one reading in 16,000 lies outside
_TAIL_SECONDS = 1.2  # of a phase, its end, taken for settled: twelve updates of the usual 100 ms
_PHASE_SECONDS = 3.0  # a 1 s average (power.draw on most cards since Ampere) is settled after a third of it
_SLOW_PHASE_SECONDS = 9.0  # where three did not do
_PACE_SECONDS = 0.05  # executions whose pace is looked at together: a look's millisecond is 2 % of them
_REST_SECONDS = 6.5  # between the first executions, which initialise, and the step: clocks fall, as between two rows
_USUAL_PERIOD_SECONDS = 0.1  # of power readings, where one never changed (Yang, Adamek, Armour: 100 ms on most cards)
_READS = 20
_SMALLEST_STEP = 1.1  # busy over idle power: five times the tolerance, so that noise is not taken for a response


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedPhase:
    """Readings between ``begins`` and ``ends``: intervals of the counter, and power readings."""

    begins: float
    ends: float
    edges: tuple[Edge, ...]
    power_times: tuple[float, ...]
    power_watts: tuple[float, ...]

    def counter_watts(self) -> tuple[list[float], list[float]]:
        """Return the times at which the counter's intervals end, and their mean powers."""
        pairs = list(pairwise(self.edges))
        watts = [(new.joules - old.joules) / (new.seconds - old.seconds) for old, new in pairs]
        return [new.seconds for _, new in pairs], watts

    def series(self, method: str) -> tuple[list[float], list[float]]:
        return self.counter_watts() if method == COUNTER else (list(self.power_times), list(self.power_watts))

    def level(self, method: str) -> float:
        """Return the watts at the phase's end."""
        return _tail(self, *self.series(method))[0]


def characterise(sensor: Sensor, clock: Clock, load: Load, policy: Policy | None = None) -> CounterConstants:
    """Observe the device idle, then under ``load``, then idle: twelve seconds, or forty where its readings are slow.

    ``load``: anything that keeps the device busy at a power well above idle. Raises MeasurementError as ``measure``
    does, and where the load's power cannot be told from idle (``NoStep``).
    """
    policy = policy or Policy()
    refuse_foreign_processes(sensor)
    method = POWER if sensor.energy_joules() is None else COUNTER
    read_seconds = _read_seconds(sensor, clock, method)
    load.enqueue(load.multiple)
    load.drain()
    with undisturbed():
        for length in (_PHASE_SECONDS, _SLOW_PHASE_SECONDS):
            idle = _observe(sensor, clock, policy, method, _REST_SECONDS, None)
            feeder = Feeder(load, clock, policy)
            busy = _observe(sensor, clock, policy, method, length, feeder)
            load.drain()
            after = _observe(sensor, clock, policy, method, length, None)
            found = _constants(sensor, method, read_seconds, idle, busy, after, _pace_settling(feeder.steps))
            if max(found.lag_seconds, found.power_lag_seconds) < 0.9 * (length - _TAIL_SECONDS):
                break
    refuse_foreign_processes(sensor)
    return found


def _read_seconds(sensor: Sensor, clock: Clock, method: str) -> float:
    read = sensor.energy_joules if method == COUNTER else sensor.power_watts
    spent = []
    for _ in range(_READS):
        begun = clock.seconds()
        _tolerated(read)
        spent.append(clock.seconds() - begun)
    return statistics.median(spent)


def _observe(
    sensor: Sensor, clock: Clock, policy: Policy, method: str, seconds: float, feeder: Feeder | None
) -> ObservedPhase:
    begins = clock.seconds()
    recorder = EdgeRecorder(sensor, clock, policy)
    times: list[float] = []
    watts: list[float] = []
    while clock.seconds() - begins < seconds:
        worked = feeder.feed() if feeder is not None else False
        if method == COUNTER:
            recorder.poll()
        power = _tolerated(sensor.power_watts)
        if power is not None:
            times.append(clock.seconds())
            watts.append(power)
        if not worked:
            clock.sleep(policy.poll_seconds)
    return ObservedPhase(
        begins=begins, ends=clock.seconds(), edges=tuple(recorder.edges),
        power_times=tuple(times), power_watts=tuple(watts),
    )  # fmt: skip


def _tolerated(read: Callable[[], float | None]) -> float | None:
    """Return one reading, or None where it was missed."""
    try:
        return read()
    except MeasurementError as error:
        if not error.transient:
            raise
        return None


def _constants(
    sensor: Sensor,
    method: str,
    read_seconds: float,
    idle: ObservedPhase,
    busy: ObservedPhase,
    after: ObservedPhase,
    pace_rise: float,
) -> CounterConstants:
    for phase in (idle, busy, after):
        _refuse_too_few(phase, method)
    levels = idle.level(method), busy.level(method)
    if levels[1] < _SMALLEST_STEP * levels[0]:
        raise MeasurementError(
            f"the power under the load ({levels[1]:.1f} W) is too close to the idle power ({levels[0]:.1f} W):"
            " the load does not run on this device, or something else keeps it busy; characterise with a larger load",
            reason="NoStep",
        )
    power_period = _power_period([idle, busy, after])
    gaps = np.diff([edge.seconds for edge in busy.edges]) if method == COUNTER else np.array([power_period])
    period = _typical(gaps)
    rise, fall = _settling(busy, idle, method), _settling(after, busy, method)
    return CounterConstants(
        method=method,
        period_seconds=period,
        jitter_seconds=1.4826 * float(np.median(np.abs(gaps - period))),  # a normal's MAD, as its deviation
        resolution_joules=_resolution([*idle.edges, *busy.edges, *after.edges]) if method == COUNTER else None,
        rise_seconds=max(rise, pace_rise, period),
        fall_seconds=max(fall, period),
        power_period_seconds=power_period,
        power_lag_seconds=max(_settling(busy, idle, POWER), _settling(after, busy, POWER)),
        read_seconds=read_seconds,
        idle_watts=levels[0],
        busy_watts=levels[1],
        notes=sensor.card.notes + (("no energy counter: the power reading is integrated",) if method == POWER else ()),
    )


def _typical(gaps: np.ndarray) -> float:
    """Return the mean of the gaps near the median.

    A median alone is a multiple of the polling interval, and a mean of all gaps includes those in which an update was
    missed.
    """
    median = float(np.median(gaps))
    return float(np.mean(gaps[np.abs(gaps - median) < median / 2.0]))


def _refuse_too_few(phase: ObservedPhase, method: str) -> None:
    count = len(phase.series(method)[0])
    if count < 3:
        raise MeasurementError(
            f"the {'energy counter' if method == COUNTER else 'power reading'} moved {count} times in"
            f" {phase.ends - phase.begins:.1f} s, too seldom to measure with: reload the driver, or check whether its"
            " monitoring is disabled",
            reason="CounterSilent",
        )


def _tail(phase: ObservedPhase, times: Sequence[float], watts: Sequence[float]) -> tuple[float, float, float]:
    """Return the mean and standard deviation of the phase's settled end, and the time when that begins."""
    from_seconds = phase.ends - _TAIL_SECONDS
    settled = [value for time, value in zip(times, watts, strict=True) if time >= from_seconds] or list(watts[-1:])
    return statistics.fmean(settled), statistics.pstdev(settled), from_seconds


def _settling(phase: ObservedPhase, previous: ObservedPhase, method: str) -> float:
    """Return the seconds from the phase's begin until readings stay at their final level."""
    times, watts = phase.series(method)
    level, scatter, tail_from = _tail(phase, times, watts)
    tolerance = max(_TOLERANCE * abs(level - previous.level(method)), _NOISE * scatter)
    outside = [
        time for time, value in zip(times, watts, strict=True) if time < tail_from and abs(value - level) > tolerance
    ]
    return max(0.0, outside[-1] - phase.begins) if outside else 0.0


def _pace_settling(steps: Sequence[Step]) -> float:
    """Return the seconds from the load's begin until executions take as long as at its end.

    The card's clocks are then up, which a sensor that samples part of the time may not show.
    """
    marks = [steps[0]]
    for step in steps[1:]:
        if step.seconds - marks[-1].seconds >= _PACE_SECONDS:
            marks.append(step)
    pairs = list(pairwise(marks))
    paces = [(new.seconds - old.seconds) / (new.executions - old.executions) for old, new in pairs]
    settled = paces[len(paces) // 2 :]
    if len(settled) < 3:
        return 0.0
    level = statistics.fmean(settled)
    tolerance = max(_TOLERANCE * level, _NOISE * statistics.pstdev(settled))
    early = zip(pairs, paces[: len(paces) // 2], strict=False)
    outside = [new.seconds for (_, new), pace in early if abs(pace - level) > tolerance]
    return outside[-1] - steps[0].seconds if outside else 0.0


def _power_period(phases: Sequence[ObservedPhase]) -> float:
    gaps: list[float] = []
    for phase in phases:
        pairs = list(zip(phase.power_watts, phase.power_watts[1:], phase.power_times[1:], strict=False))
        moved = [time for old, new, time in pairs if old != new]
        gaps += [float(gap) for gap in np.diff(moved)]
    return statistics.median(gaps) if len(gaps) > 2 else _USUAL_PERIOD_SECONDS


def _resolution(edges: Sequence[Edge]) -> float:
    """Return the largest step, in joules to a microjoule, of which all increments are multiples."""
    increments = [round((new.joules - old.joules) * 1e6) for old, new in pairwise(edges)]
    return math.gcd(*(abs(increment) for increment in increments)) / 1e6
