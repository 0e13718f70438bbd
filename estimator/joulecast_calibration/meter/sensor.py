"""The seams of the meter: a sensor of energy and power, a load that runs on the device, and time.

Each has a real form (NVML, a CUDA stream, the machine's clock), and a simulated one that shares a virtual time.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What does not change while a process holds the device. ``card``: salted hash of its UUID, which is never kept.

    ``power_limit_watts``: None where the device does not say. ``simulated``: every row that stands on this sensor is
    marked with it. ``notes``: what is known to be odd about the readings of such a card.
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
    """What changes: None where the device does not tell. ``throttle_reasons``: names, such as ``sw_power_cap``."""

    sm_clock_mhz: float | None
    memory_clock_mhz: float | None
    temperature_celsius: float | None
    throttle_reasons: tuple[str, ...] = ()


class Sensor(Protocol):
    """One device's energy and state. Any method may raise MeasurementError; a transient one is a sample missed."""

    card: Card

    def energy_joules(self) -> float | None:
        """The cumulative counter as read, before any unwrapping; None where the device has none."""

    def power_watts(self) -> float:
        """The driver's own power figure, whatever it averages over."""

    def state(self) -> DeviceState: ...

    def foreign_processes(self) -> tuple[int, ...]:
        """Process ids on the device that are neither this process nor its children."""

    def close(self) -> None: ...


class Clock(Protocol):
    """Monotonic time."""

    def seconds(self) -> float: ...

    def sleep(self, seconds: float) -> None: ...


class Load(Protocol):
    """Something that the device executes again and again. ``enqueue`` returns at once where the device is
    asynchronous; on a processor it returns when done.
    """

    @property
    def multiple(self) -> int:
        """``enqueue`` is called with multiples of this: the executions in one CUDA graph, else 1."""

    def enqueue(self, executions: int) -> None: ...

    def completed(self) -> int:
        """Executions finished since the load was made; may rise in steps, but is whole after each ``enqueue``'s work.
        Called every millisecond.
        """

    def drain(self) -> None:
        """Wait until all that was enqueued is finished."""


class MonotonicClock:
    """CLOCK_MONOTONIC: never set back, not stopped by anything short of suspension."""

    def seconds(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)
