"""What a simulated meter shows of the truth, and what its faults do to it."""

import dataclasses
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from joulecast.errors import MeasurementError
from joulecast_calibration.meter.simulated import (
    PRESETS,
    DeviceFaults,
    DeviceSpec,
    Phase,
    Register,
    SensorSpec,
    SimulatedChip,
    SimulatedDevice,
)
from joulecast_calibration.meter.simulated.sensor import SimulatedSensor

COUNTERS = [name for name, spec in PRESETS.items() if spec.sensor.counter]
EXACT = Register(period_seconds=0.1)


def device(counter=EXACT, power=EXACT, faults=None, seed=0, **sensor):
    spec = SensorSpec(power=power, counter=counter, **sensor)
    chip = SimulatedChip(leakage_per_celsius=0.0)
    return SimulatedDevice(
        DeviceSpec(name="test", chip=chip, sensor=spec, power_noise=0.0, pace_noise=0.0), seed=seed, faults=faults
    )


def run(one, seconds, watts=200.0):
    """A steady load that lasts ``seconds`` and more."""
    load = one.load(0.01, watts=watts)
    load.enqueue(round(200 * seconds))
    one.advance(1.0)  # clocks up


def edges(one, seconds):
    """Time and value of each change of the counter, polled every millisecond."""
    found, last, end = [], one.sensor.energy_joules(), one.now + seconds
    while one.now < end:
        one.clock.sleep(0.001)
        now = one.sensor.energy_joules()
        if now != last:
            found.append((one.now, now))
            last = now
    return found


@pytest.mark.parametrize("name", COUNTERS)
def test_a_counter_converges_to_the_truth(name):
    one = SimulatedDevice(name, seed=2)
    load = one.load(0.005, watts=0.6 * one.spec.chip.power_limit_watts)
    load.enqueue(20_000)
    one.advance(5.0)
    start, before = one.now, one.sensor.energy_joules()
    one.advance(60.0)
    true = one.true_joules(start, one.now)
    assert one.sensor.energy_joules() - before == pytest.approx(true, rel=0.003)


@settings(deadline=None, max_examples=25)
@given(pauses=st.lists(st.floats(0.01, 2.0), min_size=1, max_size=8), seed=st.integers(0, 5))
def test_a_counter_that_sees_everything_loses_nothing(pauses, seed):
    one = device(resolution_joules=1e-6, seed=seed, faults=DeviceFaults(start_joules=0.0))
    load = one.load(0.013, watts=220.0)
    for pause in pauses:
        load.enqueue(20)
        one.advance(pause)
        counted = one.sensor.energy_joules()
        assert one.true_joules(0.0, one.now) - 251.0 * 0.1 - 1e-3 <= counted <= one.true_joules(0.0, one.now) + 1e-3


def test_the_counter_moves_at_its_period_and_in_its_steps():
    one = device(resolution_joules=0.5)
    run(one, 10.0)
    found = edges(one, 5.0)
    gaps = [b - a for (a, _), (b, _) in pairwise(found)]
    assert all(gap == pytest.approx(0.1, abs=0.003) for gap in gaps)
    assert all(value % 0.5 == 0 for _, value in found)


def test_a_part_time_sensor_is_wrong_about_phases_of_its_own_rhythm():
    one = device(counter=Register(period_seconds=0.1, window_seconds=0.025), seed=1)
    load = one.load(phases=[Phase(seconds=0.05, compute_watts=140.0), Phase(seconds=0.05, compute_watts=0.0)])
    load.enqueue(1000)
    one.advance(2.0)
    start, before = one.now, one.sensor.energy_joules()
    one.advance(5.0)
    seen, true = one.sensor.energy_joules() - before, one.true_joules(start, one.now)
    assert abs(seen / true - 1) > 0.1


def test_a_second_long_average_arrives_a_second_late():
    one = SimulatedDevice("hopper")
    load = one.load(0.01, watts=500.0)
    load.enqueue(1000)
    one.advance(0.6)
    half = one.sensor.power_watts()
    one.advance(1.0)
    assert 100.0 < half < 400.0
    assert one.sensor.power_watts() == pytest.approx(510.0, rel=0.03)


def test_a_capacitor_approaches_in_its_time_constants():
    one = device(counter=None, power=Register(period_seconds=0.01, rise_seconds=0.155))
    run(one, 10.0)
    one.advance(1.0)
    load_watts = one.sensor.power_watts()
    assert load_watts == pytest.approx(200.0, rel=0.01)
    assert one.sensor.energy_joules() is None


def test_gain_and_offset_are_on_both_figures():
    one = device(gain=0.954, offset_watts=-1.2, resolution_joules=1e-6)
    run(one, 10.0)
    one.advance(1.0)
    assert one.sensor.power_watts() == pytest.approx(0.954 * 200.0 - 1.2, rel=1e-3)
    before = one.sensor.energy_joules()
    one.advance(5.0)
    assert one.sensor.energy_joules() - before == pytest.approx(5 * (0.954 * 200.0 - 1.2), rel=0.03)


def test_a_counter_wraps_at_its_modulus():
    one = device(faults=DeviceFaults(wrap_joules=1000.0, start_joules=900.0))
    run(one, 10.0)
    values = [value for _, value in edges(one, 5.0)]
    falls = [a - b for a, b in pairwise(values) if b < a]
    assert len(falls) == 1
    assert falls[0] == pytest.approx(1000.0 - 20.0, rel=0.01)
    assert max(values) < 1000.0


def test_a_reset_counter_begins_at_zero():
    one = device(faults=DeviceFaults(start_joules=5e5, resets=(3.0,)))
    run(one, 10.0)
    found = edges(one, 4.0)
    after = [value for at, value in found if at > 3.2]
    assert after[0] < 100.0
    assert after == sorted(after)


def test_missed_updates_are_made_up_for():
    whole, missing = device(), device(faults=DeviceFaults(missing_share=0.4))
    for one in (whole, missing):
        run(one, 20.0)
    many, few = edges(whole, 10.0), edges(missing, 10.0)
    assert 0.4 * len(many) < len(few) < 0.8 * len(many)
    assert few[-1][1] - few[0][1] == pytest.approx(200.0 * (few[-1][0] - few[0][0]), rel=0.02)


def test_a_frozen_sensor_repeats_itself_and_then_catches_up():
    one = device(faults=DeviceFaults(frozen=((2.0, 3.0),)))
    run(one, 10.0)
    found = edges(one, 4.0)
    assert not [at for at, _ in found if 2.01 < at < 2.99]
    steps = [b - a for (_, a), (_, b) in pairwise(found)]
    assert max(steps) > 180.0


def test_lost_energy_never_comes_back():
    one = device(faults=DeviceFaults(lost=((2.0, 3.0),)), resolution_joules=1e-6)
    run(one, 10.0)
    start, before = one.now, one.sensor.energy_joules()
    one.advance(5.0)
    seen, true = one.sensor.energy_joules() - before, one.true_joules(start, one.now)
    assert true - seen == pytest.approx(200.0, rel=0.15)


@pytest.mark.parametrize("transient", [True, False])
def test_a_call_that_raises_says_whether_to_try_again(transient):
    one = device(faults=DeviceFaults(raising=((1.0, 2.0),), transient=transient))
    one.sensor.energy_joules()
    one.clock.sleep(1.5)
    for read in (one.sensor.energy_joules, one.sensor.power_watts, one.sensor.state, one.sensor.foreign_processes):
        with pytest.raises(MeasurementError, match="did not answer") as caught:
            read()
        assert caught.value.transient is transient
    one.clock.sleep(1.0)
    assert one.sensor.energy_joules() > 0


def test_no_simulated_sensor_takes_a_real_cards_name():
    one = device()
    for card in (
        dataclasses.replace(one.sensor.card, accelerator="NVIDIA-H100-80GB-HBM3"),
        dataclasses.replace(one.sensor.card, simulated=False),
    ):
        with pytest.raises(MeasurementError, match="begin it with simulated-"):
            SimulatedSensor(one, one.spec.sensor, card, seed=0, faults=DeviceFaults())
