"""Loads of a simulated device."""

from __future__ import annotations

from typing import Protocol

from joulecast_calibration.meter.simulated.chip import Execution

_LAUNCH_SECONDS = 1e-5  # what handing work to a driver takes: ~10 µs a launch


class DeviceOutOfMemoryError(MemoryError):
    """The load does not fit into the device's memory; replaces torch's OutOfMemoryError where torch is missing."""


class LoadDevice(Protocol):
    """What a load needs of the device it runs on."""

    now: float

    @property
    def memory_bytes(self) -> int: ...

    def call(self, seconds: float) -> float: ...

    def advance(self, seconds: float) -> None: ...

    def enqueue(self, load: SimulatedLoad, executions: int) -> None: ...

    def finished(self) -> int: ...

    def running(self) -> SimulatedLoad | None: ...

    def seconds_to_idle(self) -> float: ...


class SimulatedLoad:
    """A ``Load`` whose executions cost what ``execution`` says. Raises DeviceOutOfMemoryError if it does not fit."""

    def __init__(self, device: LoadDevice, execution: Execution, *, multiple: int = 1) -> None:
        if execution.memory_bytes > device.memory_bytes:
            raise DeviceOutOfMemoryError(
                f"{execution.memory_bytes:,} bytes do not fit into the {device.memory_bytes:,} of the device"
            )
        self.execution = execution
        self._device = device
        self._multiple = multiple
        self._settled = 0
        self._enqueued = 0
        self._began: float | None = None

    @property
    def multiple(self) -> int:
        return self._multiple

    def enqueue(self, executions: int) -> None:
        """Enqueue executions in the host's time, while the device runs already."""
        if executions % self._multiple:
            raise ValueError(f"{executions} executions are not a multiple of {self._multiple}")
        self._device.call(0.0)
        if executions <= 0:
            return
        self._began = self._device.now if self._began is None else self._began
        self._enqueued += executions
        self._device.enqueue(self, executions)
        self._device.advance(max(executions * self.execution.host_seconds, _LAUNCH_SECONDS))

    def completed(self) -> int:
        self._device.call(1e-6)
        return self._settled + (self._device.finished() if self._device.running() is self else 0)

    def drain(self) -> None:
        self._device.call(0.0)
        while self._settled < self._enqueued:
            self._device.advance(self._device.seconds_to_idle())

    def finish(self, executions: int) -> None:
        """Record that so many more executions are done; called by the device."""
        self._settled += executions

    def growth(self, at: float) -> float:
        """Return the factor on the dynamic power at that time."""
        return 1 + self.execution.drift_per_second * (at - (at if self._began is None else self._began))
