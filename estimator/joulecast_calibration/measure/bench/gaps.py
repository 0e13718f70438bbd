"""Measure the power of a device with a context and raised clocks that runs no kernel (P_gap).

A launch-bound network draws it between its kernels. Short kernels run with pauses of different length: power rises with
the share of busy time, and P_gap is the power at share 0.
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
    """The part of a load's measurement that is used: mean power, and seconds of one execution."""

    @property
    def watts(self) -> float: ...

    @property
    def seconds(self) -> float: ...


Measure = Callable[[Load], Watched]


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """Mean power, ``watts``, while the device was busy for ``share`` of the time."""

    share: float
    watts: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GapPower:
    """The extrapolated power and its evidence.

    - ``watts``: P_gap.
    - ``busy_watts``: power of the same kernel without pauses.
    - ``points``: the points that the line was fitted to.
    - ``residual_watts``: root mean square of the points' distance from the line.
    """

    watts: float
    busy_watts: float
    residual_watts: float
    points: tuple[Point, ...]

    def row(self) -> dict[str, Any]:
        return asdict(self) | {"points": [asdict(point) for point in self.points]}


def gap_watts(device: Device, measure: Measure) -> GapPower:
    """Measure four windows and extrapolate. Raises what ``measure`` raises, and MeasurementError."""
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
    """Run ``run`` every ``seconds``; the host waits without sleeping, as between the launches of a network."""
    due = time.perf_counter()

    def next_run() -> object:
        nonlocal due
        while time.perf_counter() < due:
            pass
        due = max(due, time.perf_counter() - seconds) + seconds
        return run()

    return eager_load(next_run, device.torch)


def extrapolated(points: Sequence[Point], busy_watts: float) -> GapPower:
    """Extrapolate the straight line through the points to no load."""
    shares = np.array([point.share for point in points])
    watts = np.array([point.watts for point in points])
    if np.ptp(shares) <= 0:
        raise MeasurementError(
            "pauses did not change the device's busy time, so the gap power cannot be found: measure on an idle host"
        )
    slope, intercept = np.polyfit(shares, watts, 1)
    if intercept <= 0:
        raise MeasurementError(
            f"the line through the pauses gives {intercept:.3g} W at no load, which is impossible:"
            " measure on an idle device"
        )
    residual = float(np.sqrt(np.mean((watts - (intercept + slope * shares)) ** 2)))
    return GapPower(watts=float(intercept), busy_watts=busy_watts, residual_watts=residual, points=tuple(points))
