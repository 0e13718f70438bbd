"""Power and time of executions at a clock and a temperature."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joulecast_calibration.meter.simulated import PRESETS, Execution, Phase, SimulatedChip
from joulecast_calibration.meter.simulated.chip import Conditions, pattern_of

CLOCKS = st.floats(0.15, 1.0)
CHIP = SimulatedChip()


def at(clock=1.0, celsius=25.0, **more):
    return Conditions(clock=clock, celsius=celsius, **more)


@pytest.mark.parametrize("spec", PRESETS.values(), ids=lambda spec: spec.name)
def test_a_preset_can_idle_below_its_limit_and_stay_below_its_highest_temperature(spec):
    chip = spec.chip
    assert chip.parked_watts < chip.power_limit_watts
    lowest = chip.lowest_step / chip.steps
    assert chip.settled_celsius(chip.busy_watts(lowest, chip.highest_celsius)) < chip.highest_celsius
    assert abs(chip.steps * 15 - chip.boost_mhz) < 1e-9


@given(low=CLOCKS, high=CLOCKS)
def test_a_lower_clock_takes_longer_and_draws_less(low, high):
    low, high = sorted((low, high))
    execution = Execution(phases=(Phase(seconds=0.01, compute_watts=150.0, memory_watts=30.0),))
    slow, fast = pattern_of(CHIP, execution, at(low)), pattern_of(CHIP, execution, at(high))
    assert slow.period >= fast.period
    assert slow.mean_watts <= fast.mean_watts + 1e-9


@given(clock=CLOCKS)
def test_memory_work_costs_the_same_joules_at_any_clock_beside_static_power(clock):
    execution = Execution(phases=(Phase(seconds=0.01, compute_watts=0.0, memory_watts=80.0, clock_bound=0.4),))
    pattern = pattern_of(CHIP, execution, at(clock))
    assert pattern.joules - CHIP.busy_watts(clock, 25.0) * pattern.period == pytest.approx(0.8)


def test_dynamic_joules_of_arithmetic_go_with_the_square_of_the_voltage():
    execution = Execution(phases=(Phase(seconds=0.01, compute_watts=100.0),))
    pattern = pattern_of(CHIP, execution, at(0.5))
    assert pattern.joules - CHIP.busy_watts(0.5, 25.0) * pattern.period == pytest.approx(CHIP.voltage_squared(0.5))


def test_the_device_waits_for_a_slow_host_at_gap_power():
    execution = Execution(phases=(Phase(seconds=0.001, compute_watts=100.0),), host_seconds=0.004)
    pattern = pattern_of(CHIP, execution, at())
    assert pattern.period == pytest.approx(0.004)
    assert pattern.watts[-1] == pytest.approx(CHIP.rest_watts(1.0, 25.0))


def test_a_fast_host_adds_nothing():
    execution = Execution(phases=(Phase(seconds=0.004, compute_watts=100.0),), host_seconds=0.001)
    assert pattern_of(CHIP, execution, at()).period == pytest.approx(0.004)


def test_a_hot_chip_leaks_and_is_allowed_less():
    assert CHIP.busy_watts(1.0, 80.0) > CHIP.busy_watts(1.0, 25.0)
    assert CHIP.limit_watts(25.0) == CHIP.power_limit_watts
    hot = SimulatedChip(celsius_per_watt=0.4)
    assert hot.settled_celsius(hot.limit_watts(hot.highest_celsius)) < hot.highest_celsius
