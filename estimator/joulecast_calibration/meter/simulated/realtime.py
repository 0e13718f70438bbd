"""Simulate a meter on the machine's own clock for real work on a processor, which reports when it runs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from joulecast_calibration.meter.sensor import Clock, DeviceState, Load
from joulecast_calibration.meter.simulated.device import SimulatedDevice
from joulecast_calibration.meter.simulated.faults import DeviceFaults
from joulecast_calibration.meter.simulated.history import PowerHistory
from joulecast_calibration.meter.simulated.loads import SimulatedLoad
from joulecast_calibration.meter.simulated.presets import DeviceSpec
from joulecast_calibration.meter.simulated.sensor import SimulatedSensor

_ENDLESS = 2**53  # executions of a second: until cancelled


class _Follower:
    """A virtual device whose time is the machine's."""

    def __init__(self, device: SimulatedDevice, clock: Clock) -> None:
        self._device, self._clock = device, clock
        self._origin = clock.seconds()
        self._lock = threading.RLock()
        self._running: list[SimulatedLoad] = []

    @property
    def history(self) -> PowerHistory:
        return self._device.history

    def call(self, seconds: float) -> float:  # noqa: ARG002 - a real call takes its own time
        with self._lock:
            self._catch_up()
            return self._device.call(0.0)

    def state(self) -> DeviceState:
        return self._device.state()

    def foreign_processes_at(self, at: float) -> tuple[int, ...]:
        return self._device.foreign_processes_at(at)

    def begin(self, watts: float) -> None:
        with self._lock:
            self._pause()
            self._running.append(self._device.load(1.0, watts=watts))
            self._resume()

    def end(self) -> None:
        with self._lock:
            self._pause()
            self._running.pop()
            self._resume()

    def _pause(self) -> None:
        self._catch_up()
        if self._running:
            self._device.cancel(self._running[-1])

    def _resume(self) -> None:
        if self._running:
            self._device.enqueue(self._running[-1], _ENDLESS)

    def _catch_up(self) -> None:
        self._device.advance(max(self._clock.seconds() - self._origin - self._device.now, 0.0))


class RealTimeSimulatedSensor(SimulatedSensor):
    """The device of ``spec``, busy whenever a ``busy`` block runs; its ``card`` is marked as simulated.

    Its clock and temperature follow that work and its power limit as in virtual time; the work's speed does not follow
    them.
    """

    def __init__(
        self, clock: Clock, spec: str | DeviceSpec = "hopper", *, seed: int = 0, faults: DeviceFaults | None = None
    ) -> None:
        self._device = SimulatedDevice(spec, seed=seed, faults=faults)
        self._follower = _Follower(self._device, clock)
        super().__init__(
            self._follower,
            self._device.spec.sensor,
            self._device.sensor.card,
            seed=seed,
            faults=self._device.faults,
        )

    @contextmanager
    def busy(self, intensity: float = 0.6) -> Iterator[None]:
        """Draw ``intensity`` of the power limit, at boost and 25 °C, while the block runs."""
        self._follower.begin(intensity * self._device.spec.chip.power_limit_watts)
        try:
            yield
        finally:
            self._follower.end()

    def metered(self, load: Load, intensity: float = 0.6) -> MeteredLoad:
        return MeteredLoad(load, self, intensity)

    def true_joules(self, start: float, end: float) -> float:
        """Return the joules between two moments, in seconds since the sensor was made."""
        return self._device.true_joules(start, end)


class MeteredLoad:
    """A ``Load`` that works while ``enqueue`` runs, as one on a processor does, and reports it to the meter."""

    def __init__(self, load: Load, sensor: RealTimeSimulatedSensor, intensity: float) -> None:
        self._load, self._sensor, self._intensity = load, sensor, intensity

    @property
    def multiple(self) -> int:
        return self._load.multiple

    def enqueue(self, executions: int) -> None:
        with self._sensor.busy(self._intensity):
            self._load.enqueue(executions)

    def completed(self) -> int:
        return self._load.completed()

    def drain(self) -> None:
        self._load.drain()
