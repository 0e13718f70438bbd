"""A device in virtual time: work, power, temperature, clocks."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from joulecast.errors import MeasurementError
from joulecast_calibration.meter.simulated import (
    PRESETS,
    DeviceFaults,
    DeviceOutOfMemoryError,
    DeviceSpec,
    ForeignProcess,
    Phase,
    SimulatedChip,
    SimulatedDevice,
)

QUIET = {"power_noise": 0.0, "pace_noise": 0.0}


def device(chip=None, **options):
    spec = DeviceSpec(
        name="test", chip=chip or SimulatedChip(leakage_per_celsius=0.0), sensor=PRESETS["turing"].sensor, **QUIET
    )
    return SimulatedDevice(spec, **options)


def warm(one, load, seconds=1.0):
    """Let ``load`` run for a while, so that clocks are up."""
    load.enqueue(1)
    load.drain()
    start = one.now
    while one.now < start + seconds:
        load.enqueue(100)
        load.drain()


def test_a_steady_load_draws_what_it_says_and_takes_what_it_says():
    one = device()
    load = one.load(0.002, watts=180.0)
    warm(one, load)
    start = one.now
    load.enqueue(1000)
    load.drain()
    assert one.now - start == pytest.approx(2.0, rel=1e-6)
    assert one.true_joules(start, one.now) == pytest.approx(360.0, rel=1e-3)


def test_the_first_executions_are_slow_for_the_clock_is_low():
    one = device()
    load = one.load(0.002, watts=180.0)
    load.enqueue(10)
    load.drain()
    assert one.now > 0.03
    assert one.state().sm_clock_mhz < one.spec.chip.boost_mhz


def test_after_rest_the_clock_falls_and_power_goes_to_idle():
    one = device()
    load = one.load(0.002, watts=180.0)
    warm(one, load)
    end = one.now
    one.clock.sleep(2.0)
    assert one.true_joules(end + 1.0, end + 2.0) == pytest.approx(one.spec.chip.rest_watts(1.0, 25.0), rel=1e-6)
    one.clock.sleep(10.0)
    assert one.state().throttle_reasons == ("gpu_idle",)
    assert one.true_joules(end + 11.0, end + 12.0) == pytest.approx(one.spec.chip.parked_watts)


@settings(deadline=None, max_examples=20)
@given(over=st.floats(1.05, 2.0), period=st.sampled_from([1e-5, 0.003, 0.015]))
def test_the_cap_holds_on_average_and_executions_last_longer(over, period):
    one = device()
    limit = one.spec.chip.power_limit_watts
    load = one.load(period, watts=over * limit)
    load.enqueue(round(1.0 / period))
    load.drain()
    start, before = one.now, load.completed()
    load.enqueue(round(5.0 / period))
    one.advance(2.0)
    assert one.true_joules(start, one.now) / (one.now - start) <= limit
    assert 2.0 / (load.completed() - before) > period
    assert one.state().throttle_reasons == ("sw_power_cap",)


@pytest.mark.slow
@settings(deadline=None, max_examples=20)
@given(resistance=st.floats(0.2, 0.5), share=st.floats(0.3, 1.5))
def test_temperature_stays_below_its_bound_whatever_runs(resistance, share):
    chip = SimulatedChip(celsius_per_watt=resistance, thermal_seconds=3.0)
    one = device(chip)
    load = one.load(0.01, watts=share * chip.power_limit_watts)
    load.enqueue(3000)
    for _ in range(60):
        one.advance(0.5)
        assert chip.ambient_celsius <= one.celsius < chip.highest_celsius


def test_a_hot_chip_says_why_it_is_slow():
    one = device(SimulatedChip(celsius_per_watt=0.4, thermal_seconds=3.0))
    load = one.load(0.01, watts=240.0)
    load.enqueue(3000)
    one.advance(20.0)
    assert one.state().throttle_reasons == ("sw_thermal_slowdown",)
    assert one.state().sm_clock_mhz < one.spec.chip.boost_mhz


@pytest.mark.slow
@settings(deadline=None, max_examples=30)
@given(
    period=st.floats(2e-6, 0.03),
    rounds=st.lists(st.tuples(st.integers(1, 500), st.floats(0.0, 0.7)), min_size=1, max_size=6),
)
def test_every_execution_is_finished_once_and_never_unfinished(period, rounds):
    one = SimulatedDevice("ampere", seed=1)
    load = one.load(period, watts=300.0)
    seen = total = 0
    for executions, pause in rounds:
        load.enqueue(executions)
        total += executions
        one.clock.sleep(pause)
        assert seen <= load.completed() <= total
        seen = load.completed()
    load.drain()
    assert load.completed() == total


def test_loads_take_turns_in_the_order_enqueued():
    one = device()
    first, second = one.load(0.1, watts=100.0), one.load(0.1, watts=200.0)
    first.enqueue(5)
    second.enqueue(5)
    first.drain()
    assert (first.completed(), second.completed()) == (5, 0)
    second.drain()
    assert second.completed() == 5


def test_a_launch_bound_load_is_paced_by_its_host_and_enqueues_at_its_pace():
    one = device()
    load = one.load(0.001, watts=200.0, host_seconds=0.004)
    warm(one, load)
    start = one.now
    load.enqueue(100)
    assert one.now - start == pytest.approx(0.4, rel=1e-2)
    assert one.true_joules(start, one.now) / (one.now - start) < 120.0


def test_phases_are_kept_when_the_clock_changes_within_one():
    one = device()
    load = one.load(phases=[Phase(seconds=1.0, compute_watts=400.0), Phase(seconds=1.0, compute_watts=10.0)])
    load.enqueue(2)
    load.drain()
    assert load.completed() == 2
    assert 4.0 < one.now < 8.0
    end = one.now
    low = one.true_joules(end - 0.9, end - 0.1) / 0.8
    assert low == pytest.approx(one.spec.chip.busy_watts(1.0, 25.0) + 10.0, rel=0.01)


def test_power_of_a_drifting_load_rises():
    one = device()
    load = one.load(0.01, watts=180.0, drift_per_second=0.02)
    load.enqueue(1000)
    one.advance(9.0)
    assert one.true_joules(8.0, 9.0) > 1.05 * one.true_joules(1.0, 2.0)


def test_a_foreign_process_adds_power_and_takes_time():
    quiet = device()
    shared = device(
        faults=DeviceFaults(foreign_processes=(ForeignProcess(start=2.0, end=4.0, watts=40.0, slowdown=1.5),))
    )
    done = []
    for one in (quiet, shared):
        load = one.load(0.01, watts=150.0)
        load.enqueue(1000)
        one.advance(2.5)
        before = load.completed()
        one.advance(1.0)
        done.append(load.completed() - before)
    assert shared.true_joules(0.0, 2.0) == pytest.approx(quiet.true_joules(0.0, 2.0))
    assert shared.true_joules(2.5, 3.5) > quiet.true_joules(2.5, 3.5)
    assert done[1] == pytest.approx(done[0] / 1.5, abs=1.5)
    assert shared.sensor.foreign_processes() == (4242,)


def test_a_hidden_foreign_process_is_not_listed():
    one = device(faults=DeviceFaults(foreign_processes=(ForeignProcess(start=0.0, visible=False),)))
    one.advance(1.0)
    assert one.sensor.foreign_processes() == ()


def test_too_large_a_load_is_out_of_memory():
    one = device()
    with pytest.raises(DeviceOutOfMemoryError, match="bytes do not fit into the"):
        one.load(0.01, memory_bytes=one.memory_bytes + 1)
    assert issubclass(DeviceOutOfMemoryError, MemoryError)


def test_a_load_runs_in_its_multiples_only():
    load = device().load(0.01, multiple=10)
    with pytest.raises(ValueError, match="not a multiple of 10"):
        load.enqueue(15)
    load.enqueue(20)
    load.drain()
    assert load.completed() == 20


def test_the_same_seed_gives_the_same_readings_and_another_does_not():
    def readings(seed):
        one = SimulatedDevice("hopper", seed=seed)
        load = one.load(0.003, watts=500.0)
        load.enqueue(2000)
        found = []
        for _ in range(300):
            one.clock.sleep(0.01)
            found.append((one.sensor.energy_joules(), one.sensor.power_watts(), load.completed()))
        return found

    assert readings(3) == readings(3)
    assert readings(3) != readings(4)


def test_a_wrong_preset_names_the_right_ones():
    with pytest.raises(MeasurementError, match="unknown simulated device 'pascal': choose one of hopper"):
        SimulatedDevice("pascal")


def test_whatever_it_is_called_it_says_that_it_is_simulated():
    for name in PRESETS:
        card = SimulatedDevice(name).sensor.card
        assert card.simulated
        assert card.accelerator.startswith("simulated-")
