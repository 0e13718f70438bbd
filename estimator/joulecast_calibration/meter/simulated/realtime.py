"""Simulate a device on the machine's own clock for real work on a processor, which reports when it runs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from joulecast_calibration.meter.sensor import Clock, Load
from joulecast_calibration.meter.simulated.device import SimulatedDevice, SimulatedLoad
from joulecast_calibration.meter.simulated.faults import DeviceFaults
from joulecast_calibration.meter.simulated.presets import DeviceSpec

_ENDLESS = 2**53  # executions of a second: until cancelled


class RealTimeDevice(SimulatedDevice):
    """A simulated device whose time is that of ``clock``, busy whenever a ``busy`` block runs.

    Its clock and temperature follow that work and its power limit as in virtual time; the work's speed does not follow
    them.
    """

    def __init__(
        self, clock: Clock, spec: str | DeviceSpec = "hopper", *, seed: int = 0, faults: DeviceFaults | None = None
    ) -> None:
        super().__init__(spec, seed=seed, faults=faults)
        self.clock = clock
        self._origin = clock.seconds()
        self._lock = threading.RLock()
        self._running: list[SimulatedLoad] = []

    def call(self, seconds: float) -> float:  # noqa: ARG002 - a real call takes its own time
        with self._lock:
            self._catch_up()
            return super().call(0.0)

    @contextmanager
    def busy(self, intensity: float = 0.6) -> Iterator[None]:
        """Draw ``intensity`` of the power limit, at boost and 25 °C, while the block runs."""
        with self._changing_work():
            self._running.append(self.load(1.0, watts=intensity * self.spec.chip.power_limit_watts))
        try:
            yield
        finally:
            with self._changing_work():
                self._running.pop()

    def metered(self, load: Load, intensity: float = 0.6) -> MeteredLoad:
        return MeteredLoad(load, self, intensity)

    @contextmanager
    def _changing_work(self) -> Iterator[None]:
        """Stop the innermost work before the block, and run what is innermost after it."""
        with self._lock:
            self._catch_up()
            if self._running:
                self.cancel(self._running[-1])
            yield
            if self._running:
                self.enqueue(self._running[-1], _ENDLESS)

    def _catch_up(self) -> None:
        self.advance(max(self.clock.seconds() - self._origin - self.now, 0.0))


class MeteredLoad:
    """A ``Load`` that works while ``enqueue`` runs, as one on a processor does, and reports it to the meter."""

    def __init__(self, load: Load, device: RealTimeDevice, intensity: float) -> None:
        self._load, self._device, self._intensity = load, device, intensity

    @property
    def multiple(self) -> int:
        return self._load.multiple

    def enqueue(self, executions: int) -> None:
        with self._device.busy(self._intensity):
            self._load.enqueue(executions)

    def completed(self) -> int:
        return self._load.completed()

    def drain(self) -> None:
        self._load.drain()
