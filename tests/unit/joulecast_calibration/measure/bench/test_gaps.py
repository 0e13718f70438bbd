from __future__ import annotations

import time
from dataclasses import asdict, dataclass

import pytest

from joulecast.errors import MeasurementError
from joulecast_calibration.measure.bench.gaps import extrapolated, gap_watts, paused_load
from joulecast_calibration.measure.loads.devices import Processor
from joulecast_calibration.meter.sensor import Load
from joulecast_calibration.rows.typed import GapPoint


@dataclass
class Watched:
    watts: float
    seconds: float


def test_gap_power_is_where_nothing_is_busy() -> None:
    points = [GapPoint(share=share, watts=90.0 + 200.0 * share) for share in (0.05, 0.15, 0.4)]
    found = extrapolated(points, busy_watts=290.0)
    assert found.watts == pytest.approx(90)
    assert found.residual_watts < 1e-9
    assert asdict(found)["points"][0] == {"share": 0.05, "watts": pytest.approx(100.0)}


def test_pauses_that_change_nothing_tell_nothing() -> None:
    with pytest.raises(MeasurementError, match="did not change"):
        extrapolated([GapPoint(share=1.0, watts=200.0)] * 3, busy_watts=200.0)


def test_a_line_that_ends_below_nothing_is_no_gap_power() -> None:
    points = [GapPoint(share=share, watts=300.0 * share - 5.0) for share in (0.05, 0.15, 0.4)]
    with pytest.raises(
        MeasurementError, match=r"gives -5 W at no load, which is impossible: measure on an idle device"
    ):
        extrapolated(points, busy_watts=295.0)


@pytest.mark.slow
def test_planted_gap_power_is_found_from_real_pauses() -> None:
    """The power is made of the share of time that the meter sees busy, as a device's is."""
    busy_seconds = []

    def measure(load: Load) -> Watched:
        load.enqueue(20)
        began = time.perf_counter()
        load.enqueue(20)
        seconds = (time.perf_counter() - began) / 20
        if not busy_seconds:
            busy_seconds.append(seconds)
        return Watched(watts=70.0 + 230.0 * min(1.0, busy_seconds[0] / seconds), seconds=seconds)

    found = gap_watts(Processor(), measure)
    assert found.watts == pytest.approx(70, abs=1)
    assert found.busy_watts == pytest.approx(300)


def test_pauses_last_as_long_as_asked() -> None:
    began = time.perf_counter()
    load = paused_load(lambda: None, Processor(), seconds=0.002)  # its clock starts here
    load.enqueue(11)
    assert time.perf_counter() - began >= 0.02
    assert load.completed() == 11
