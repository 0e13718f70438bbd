"""What a session measures on: a sensor, a clock, and loads made for them. Real, on the processor, or simulated."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

from joulecast_calibration.measure.loads.prepared import Prepared
from joulecast_calibration.measure.plan.configuration import Configuration
from joulecast_calibration.meter import CounterConstants, Policy, Window
from joulecast_calibration.meter.sensor import Clock, Sensor


class Bench(Protocol):
    """Everything that a session needs of a device."""

    sensor: Sensor
    clock: Clock

    def versions(self) -> Mapping[str, str | None]:
        """Of joulecast, python, torch, cuda, cudnn, torchvision, timm, transformers."""

    def missing(self, runtimes: Collection[str]) -> Mapping[str, str]:
        """Prefixes of named sources, and those of ``runtimes``, that cannot be had here, and what they lack."""

    def constants(self) -> Mapping[str, Any]:
        """Columns of the row ``constants``: counter, idle, gap power, ceilings, host."""

    def prepare(self, configuration: Configuration) -> AbstractContextManager[Prepared]:
        """The load of a configuration, built, filled and run once; freed at the end of the block."""

    def measure(self, prepared: Prepared, policy: Policy, counter: CounterConstants) -> Window:
        """One window."""

    def compare(self, name: str, prepared: Prepared, window: Window) -> Mapping[str, Any]:
        """The same load by CodeCarbon's own protocol. Raises MeasurementError (NoCodeCarbon)."""

    def close(self) -> None: ...
