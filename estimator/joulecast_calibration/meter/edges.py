"""Find the moments at which a cumulative energy grows, by polling it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from joulecast.errors import MeasurementError
from joulecast_calibration.meter.constants import CounterConstants
from joulecast_calibration.meter.policy import Policy
from joulecast_calibration.meter.sensor import Clock, Sensor

MODULI_JOULES = (2**32 / 1000, 2**64 / 1000)
"""Where a counter of millijoules in 32 or 64 bits begins again at 0."""

_LARGEST_WATTS = 3000.0  # of one device: twice what the largest data sheet allows (NVIDIA GB300: 1,400 W)
_STALE_SECONDS = 1.0  # of energy that may be published late: the longest average seen (Yang, Adamek, Armour)
_SILENT_PERIODS = 20  # updates missing in a row before the counter is said to stand still
_SILENT_SECONDS = 3.0  # but never sooner than this
_EXPLAINED = 2.0  # of what the polls explain: more is the counter's own unrest
_EARLY_SHARE = 0.05  # of a period: how long before an expected edge polling becomes dense; or, where that is longer,
_EARLY_POLLS = 3  # polls before it, and
_EARLY_JITTERS = 6.0  # standard deviations of its jitter


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """An increase: cumulative energy became ``joules`` (from an arbitrary zero) between ``before`` and ``after``."""

    before: float
    after: float
    joules: float

    @property
    def seconds(self) -> float:
        return (self.before + self.after) / 2.0

    @property
    def standard_error(self) -> float:
        """Return the standard error, in seconds, of a time that is uniformly distributed between two polls."""
        return (self.after - self.before) / math.sqrt(12.0)


def grown(previous: float, reading: float, elapsed: float) -> float:
    """Return the joules between two readings of a counter that are ``elapsed`` seconds apart.

    Raises MeasurementError (``CounterReset``) where it fell without having wrapped, or rose more than any device draws.
    """
    most = _LARGEST_WATTS * (elapsed + _STALE_SECONDS)
    for modulus in (0.0, *MODULI_JOULES):
        growth = reading - previous + modulus
        if 0.0 <= growth <= most:
            return growth
    raise MeasurementError(
        f"the energy counter went from {previous:.3f} J to {reading:.3f} J in {elapsed:.3f} s, which is"
        " neither consumption nor a wrap: it was reset, so the window is void; measure it again",
        reason="CounterReset",
        transient=True,
    )


class EdgeRecorder:
    """Polls a counter: densely around the next expected edge, not in between; always while constants are unknown."""

    def __init__(self, sensor: Sensor, clock: Clock, policy: Policy, constants: CounterConstants | None = None) -> None:
        self.edges: list[Edge] = []
        self.missed = 0
        self.due = -math.inf
        self._sensor, self._clock = sensor, clock
        self._constants = constants
        self._spacing = policy.poll_seconds
        self._closest = 0.0
        if constants is not None:
            slowest = max(policy.poll_seconds, _EARLY_SHARE * constants.period_seconds)
            self._spacing = min(max(policy.poll_seconds, constants.read_seconds / policy.reading_share), slowest)
            self._closest = policy.chunk_seconds
        self._silence = max(_SILENT_PERIODS * constants.period_seconds if constants else 0.0, _SILENT_SECONDS)
        self._reading: float | None = None
        self._asked_at = self._read_at = self._moved_at = clock.seconds()
        self._turn = self._joules = 0.0
        self._rested = False

    def poll(self) -> bool:
        """Read if due; return whether an edge was found."""
        before = self._clock.seconds()
        self._turn, self._asked_at = before - self._asked_at, before
        if before < self.due:
            return False
        reading = self._read()
        after = self._clock.seconds()
        self.due = before + self._spacing
        if reading is None or self._reading is None or reading == self._reading:
            self._check_silence(reading, before)
            return False
        self._joules += grown(self._reading, reading, after - self._read_at)
        return self._move(reading, before, after)

    def _move(self, reading: float, before: float, after: float) -> bool:
        """Record an edge and return True, unless the edge was not observed closely enough.

        An edge that came while nothing was read, or right after another (as of a counter that always moves), is left
        out; the next one holds its energy as well.
        """
        seen = not self._rested and (not self.edges or after - self.edges[-1].after >= self._closest)
        if seen:
            self.edges.append(Edge(before=self._read_at, after=after, joules=self._joules))
        self._reading, self._read_at, self._moved_at = reading, before, after
        rest = self._rest() if seen else 0.0
        self._rested = rest > self._spacing
        if self._rested:
            self.due = after + rest
        return seen

    def _rest(self) -> float:
        """Return the seconds after an edge in which the next one is not expected, even by a loop as slow as the present
        one."""
        if self._constants is None:
            return 0.0
        period, jitter = self._constants.period_seconds, self._constants.jitter_seconds
        early = max(_EARLY_SHARE * period, _EARLY_JITTERS * jitter, _EARLY_POLLS * self._spacing, 2.0 * self._turn)
        return period - early

    def _read(self) -> float | None:
        try:
            reading = self._sensor.energy_joules()
        except MeasurementError as error:
            if not error.transient:
                raise
            self.missed += 1
            return None
        if reading is None:
            raise MeasurementError(
                "the energy counter is no longer there: integrate the power instead, or reload the driver",
                reason="NoCounter",
            )
        return reading

    def _check_silence(self, reading: float | None, at: float) -> None:
        """Note a reading without growth. Raises MeasurementError (``CounterSilent``) if there was none for too long."""
        if reading is not None:
            self._reading, self._read_at, self._rested = reading, at, False
        if at - self._moved_at > self._silence:
            raise MeasurementError(
                f"the energy counter has not moved for {at - self._moved_at:.1f} s: reload the driver, or measure by"
                " integration of its power",
                reason="CounterSilent",
            )


class PowerRecorder:
    """Integrates a power reading by trapezoids; each reading is an edge of the cumulative energy."""

    def __init__(self, sensor: Sensor, clock: Clock, spacing_seconds: float, share: float = 1.0) -> None:
        """Set up the recorder; ``share``: of time that reading may take, so slow readings are less frequent."""
        self.edges: list[Edge] = []
        self.missed = 0
        self.due = -math.inf
        self._sensor, self._clock, self._spacing, self._share = sensor, clock, spacing_seconds, share
        self._watts = self._joules = self._read_at = 0.0
        self._good_at = clock.seconds()

    def poll(self) -> bool:
        """Read if due; return whether there was a reading."""
        before = self._clock.seconds()
        if before < self.due:
            return False
        self.due = before + self._spacing
        watts = self._read(before)
        if watts is None:
            return False
        after = self._clock.seconds()
        self.due = before + max(self._spacing, (after - before) / self._share)
        middle = (before + after) / 2.0
        if self.edges:
            self._joules += (watts + self._watts) / 2.0 * (middle - self._read_at)
        self.edges.append(Edge(before=before, after=after, joules=self._joules))
        self._watts, self._read_at, self._good_at = watts, middle, after
        return True

    def _read(self, at: float) -> float | None:
        try:
            return self._sensor.power_watts()
        except MeasurementError as error:
            if not error.transient or at - self._good_at > _SILENT_SECONDS:
                raise
            self.missed += 1
            return None


def joules_at(edges: Sequence[Edge], seconds: Sequence[float]) -> np.ndarray:
    """Interpolate the cumulative energy at given times; times outside the edges get the nearest edge's energy."""
    return np.interp(seconds, [edge.seconds for edge in edges], [edge.joules for edge in edges])


def in_rhythm(edges: Sequence[Edge], period: float) -> list[float]:
    """Return the times of the edges, aligned to the nearest even grid if only polling explains their distance from it.

    A host that is busy with the load polls between two launches only, so it sees all edges in one phase of the load,
    whatever their real phase. ``period``: seconds, to tell how many edges were missed between two of them.
    """
    seen = np.array([edge.seconds for edge in edges])
    numbers = np.concatenate([[0.0], np.cumsum(np.maximum(np.round(np.diff(seen) / period), 1.0))])
    if len(seen) < 3:
        return [float(at) for at in seen]
    even = np.polyval(np.polyfit(numbers, seen, 1), numbers)
    explained = float(np.mean([edge.standard_error**2 for edge in edges]))
    strayed = float(np.mean((seen - even) ** 2))
    return [float(at) for at in (even if strayed <= _EXPLAINED * explained else seen)]
