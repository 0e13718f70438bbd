"""Interface of what a session measures on: a sensor, a clock, and loads made for them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

from joulecast_calibration.measure.loads.prepared import Prepared
from joulecast_calibration.measure.plan.configuration import Configuration
from joulecast_calibration.meter import CounterConstants, Policy, Window
from joulecast_calibration.meter.sensor import Clock, Sensor


class Bench(Protocol):
    """Everything that a session needs of a device: real, the processor, or simulated."""

    sensor: Sensor
    clock: Clock

    def versions(self) -> Mapping[str, str | None]:
        """Return the versions of joulecast, python, torch, cuda, cudnn, torchvision, timm and transformers."""

    def missing(self, runtimes: Collection[str]) -> Mapping[str, str]:
        """Return what is missing here, by prefix of named sources and by name of ``runtimes``."""

    def constants(self) -> Mapping[str, Any]:
        """Measure the columns of the row ``constants``: counter, idle, gap power, ceilings, host."""

    def prepare(self, configuration: Configuration) -> AbstractContextManager[Prepared]:
        """Build, fill and run the load of a configuration once; its memory is freed at the end of the block."""

    def measure(self, prepared: Prepared, policy: Policy, counter: CounterConstants) -> Window:
        """Measure one window."""

    def compare(self, name: str, prepared: Prepared, window: Window) -> Mapping[str, Any]:
        """Measure the same load by CodeCarbon's own protocol. Raises MeasurementError (NoCodeCarbon)."""

    def close(self) -> None: ...
