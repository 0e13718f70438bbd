"""Measure the power of a device with a context and raised clocks that runs no kernel (P_gap).

A launch-bound network draws it between its kernels. Short kernels run with pauses of different length: power rises with
the share of busy time, and P_gap is the power at share 0.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing

import numpy as np
import torch

from joulecast.errors import MeasurementError
from joulecast_calibration.measure.loads.capture import graph_load
from joulecast_calibration.measure.loads.devices import Device
from joulecast_calibration.measure.loads.streams import ClosableLoad, Runnable, eager_load
from joulecast_calibration.meter import Window
from joulecast_calibration.meter.sensor import Load
from joulecast_calibration.rows.typed import Gap, GapPoint

BUSY_SHARES = (0.05, 0.15, 0.4)  # launch-bound networks lie between the outer two
NUMEL = {"cuda": 1 << 23, "cpu": 1 << 18}  # a copy of 32 MiB takes a GPU some 20 microseconds: longer than its launch


Measure = Callable[[Load], Window]


def gap_watts(device: Device, measure: Measure) -> Gap:
    """Measure four windows and extrapolate. Raises what ``measure`` raises, and MeasurementError."""
    run = _copy(device)
    with closing(graph_load([run], device.torch)) as load:
        busy = measure(load)
    points = []
    for share in BUSY_SHARES:
        with closing(paused_load(run, device, seconds=busy.seconds / share)) as load:
            window = measure(load)
        points.append(GapPoint(share=min(1.0, busy.seconds / window.seconds), watts=window.watts))
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


def extrapolated(points: Sequence[GapPoint], busy_watts: float) -> Gap:
    """Extrapolate the straight line through the points to no load.

    ``busy_watts``: power of the same kernel without pauses. ``residual_watts`` is the root mean square of the points'
    distance from the line.
    """
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
    return Gap(watts=float(intercept), busy_watts=busy_watts, residual_watts=residual, points=tuple(points))
