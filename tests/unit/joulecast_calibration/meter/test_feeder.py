"""The queue: never empty, never endless, and looked at often enough to time executions."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from joulecast.errors import MeasurementError
from joulecast_calibration.meter.feeder import Feeder
from joulecast_calibration.meter.policy import Policy
from joulecast_calibration.meter.simulated import SimulatedDevice


def fed(device: SimulatedDevice, feeder: Feeder, seconds: float) -> list[int]:
    """Run the loop; the work pending after each turn."""
    until, pending = device.now + seconds, []
    while device.now < until:
        if not feeder.feed():
            device.clock.sleep(0.001)
        pending.append(feeder.pending)
    return pending


@settings(max_examples=25, deadline=None)
@given(st.floats(-5.0, -0.5), st.sampled_from([1, 7, 64]))
def test_work_is_always_pending_and_never_much(exponent: float, multiple: int) -> None:
    seconds = 10.0**exponent
    device = SimulatedDevice("ampere", seed=1)
    load = device.load(seconds, watts=150.0, multiple=multiple)
    feeder = Feeder(load, device.clock, Policy())
    fed(device, feeder, max(0.5, 4 * seconds * multiple))
    pending = fed(device, feeder, max(0.3, 3 * seconds * multiple))
    assert min(pending) >= 1, "the device ran dry"
    assert max(pending) * seconds <= max(0.08, 4 * seconds * multiple) * 1.1


@pytest.mark.parametrize("seconds", [2e-5, 1e-3, 3e-2, 0.2])
def test_the_pace_is_the_execution_time(seconds: float) -> None:
    device = SimulatedDevice("ampere", seed=1)
    feeder = Feeder(device.load(seconds, watts=150.0), device.clock, Policy())
    fed(device, feeder, max(0.5, 10 * seconds))
    first, last = feeder.steps[len(feeder.steps) // 2], feeder.steps[-1]
    pace = (last.seconds - first.seconds) / (last.executions - first.executions)
    assert pace == pytest.approx(seconds, rel=0.01)


def test_a_load_bound_by_the_host_is_not_slowed_by_more_than_the_looking() -> None:
    device = SimulatedDevice("ampere", seed=1)
    load = device.load(0.002, watts=150.0, host_seconds=0.004)
    feeder = Feeder(load, device.clock, Policy())
    fed(device, feeder, 0.5)  # clocks rise
    before = load.completed()
    fed(device, feeder, 2.0)
    assert load.completed() - before == pytest.approx(2.0 / 0.004, rel=0.01)


def test_a_load_that_stops_is_told() -> None:
    class Stopped:
        multiple = 1

        def enqueue(self, executions: int) -> None: ...

        def completed(self) -> int:
            return 0

        def drain(self) -> None: ...

    device = SimulatedDevice("ampere")
    feeder = Feeder(Stopped(), device.clock, Policy(patience_seconds=1.0))
    with pytest.raises(MeasurementError) as caught:
        fed(device, feeder, 5.0)
    assert caught.value.reason == "LoadStalled"
