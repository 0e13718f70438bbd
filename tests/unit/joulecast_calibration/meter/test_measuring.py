"""Whole windows on simulated cards: joules against the truth that only a simulation knows."""

from __future__ import annotations

import gc
import json
import statistics
from dataclasses import replace
from functools import cache

import pytest

from joulecast.errors import MeasurementError
from joulecast_calibration.meter import CounterConstants, Policy, Window, characterise, measure
from joulecast_calibration.meter.edges import MODULI_JOULES
from joulecast_calibration.meter.simulated import (
    DeviceFaults,
    DeviceOutOfMemoryError,
    ForeignProcess,
    Phase,
    Register,
    SimulatedDevice,
    SimulatedLoad,
    preset,
)

CARDS = ("hopper", "hopper-averaged", "ampere", "turing", "volta", "maxwell")


@cache
def constants_of(card: str) -> CounterConstants:
    device = SimulatedDevice(card, seed=0)
    load = device.load(0.002, watts=0.8 * device.spec.chip.power_limit_watts)
    return characterise(device.sensor, device.clock, load)


def measured(device: SimulatedDevice, load: SimulatedLoad, policy: Policy | None = None) -> tuple[Window, float]:
    """The window, and the true joules of an execution in it."""
    begun = device.now
    window = measure(load, device.sensor, device.clock, constants_of(device.spec.name), policy)
    start = begun + window.warmup_seconds
    return window, device.true_joules(start, start + window.window_seconds) / window.executions


def steadily(device: SimulatedDevice, load: SimulatedLoad, policy: Policy | None = None) -> tuple[Window, float]:
    """The window, and the true joules of an execution once all is at rest: of the second that follows."""
    window = measure(load, device.sensor, device.clock, constants_of(device.spec.name), policy)
    executions = load.multiple * round(1.0 / window.seconds / load.multiple)
    start = device.now
    load.enqueue(executions)
    load.drain()
    return window, device.true_joules(start, device.now) / executions


def share(device: SimulatedDevice, part: float) -> float:
    return part * device.spec.chip.power_limit_watts


def phased(device: SimulatedDevice, seconds: float) -> SimulatedLoad:
    """Three fifths of it at a high power, two at a low one."""
    return device.load(
        phases=(
            Phase(seconds=0.6 * seconds, compute_watts=share(device, 0.5)),
            Phase(seconds=0.4 * seconds, compute_watts=share(device, 0.05), memory_watts=share(device, 0.15)),
        )
    )


@pytest.mark.slow
@pytest.mark.parametrize("card", CARDS)
@pytest.mark.parametrize(("seconds", "part"), [(2e-5, 0.6), (1e-3, 0.9), (8e-3, 0.5)])
def test_one_percent_at_one_second_for_steady_loads(card: str, seconds: float, part: float) -> None:
    errors = []
    for seed in range(4):
        device = SimulatedDevice(card, seed=seed)
        policy = Policy(shortest_seconds=1.0, longest_seconds=1.2)
        load = device.load(seconds, watts=share(device, part), multiple=64 if seconds < 1e-4 else 1)
        window, truth = steadily(device, load, policy)
        errors.append(abs(window.joules / truth - 1))
        assert window.seconds == pytest.approx(seconds, rel=0.005)
        assert window.edges >= 5
        assert not window.single
    assert max(errors) <= 0.01


@pytest.mark.parametrize("card", CARDS)
def test_windows_end_as_soon_as_they_are_good(card: str) -> None:
    device = SimulatedDevice(card, seed=5)
    window, truth = steadily(device, device.load(1e-3, watts=share(device, 0.6)))
    assert 0.6 <= window.window_seconds < 1.0
    assert window.steady is True
    assert window.joules_standard_error <= 0.011 * window.joules
    assert window.joules == pytest.approx(truth, rel=0.01)
    assert window.warmup_seconds >= constants_of(card).lag_seconds


def test_a_slow_counter_is_waited_for_until_five_edges() -> None:
    spec = preset("turing")
    slow = replace(spec, sensor=replace(spec.sensor, counter=Register(period_seconds=0.4)))
    device = SimulatedDevice(slow, seed=1)
    load = device.load(1e-3, watts=share(device, 0.6))
    constants = characterise(device.sensor, device.clock, load)
    assert constants.period_seconds == pytest.approx(0.4, rel=0.01)
    window = measure(load, device.sensor, device.clock, constants)
    assert window.edges >= 5
    assert window.window_seconds == pytest.approx(0.4 * (window.edges - 1), rel=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("card", CARDS)
def test_the_error_said_is_the_error_made(card: str) -> None:
    ratios = []
    for seed in range(12):
        device = SimulatedDevice(card, seed=seed)
        window, truth = steadily(device, device.load(1e-3, watts=share(device, 0.6)))
        ratios.append((window.joules - truth) / window.joules_standard_error)
    assert statistics.fmean([ratio**2 for ratio in ratios]) < 4.0
    assert max(map(abs, ratios)) < 5.0


def test_executions_of_hundreds_of_milliseconds_are_measured_whole() -> None:
    for seconds in (0.17, 0.7):
        device = SimulatedDevice("ampere", seed=1)
        window, truth = measured(device, phased(device, seconds))
        assert window.joules == pytest.approx(truth, rel=0.02), "its sensor looks a quarter of the time"
        assert window.executions >= 2
        device = SimulatedDevice("turing", seed=1)
        window, truth = measured(device, phased(device, seconds))
        assert window.joules == pytest.approx(truth, rel=0.005), "and this one always"


def test_one_long_execution_is_a_window_of_its_own() -> None:
    device = SimulatedDevice("hopper", seed=1)
    window, truth = measured(device, phased(device, 3.5))
    assert (window.single, window.executions, window.steady, window.drift) == (True, 1, None, None)
    assert window.joules == pytest.approx(truth, rel=0.01)
    assert 0.0 < window.joules_standard_error < 0.05 * window.joules
    assert window.window_seconds == pytest.approx(3.5, rel=0.001)


def test_a_window_that_aliases_says_so_and_the_long_one_is_compared_with_it() -> None:
    """A sensor that looks a quarter of the time, at executions of a third of its period."""
    device = SimulatedDevice("ampere", seed=1)
    short, truth = measured(device, phased(device, 0.03344), Policy(longest_seconds=1.0))
    long, _ = measured(device, phased(device, 0.03344), Policy.fixed(8.0))
    assert short.phase_gap is not None
    assert short.phase_gap > 0.5
    assert abs(short.joules / truth - 1) > 0.02, "the bias of which the gap warns"
    assert long.window_seconds == pytest.approx(8.0, abs=0.2)


def test_a_load_that_drifts_is_extended_and_flagged() -> None:
    device = SimulatedDevice("ampere", seed=1)
    window, _ = measured(device, device.load(1e-3, watts=share(device, 0.5), drift_per_second=0.3))
    assert window.steady is False
    assert window.drift is not None
    assert window.drift > 0.2
    assert 3.9 <= window.window_seconds < 4.3


def test_a_slow_counter_does_not_hide_a_drift() -> None:
    """It shows where the load was half a second ago: 5 % a second are 2 % by then."""
    device = SimulatedDevice("hopper-averaged", seed=1)
    window, truth = measured(device, device.load(2e-3, watts=share(device, 0.6), drift_per_second=0.05))
    off = abs(window.joules - truth)
    assert off <= 0.01 * truth or window.steady is False or off < 2 * window.joules_standard_error


def test_the_power_reading_is_integrated_over_the_same_window() -> None:
    device = SimulatedDevice("ampere", seed=1)
    window, truth = measured(device, device.load(1e-3, watts=share(device, 0.6)))
    assert window.power_joules == pytest.approx(truth, rel=0.01)


def test_a_reading_that_averages_over_more_than_the_load_is_not_given() -> None:
    device = SimulatedDevice("hopper", seed=1)  # its power figure is a mean of one second
    window, _ = measured(device, device.load(1e-3, watts=share(device, 0.6)), Policy(shortest_seconds=0.4))
    assert window.warmup_seconds + window.window_seconds < 1.0
    assert window.power_joules is None
    longer, truth = measured(device, device.load(1e-3, watts=share(device, 0.6)), Policy.fixed(2.0))
    assert longer.power_joules == pytest.approx(truth, rel=0.01)


def test_without_a_counter_power_is_integrated() -> None:
    device = SimulatedDevice("maxwell", seed=1)
    window, truth = measured(device, device.load(1e-3, watts=share(device, 0.6)))
    assert window.method == "power"
    assert window.power_joules is None
    assert window.joules == pytest.approx(truth, rel=0.01)
    assert window.warmup_seconds > 0.4, "four time constants of its reading"


def test_a_wrapped_counter_makes_no_difference() -> None:
    wrap = MODULI_JOULES[0]
    device = SimulatedDevice("ampere", seed=1, faults=DeviceFaults(wrap_joules=wrap, start_joules=wrap - 60.0))
    window, truth = measured(device, device.load(1e-3, watts=share(device, 0.6)))
    assert window.redone == 0
    assert window.joules == pytest.approx(truth, rel=0.01)


def test_a_reset_voids_the_window_which_is_done_again() -> None:
    device = SimulatedDevice("ampere", seed=1, faults=DeviceFaults(resets=(0.5,)))
    window = measure(device.load(1e-3, watts=150.0), device.sensor, device.clock, constants_of("ampere"))
    assert window.redone == 1
    assert window.watts == pytest.approx(150.0, rel=0.03)


def test_a_counter_that_is_reset_all_the_time_is_an_error() -> None:
    resets = tuple(0.3 * index for index in range(1, 40))
    device = SimulatedDevice("ampere", seed=1, faults=DeviceFaults(resets=resets))
    with pytest.raises(MeasurementError) as caught:
        measured(device, device.load(1e-3, watts=150.0))
    assert caught.value.reason == "CounterReset"
    assert device.now < 1.3, "three attempts, each ended by the next reset"


def test_missing_and_late_samples_leave_the_mean() -> None:
    device = SimulatedDevice(
        "ampere", seed=2, faults=DeviceFaults(missing_share=0.2, raising=((0.4, 0.45), (0.8, 0.82)))
    )
    window, truth = measured(device, device.load(1e-3, watts=150.0))
    assert window.missed > 0
    assert abs(window.joules - truth) < 3 * window.joules_standard_error
    assert window.joules == pytest.approx(truth, rel=0.02)


def test_a_foreign_process_before_or_after_ends_it() -> None:
    for start in (0.0, 0.5):
        device = SimulatedDevice("ampere", faults=DeviceFaults(foreign_processes=(ForeignProcess(start=start),)))
        with pytest.raises(MeasurementError, match="process 4242 also uses simulated-ampere") as caught:
            measured(device, device.load(1e-3, watts=150.0))
        assert caught.value.reason == "ForeignProcessOnDevice"
        assert caught.value.transient


@pytest.mark.parametrize("card", CARDS)
@pytest.mark.parametrize("foreign", [ForeignProcess(start=0.0), ForeignProcess(start=0.0, watts=25.0, slowdown=1.1)])
def test_a_foreign_process_that_no_driver_lists_is_told_by_a_step(card: str, foreign: ForeignProcess) -> None:
    """Good without its beginning, the window would be the foreign process's as well, and not say so."""
    lag = constants_of(card).lag_seconds
    hidden = replace(foreign, start=1.0 + lag + 0.3, visible=False)
    device = SimulatedDevice(card, seed=3, faults=DeviceFaults(foreign_processes=(hidden,)))
    load = device.load(2e-3, watts=share(device, 0.6))
    load.enqueue(1)
    device.advance(1.0 - device.now)
    window, _ = measured(device, load)
    assert window.steady is False
    assert window.dropped_seconds > 0
    assert window.dropped_watts is not None
    assert window.dropped_execution_seconds is not None
    slower = window.seconds / window.dropped_execution_seconds
    assert max(slower, slower * window.watts / window.dropped_watts) > 1.05
    assert window.warmup_seconds >= lag + window.dropped_seconds


def test_a_hidden_foreign_process_that_leaves_is_cut_off() -> None:
    for card in CARDS:
        lag = constants_of(card).lag_seconds
        hidden = ForeignProcess(start=0.0, end=1.0 + lag + 0.3, visible=False)
        device = SimulatedDevice(card, seed=3, faults=DeviceFaults(foreign_processes=(hidden,)))
        load = device.load(2e-3, watts=share(device, 0.6))
        load.enqueue(1)
        device.advance(1.0 - device.now)
        window, truth = steadily(device, load)
        assert window.dropped_seconds > 0
        assert window.joules == pytest.approx(truth, rel=0.01), card


@pytest.mark.parametrize("card", CARDS)
def test_a_card_that_rises_from_rest_is_not_taken_for_a_foreign_process(card: str) -> None:
    device = SimulatedDevice(card, seed=3)
    first, truth = steadily(device, device.load(2e-3, watts=share(device, 0.6)))
    assert first.steady is True
    assert first.joules == pytest.approx(truth, rel=0.01)
    again, _ = measured(device, device.load(2e-3, watts=share(device, 0.6)))
    assert again.steady is True
    assert (again.dropped_seconds, again.dropped_watts, again.dropped_execution_seconds) == (0.0, None, None)


def test_a_launch_bound_load_is_in_step_with_its_host_and_not_with_the_counter() -> None:
    """The host looks for edges between two launches only, always in the same phase of an execution."""
    for seed in range(4):
        device = SimulatedDevice("volta", seed=seed)
        load = device.load(3e-4, watts=share(device, 0.5), host_seconds=3e-3)
        window, truth = measured(device, load)
        assert window.phase_gap is not None
        assert window.phase_gap < Policy().largest_phase_gap
        assert window.window_seconds < 1.0
        assert window.joules == pytest.approx(truth, rel=0.01)


def test_a_foreign_process_that_is_about_to_leave_is_refused_at_once() -> None:
    device = SimulatedDevice("ampere", faults=DeviceFaults(foreign_processes=(ForeignProcess(start=0.0, end=0.3),)))
    with pytest.raises(MeasurementError) as caught:
        measured(device, device.load(1e-3, watts=150.0))
    assert caught.value.reason == "ForeignProcessOnDevice"
    assert device.now < 0.1, "before anything was run"


def test_a_load_that_hangs_is_not_waited_for() -> None:
    class Hanging(SimulatedLoad):
        def completed(self) -> int:
            return 0

        def drain(self) -> None:
            raise AssertionError("it would never end")

    device = SimulatedDevice("ampere")
    load = Hanging(device, device.load(1e-3, watts=150.0).execution)
    with pytest.raises(MeasurementError) as caught:
        measured(device, load, Policy(patience_seconds=2.0))
    assert caught.value.reason == "LoadStalled"


def test_a_capped_card_tells_its_clock_and_why() -> None:
    device = SimulatedDevice("ampere", seed=1)
    window, truth = measured(device, device.load(1e-3, watts=1.3 * device.spec.chip.power_limit_watts))
    assert window.throttle_reasons == ("sw_power_cap",)
    assert window.sm_clock_mhz is not None
    assert window.sm_clock_mhz < device.spec.chip.boost_mhz
    assert window.joules == pytest.approx(truth, rel=0.01)


def test_the_state_is_that_of_the_window_and_not_of_the_rise_before_it() -> None:
    device = SimulatedDevice("ampere", seed=1)
    window, _ = measured(device, device.load(1e-3, watts=share(device, 0.6)))
    assert window.sm_clock_mhz == device.spec.chip.boost_mhz, "and not 210 MHz at rest"
    assert window.memory_clock_mhz == device.spec.chip.memory_mhz
    assert window.temperature_celsius is not None
    assert window.temperature_celsius > device.spec.chip.ambient_celsius


def test_after_an_error_of_the_meter_nothing_is_left_in_the_queue() -> None:
    """The next configuration begins on a device that is at rest."""
    faults = DeviceFaults(raising=((0.5, 1e9),), transient=False)
    device = SimulatedDevice("ampere", seed=1, faults=faults)
    load = device.load(1e-3, watts=150.0)
    with pytest.raises(MeasurementError, match="did not answer"):
        measured(device, load)
    assert device.running() is None


def test_no_garbage_is_collected_in_a_window_and_again_after_it() -> None:
    device = SimulatedDevice("ampere", seed=1)
    seen = []

    class Watched(SimulatedLoad):
        def enqueue(self, executions: int) -> None:
            seen.append(gc.isenabled())
            super().enqueue(executions)

    measured(device, Watched(device, device.load(1e-3, watts=150.0).execution))
    assert seen
    assert not any(seen)
    assert gc.isenabled()


def test_what_a_load_raises_passes_through() -> None:
    class Full(SimulatedLoad):
        def enqueue(self, executions: int) -> None:
            raise DeviceOutOfMemoryError("out of memory")

    device = SimulatedDevice("ampere")
    load = Full(device, device.load(1e-3, watts=150.0).execution)
    with pytest.raises(DeviceOutOfMemoryError):
        measured(device, load)


def test_a_row_is_json_and_constants_come_back() -> None:
    device = SimulatedDevice("ampere", seed=1)
    window, _ = measured(device, device.load(1e-3, watts=150.0))
    row = json.loads(json.dumps(window.row(), allow_nan=False))
    assert row["joules"] == pytest.approx(window.watts * window.seconds)
    assert row["throttle_reasons"] == []
    constants = constants_of("ampere")
    assert CounterConstants.from_row(json.loads(json.dumps(constants.row()))) == constants
