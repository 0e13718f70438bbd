"""Power of a device that has a context and its clocks up, but runs no kernel: what a launch-bound network pays between
its kernels.

Short kernels with pauses of different length: power rises with the share of time that is busy, and P_gap is where the
share is 0.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
import torch

from joulecast.errors import MeasurementError
from joulecast_calibration.measure.loads.capture import graph_load
from joulecast_calibration.measure.loads.devices import Device
from joulecast_calibration.measure.loads.streams import ClosableLoad, Runnable, eager_load
from joulecast_calibration.meter.sensor import Load

BUSY_SHARES = (0.05, 0.15, 0.4)  # launch-bound networks lie between the outer two
NUMEL = {"cuda": 1 << 23, "cpu": 1 << 18}  # a copy of 32 MiB takes a GPU some 20 microseconds: longer than its launch


class Watched(Protocol):
    """What a measurement of a load must tell: mean power, and seconds of one execution."""

    @property
    def watts(self) -> float: ...

    @property
    def seconds(self) -> float: ...


Measure = Callable[[Load], Watched]


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """``watts`` while the device was busy for ``share`` of the time."""

    share: float
    watts: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GapPower:
    """``watts``: P_gap; ``busy_watts``: of the same kernel without pauses; ``points``: what the line was drawn through;
    ``residual_watts``: root mean square of the points' distance from it."""

    watts: float
    busy_watts: float
    residual_watts: float
    points: tuple[Point, ...]

    def row(self) -> dict[str, Any]:
        return asdict(self) | {"points": [asdict(point) for point in self.points]}


def gap_watts(device: Device, measure: Measure) -> GapPower:
    """Measure and extrapolate: four windows. Raises what ``measure`` raises, and MeasurementError."""
    run = _copy(device)
    with closing(graph_load([run], device.torch)) as load:
        busy = measure(load)
    points = []
    for share in BUSY_SHARES:
        with closing(paused_load(run, device, seconds=busy.seconds / share)) as load:
            window = measure(load)
        points.append(Point(share=min(1.0, busy.seconds / window.seconds), watts=window.watts))
    return extrapolated(points, busy.watts)


def _copy(device: Device) -> Runnable:
    source = torch.randn(NUMEL[device.torch.type], device=device.torch)
    target = torch.empty_like(source)
    return lambda: target.copy_(source)


def paused_load(run: Runnable, device: Device, *, seconds: float) -> ClosableLoad:
    """``run`` every ``seconds``; the host waits without sleeping, as it does between the launches of a network."""
    due = time.perf_counter()

    def next_run() -> object:
        nonlocal due
        while time.perf_counter() < due:
            pass
        due = max(due, time.perf_counter() - seconds) + seconds
        return run()

    return eager_load(next_run, device.torch)


def extrapolated(points: Sequence[Point], busy_watts: float) -> GapPower:
    """The straight line through the points, at no load."""
    shares = np.array([point.share for point in points])
    watts = np.array([point.watts for point in points])
    if np.ptp(shares) <= 0:
        raise MeasurementError("pauses did not change how busy the device was, so no gap power can be told")
    slope, intercept = np.polyfit(shares, watts, 1)
    if intercept <= 0:
        raise MeasurementError(f"the line through the pauses gives {intercept:.3g} W at no load, which no device draws")
    residual = float(np.sqrt(np.mean((watts - (intercept + slope * shares)) ** 2)))
    return GapPower(watts=float(intercept), busy_watts=busy_watts, residual_watts=residual, points=tuple(points))
