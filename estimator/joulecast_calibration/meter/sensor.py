"""Interfaces of the meter: a sensor of energy and power, a load that runs on the device, and a clock.

Each has a real form (NVML, a CUDA stream, the machine's clock), and a simulated one that shares a virtual time.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """Properties that do not change while a process holds the device.

    - ``card``: salted hash of its UUID, which is never kept.
    - ``power_limit_watts``: None where the device does not give it.
    - ``simulated``: marks every row that was measured with this sensor.
    - ``notes``: known peculiarities of such a card's readings.
    """

    accelerator: str
    card: str
    driver: str
    power_limit_watts: float | None
    memory_bytes: int
    simulated: bool
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceState:
    """State that changes; None where the device does not give it.

    - ``throttle_reasons``: names, such as ``sw_power_cap``.
    """

    sm_clock_mhz: float | None
    memory_clock_mhz: float | None
    temperature_celsius: float | None
    throttle_reasons: tuple[str, ...] = ()


class Sensor(Protocol):
    """One device's energy and state. Any method may raise MeasurementError; a transient one is a missed sample."""

    card: Card

    def energy_joules(self) -> float | None:
        """Return the cumulative counter as read, before any unwrapping; None where the device has none."""

    def power_watts(self) -> float:
        """Return the driver's own power figure, whatever it averages over."""

    def state(self) -> DeviceState: ...

    def foreign_processes(self) -> tuple[int, ...]:
        """Return process ids on the device that belong neither to this process nor to its children."""

    def close(self) -> None: ...


class Clock(Protocol):
    """A monotonic clock."""

    def seconds(self) -> float: ...

    def sleep(self, seconds: float) -> None: ...


class Load(Protocol):
    """Something that the device executes again and again.

    ``enqueue`` returns at once where the device is asynchronous; on a processor it returns when done.
    """

    @property
    def multiple(self) -> int:
        """Return the divisor of all counts given to ``enqueue``: the executions in one CUDA graph, else 1."""

    def enqueue(self, executions: int) -> None: ...

    def completed(self) -> int:
        """Return the executions finished since the load was made, polled every millisecond.

        The count may rise in steps, but is complete after each ``enqueue``'s work.
        """

    def drain(self) -> None:
        """Wait until everything that was enqueued is finished."""


class MonotonicClock:
    """CLOCK_MONOTONIC, which is never set back and is stopped by suspension alone."""

    def seconds(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)
