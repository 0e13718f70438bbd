"""Simulate the meter of a device: a counter and a power figure that follow the truth late, in part, and in steps."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import Protocol

from joulecast.errors import MeasurementError
from joulecast_calibration.meter.sensor import Card, DeviceState
from joulecast_calibration.meter.simulated.faults import DeviceFaults, inside
from joulecast_calibration.meter.simulated.history import PowerHistory


@dataclass(frozen=True, slots=True, kw_only=True)
class Register:
    """How one figure is formed: at every ``period`` the mean power of the last ``window`` seconds, ``lag`` ago.

    - ``window_seconds``: None for the whole time since the last update.
    - ``rise_seconds``: time constant with which the figure follows that mean, as a capacitor charges.
    """

    period_seconds: float
    window_seconds: float | None = None
    lag_seconds: float = 0.0
    rise_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SensorSpec:
    """The figures of a meter.

    - ``counter``: None where the device has none.
    - ``resolution_joules``: step of the counter.
    - ``gain``, ``offset_watts``: errors of both figures.
    - ``read_seconds``: duration of a read.
    """

    power: Register
    counter: Register | None
    resolution_joules: float = 0.001  # NVML's unit is the millijoule
    gain: float = 1.0
    offset_watts: float = 0.0
    read_seconds: float = 1e-4


class Source(Protocol):
    """What a meter is attached to."""

    @property
    def history(self) -> PowerHistory: ...

    def call(self, seconds: float) -> float:
        """Count a call of that many seconds; return the time when it returns."""

    def state(self) -> DeviceState: ...

    def foreign_processes_at(self, at: float) -> tuple[int, ...]: ...


class _Figure:
    """The updates of one register: their times, and the mean power that each shows."""

    def __init__(self, register: Register, history: PowerHistory, seed: str) -> None:
        self.register = register
        self.random = random.Random(seed)  # noqa: S311 - a simulation's noise, no secret
        self.watts = history.mean_watts(-1.0, 0.0)
        self.updated = 0.0
        self.due = self.random.uniform(0.0, register.period_seconds)

    def take(self, history: PowerHistory) -> float:
        """Update at ``due``; return the seconds since the update before."""
        end = self.due - self.register.lag_seconds
        since = self.due - self.updated
        mean = history.mean_watts(end - (self.register.window_seconds or since), end)
        kept = math.exp(-since / self.register.rise_seconds) if self.register.rise_seconds else 0.0
        self.watts = mean + kept * (self.watts - mean)
        self.updated = self.due
        return since

    def schedule(self) -> None:
        self.due += self.register.period_seconds


class SimulatedSensor:
    """A ``Sensor`` on a simulated device, in virtual or real time. ``card.simulated`` is always True."""

    def __init__(self, source: Source, spec: SensorSpec, card: Card, *, seed: int, faults: DeviceFaults) -> None:
        if not card.simulated or not card.accelerator.startswith("simulated-"):
            raise MeasurementError(
                f"{card.accelerator!r} is not a name of a simulated card:"
                " begin it with simulated-, and mark the card as simulated"
            )
        self.card = card
        self.spec = spec
        self._source, self._faults = source, faults
        counter_seed, power_seed = f"counter {seed}", f"power {seed}"
        self._counter = _Figure(spec.counter, source.history, counter_seed) if spec.counter else None
        self._power = _Figure(spec.power, source.history, power_seed)
        self._counted = _first_joules(faults, f"start {seed}")
        self._resets = sorted(faults.resets)
        self._watts = self._seen(self._power)

    def energy_joules(self) -> float | None:
        at = self._read()
        if self._counter is None:
            return None
        self._count_until(self._counter, at)
        whole = math.floor(self._counted / self.spec.resolution_joules) * self.spec.resolution_joules
        return whole % self._faults.wrap_joules if self._faults.wrap_joules else whole

    def power_watts(self) -> float:
        at = self._read()
        while self._power.due <= at:
            if not self._misses(self._power):
                self._power.take(self._source.history)
                self._watts = self._seen(self._power)
            self._power.schedule()
        return self._watts

    def state(self) -> DeviceState:
        self._read()
        return self._source.state()

    def foreign_processes(self) -> tuple[int, ...]:
        return self._source.foreign_processes_at(self._read())

    def close(self) -> None:
        """Do nothing, because no resource is held."""

    def _read(self) -> float:
        at = self._source.call(self.spec.read_seconds)
        if inside(at, self._faults.raising):
            raise MeasurementError(
                f"the sensor of {self.card.accelerator} did not answer at {at:.3f} s: try again",
                transient=self._faults.transient,
            )
        return at

    def _count_until(self, counter: _Figure, at: float) -> None:
        while counter.due <= at:
            if not self._misses(counter):
                self._count(counter)
            counter.schedule()

    def _count(self, counter: _Figure) -> None:
        since = counter.take(self._source.history)
        watts = self._seen(counter)
        if not inside(counter.due, self._faults.lost):
            self._counted += watts * since
        while self._resets and self._resets[0] <= counter.due:
            self._counted = watts * (counter.due - self._resets.pop(0))

    def _misses(self, figure: _Figure) -> bool:
        """Return whether the update that is due is missed."""
        late = self._faults.missing_share > 0 and figure.random.random() < self._faults.missing_share
        return late or inside(figure.due, self._faults.frozen)

    def _seen(self, figure: _Figure) -> float:
        return self.spec.gain * figure.watts + self.spec.offset_watts


def _first_joules(faults: DeviceFaults, seed: str) -> float:
    """Return the counter's start, if not given that of a card that has run for a while."""
    drawn = random.Random(seed).uniform(0.0, 1e6)  # noqa: S311 - a simulation's noise, no secret
    return drawn if faults.start_joules is None else faults.start_joules
