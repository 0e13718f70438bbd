"""The bench of a simulated device in virtual time, with the loads of the card that it simulates."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

from joulecast.errors import MeasurementError
from joulecast_calibration.measure.bench.simulated_loads import SimulatedLoads, graph_of
from joulecast_calibration.measure.loads.prepared import Prepared
from joulecast_calibration.measure.plan.configuration import Configuration
from joulecast_calibration.measure.plan.expectation import build_seconds
from joulecast_calibration.meter import CounterConstants, Policy, Window, characterise, measure
from joulecast_calibration.meter.sensor import Clock, Sensor
from joulecast_calibration.meter.simulated import (
    DeviceFaults,
    DeviceOutOfMemoryError,
    ForeignProcess,
    SimulatedDevice,
)

_STARTUP_SECONDS = 20.0  # imports and context of a real process: 15 to 30 s
_HOST_CONSTANTS_SECONDS = 40.0  # gap power, ceilings and launch constants of a real one
_BUSY_SECONDS = 0.001
_COARSE: dict[str, Any] = {"poll_seconds": 0.01, "queue_seconds": 0.2, "chunk_seconds": 0.05, "state_seconds": 0.5}
"""A meter that polls ten times less often than a real one, so that tests of minutes run in seconds."""

FAULTS = ("foreign-process", "out-of-memory", "crash", "hang", "broken")
"""``foreign-process=AT`` or ``AT-UNTIL`` seconds; the others: part of the key of the affected configurations."""


class SimulatedBench:
    """A bench on a simulated device; each process of a chain makes its own device, which starts at 0 s.

    - ``faults``: faults by name, see ``FAULTS``.
    """

    def __init__(self, preset: str, *, seed: int, faults: Mapping[str, str]) -> None:
        if unknown := sorted(set(faults) - set(FAULTS)):
            raise MeasurementError(
                f"unknown fault {unknown[0]!r} of a simulated device: choose from {', '.join(FAULTS)}",
                reason="WrongUsage",
            )
        self._faults = faults
        self._device = SimulatedDevice(preset, seed=seed, faults=_device_faults(faults))
        self._loads = SimulatedLoads(self._device)
        self.sensor: Sensor = self._device.sensor
        self.clock: Clock = self._device.clock
        self._group = ""
        self.clock.sleep(_STARTUP_SECONDS)

    def versions(self) -> Mapping[str, str | None]:
        return {"joulecast": None, "torch": None}

    def missing(self, runtimes: Collection[str]) -> Mapping[str, str]:  # noqa: ARG002
        return {}

    def constants(self) -> Mapping[str, Any]:
        load = self._device.load(_BUSY_SECONDS)
        counter = characterise(self.sensor, self.clock, load)
        self.clock.sleep(_HOST_CONSTANTS_SECONDS)
        return {**counter.row(), "gap_watts": self._device.spec.chip.gap_watts}

    @contextlib.contextmanager
    def prepare(self, configuration: Configuration) -> Iterator[Prepared]:
        self._inject_faults(configuration)
        self.clock.sleep(build_seconds(configuration, shared_build=configuration.group == self._group))
        self._group = configuration.group
        load = self._loads.load(configuration)
        columns: dict[str, Any] = {"finite": True, "valid": not self._is("broken", configuration)}
        if not columns["valid"]:
            columns |= {"finite": False, "invalid_reason": "not finite"}
        yield Prepared(load=load, columns=columns, graph=graph_of(configuration))
        load.drain()

    def measure(self, prepared: Prepared, policy: Policy, counter: CounterConstants) -> Window:
        return measure(prepared.load, self.sensor, self.clock, counter, replace(policy, **_COARSE))

    def compare(self, name: str, prepared: Prepared, window: Window) -> Mapping[str, Any]:  # noqa: ARG002
        raise MeasurementError("CodeCarbon cannot measure a simulated device", reason="NoCodeCarbon")

    def close(self) -> None:
        """Do nothing, because no resource is held."""

    def _inject_faults(self, configuration: Configuration) -> None:
        """Crash, hang or run out of memory where the faults ask for it."""
        if self._is("crash", configuration):
            os.kill(os.getpid(), signal.SIGSEGV)
        if self._is("hang", configuration):
            signal.pause()
        if self._is("out-of-memory", configuration):
            raise DeviceOutOfMemoryError(f"out of memory: {configuration.label} does not fit")

    def _is(self, fault: str, configuration: Configuration) -> bool:
        return fault in self._faults and self._faults[fault] in configuration.key


def _device_faults(faults: Mapping[str, str]) -> DeviceFaults:
    if "foreign-process" not in faults:
        return DeviceFaults()
    start, _, end = faults["foreign-process"].partition("-")
    try:
        return DeviceFaults(foreign_processes=(ForeignProcess(start=float(start), end=float(end or "inf")),))
    except ValueError:
        raise MeasurementError(
            f"foreign-process={faults['foreign-process']} does not give a time:"
            " write foreign-process=120 or foreign-process=120-180, in seconds",
            reason="WrongUsage",
        ) from None
