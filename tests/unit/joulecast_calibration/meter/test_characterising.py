"""What a counter is like, found out by a step of the load."""

from __future__ import annotations

import pytest

from joulecast.errors import MeasurementError
from joulecast_calibration.meter import characterise
from joulecast_calibration.meter.simulated import DeviceFaults, ForeignProcess, SimulatedDevice

from .test_measuring import constants_of


@pytest.mark.parametrize(
    ("card", "period", "lag"),
    [
        ("hopper", 0.1, (0.1, 0.25)),
        ("hopper-averaged", 0.1, (0.85, 1.1)),
        ("ampere", 0.1, (0.1, 0.25)),
        ("turing", 0.1, (0.15, 0.4)),
        ("volta", 0.02, (0.02, 0.25)),
        ("maxwell", 0.1, (0.4, 0.9)),
    ],
)
def test_period_and_lag_are_those_of_the_card(card: str, period: float, lag: tuple[float, float]) -> None:
    """The lag holds the card's own rise from rest, 0.2 s of its clock, which a fast counter sees."""
    found = constants_of(card)
    assert found.period_seconds == pytest.approx(period, rel=0.05)
    assert lag[0] * 0.9 <= found.lag_seconds <= lag[1]
    assert found.jitter_seconds < 0.005
    assert found.busy_watts > 3 * found.idle_watts


@pytest.mark.parametrize("card", ["hopper", "ampere", "turing", "volta"])
def test_a_period_is_no_multiple_of_how_often_was_looked(card: str) -> None:
    """A tenth of it decides from when on executions are said to alias."""
    true = SimulatedDevice(card).spec.sensor.counter
    assert true is not None
    assert constants_of(card).period_seconds == pytest.approx(true.period_seconds, rel=1e-3)


def test_updates_that_are_missing_do_not_lengthen_the_period() -> None:
    device = SimulatedDevice("ampere", seed=1, faults=DeviceFaults(missing_share=0.2))
    found = characterise(device.sensor, device.clock, device.load(0.001, watts=200.0))
    assert found.period_seconds == pytest.approx(0.1, rel=5e-3)


def test_a_power_figure_of_a_second_is_as_late() -> None:
    found = constants_of("hopper")
    assert 0.9 < found.power_lag_seconds < 1.2
    assert found.power_period_seconds == pytest.approx(0.1, rel=0.05)
    assert found.lag_seconds < 0.3, "its counter is quicker"


def test_the_resolution_is_the_counters_step() -> None:
    assert constants_of("ampere").resolution_joules == pytest.approx(0.001)
    assert constants_of("maxwell").resolution_joules is None
    assert constants_of("maxwell").method == "power"
    assert any("integrated" in note for note in constants_of("maxwell").notes)


def test_idle_is_before_and_busy_under_the_load() -> None:
    found = constants_of("ampere")
    assert found.idle_watts == pytest.approx(35.0, rel=0.02)
    assert found.busy_watts == pytest.approx(200.0, rel=0.03)


def test_a_load_that_does_not_show_is_refused() -> None:
    device = SimulatedDevice("ampere")
    nothing = SimulatedDevice("ampere").load(0.001, watts=150.0)
    with pytest.raises(MeasurementError) as caught:
        characterise(device.sensor, _clock_of_both(device, nothing), nothing)
    assert caught.value.reason == "NoStep"


class _clock_of_both:  # noqa: N801 - a function in all but form
    """Time passes on the card that is watched and on the other one, on which the load runs."""

    def __init__(self, device: SimulatedDevice, load: object) -> None:
        self._device = device
        self._other = load._device  # type: ignore[attr-defined]

    def seconds(self) -> float:
        self._other.advance(1e-6)
        return self._device.clock.seconds()

    def sleep(self, seconds: float) -> None:
        self._other.advance(seconds)
        self._device.clock.sleep(seconds)


def test_a_counter_that_never_moves_is_refused() -> None:
    device = SimulatedDevice("ampere", faults=DeviceFaults(frozen=((0.0, 100.0),)))
    with pytest.raises(MeasurementError) as caught:
        characterise(device.sensor, device.clock, device.load(0.001, watts=150.0))
    assert caught.value.reason == "CounterSilent"


def test_foreign_processes_are_refused_before_anything_is_learnt() -> None:
    device = SimulatedDevice("ampere", faults=DeviceFaults(foreign_processes=(ForeignProcess(start=0.0),)))
    with pytest.raises(MeasurementError) as caught:
        characterise(device.sensor, device.clock, device.load(0.001, watts=150.0))
    assert caught.value.reason == "ForeignProcessOnDevice"


def test_a_foreign_process_that_comes_while_it_is_learnt_is_refused() -> None:
    device = SimulatedDevice("ampere", faults=DeviceFaults(foreign_processes=(ForeignProcess(start=8.0),)))
    with pytest.raises(MeasurementError) as caught:
        characterise(device.sensor, device.clock, device.load(0.001, watts=150.0))
    assert caught.value.reason == "ForeignProcessOnDevice"
    assert device.now > 8.0


def test_the_lag_holds_the_rise_of_the_clocks_that_a_part_time_sensor_misses() -> None:
    found = constants_of("ampere")
    assert found.fall_seconds < 0.12
    assert found.rise_seconds > 0.14, "0.16 s from 210 to 1410 MHz"
