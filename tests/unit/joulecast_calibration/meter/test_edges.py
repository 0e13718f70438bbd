"""Edges of a counter: seen densely where expected, unwrapped, and void after a reset."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joulecast.errors import MeasurementError
from joulecast_calibration.meter.constants import CounterConstants
from joulecast_calibration.meter.edges import (
    MODULI_JOULES,
    Edge,
    EdgeRecorder,
    PowerRecorder,
    grown,
    in_rhythm,
    joules_at,
)
from joulecast_calibration.meter.policy import Policy
from joulecast_calibration.meter.simulated import DeviceFaults, SimulatedDevice

CONSTANTS = CounterConstants(
    method="counter", period_seconds=0.1, jitter_seconds=0.0002, resolution_joules=0.001, rise_seconds=0.1,
    fall_seconds=0.1, power_period_seconds=0.1, power_lag_seconds=1.0, read_seconds=1e-4, idle_watts=70.0,
    busy_watts=500.0,
)  # fmt: skip


def watched(device: SimulatedDevice, seconds: float, constants: CounterConstants | None = CONSTANTS) -> EdgeRecorder:
    recorder = EdgeRecorder(device.sensor, device.clock, Policy(), constants)
    until = device.now + seconds
    while device.now < until:
        recorder.poll()
        device.clock.sleep(0.001)
    return recorder


@given(st.floats(0, 1e9), st.floats(0, 500), st.floats(0, 2))
def test_growth_is_the_difference(previous: float, joules: float, elapsed: float) -> None:
    assert grown(previous, previous + joules, elapsed) == pytest.approx(joules, abs=1e-6)


@given(st.floats(0, 200), st.floats(0, 200))
def test_a_wrap_is_growth(before: float, after: float) -> None:
    for modulus, rounding in zip(MODULI_JOULES, (1e-6, 4.0), strict=True):  # of a float of some 1.8e16
        assert grown(modulus - before, after, 0.1) == pytest.approx(before + after, abs=rounding)


@given(st.floats(1e5, 4e6), st.floats(0, 500))
def test_any_other_fall_is_a_reset(previous: float, reading: float) -> None:
    with pytest.raises(MeasurementError) as caught:
        grown(previous, reading, 0.1)
    assert caught.value.reason == "CounterReset"
    assert caught.value.transient


def test_a_leap_that_no_device_could_draw_is_a_reset() -> None:
    with pytest.raises(MeasurementError, match="neither consumption nor a wrap"):
        grown(1000.0, 9000.0, 0.1)


def test_edges_are_as_many_as_updates_and_known_to_two_milliseconds() -> None:
    recorder = watched(SimulatedDevice("hopper", seed=2), 2.0)
    assert len(recorder.edges) in (19, 20)
    assert all(edge.after - edge.before < 0.0025 for edge in recorder.edges)
    gaps = [new.seconds - old.seconds for old, new in zip(recorder.edges, recorder.edges[1:], strict=False)]
    assert gaps == pytest.approx([0.1] * len(gaps), abs=0.003)


def test_between_edges_the_counter_is_left_alone() -> None:
    device = SimulatedDevice("hopper", seed=2)
    dense, sparse = (sum(1 for _ in calls(device, constants)) for constants in (None, CONSTANTS))
    assert sparse < 0.15 * dense


def calls(device: SimulatedDevice, constants: CounterConstants | None) -> range:
    before = device.calls
    watched(device, 2.0, constants)
    return range(device.calls - before)


def test_a_wrapped_counter_goes_on() -> None:
    wrap = MODULI_JOULES[0]
    device = SimulatedDevice("hopper", seed=3, faults=DeviceFaults(wrap_joules=wrap, start_joules=wrap - 40.0))
    recorder = watched(device, 1.5)
    powers = [
        (new.joules - old.joules) / (new.seconds - old.seconds)
        for old, new in zip(recorder.edges, recorder.edges[1:], strict=False)
    ]
    assert powers == pytest.approx([70.0] * len(powers), rel=0.05)


def test_a_counter_that_stands_still_is_told() -> None:
    device = SimulatedDevice("hopper", seed=3, faults=DeviceFaults(frozen=((1.0, 60.0),)))
    with pytest.raises(MeasurementError) as caught:
        watched(device, 10.0)
    assert caught.value.reason == "CounterSilent"


def test_samples_that_are_missed_are_counted_and_do_no_harm() -> None:
    device = SimulatedDevice("hopper", seed=3, faults=DeviceFaults(raising=((0.5, 0.7),)))
    recorder = watched(device, 1.5)
    assert recorder.missed > 0
    energy = recorder.edges[-1].joules - recorder.edges[0].joules
    assert energy / (recorder.edges[-1].seconds - recorder.edges[0].seconds) == pytest.approx(70.0, rel=0.01)


def test_errors_that_last_end_it() -> None:
    device = SimulatedDevice("hopper", faults=DeviceFaults(raising=((0.5, 0.7),), transient=False))
    with pytest.raises(MeasurementError, match="did not answer"):
        watched(device, 1.5)


def test_an_edge_that_came_unseen_is_none() -> None:
    """The loop sleeps over one: its energy is in the next, its time in no edge."""
    device = SimulatedDevice("hopper", seed=2)
    recorder = watched(device, 0.5)
    seen = len(recorder.edges)
    device.clock.sleep(0.25)
    for _ in range(200):
        recorder.poll()
        device.clock.sleep(0.001)
    assert all(edge.after - edge.before < 0.003 for edge in recorder.edges)
    first, last = recorder.edges[seen - 1], recorder.edges[-1]
    assert (last.joules - first.joules) / (last.seconds - first.seconds) == pytest.approx(70.0, rel=0.02)


def test_a_counter_that_moves_at_every_read_gives_edges_five_milliseconds_apart() -> None:
    class Always:
        card = SimulatedDevice("ampere").sensor.card

        def energy_joules(self) -> float:
            return 100.0 * device.clock.seconds()

    device = SimulatedDevice("ampere")
    constants = replace(CONSTANTS, period_seconds=0.001)
    recorder = EdgeRecorder(Always(), device.clock, Policy(), constants)  # type: ignore[arg-type]
    while device.now < 1.0:
        recorder.poll()
        device.clock.sleep(0.001)
    assert 100 <= len(recorder.edges) <= 200
    first, last = recorder.edges[0], recorder.edges[-1]
    assert (last.joules - first.joules) / (last.seconds - first.seconds) == pytest.approx(100.0, rel=0.001)


def test_slow_reads_are_rarer_but_still_find_edges() -> None:
    device = SimulatedDevice("ampere", seed=2)
    slow = replace(CONSTANTS, read_seconds=0.002)
    recorder = watched(device, 2.0, slow)
    assert len(recorder.edges) >= 15
    assert max(edge.after - edge.before for edge in recorder.edges) < 0.012


def test_power_is_integrated_by_trapezoids() -> None:
    device = SimulatedDevice("maxwell", seed=1)
    recorder = PowerRecorder(device.sensor, device.clock, 0.05)
    while device.now < 3.0:
        recorder.poll()
        device.clock.sleep(0.01)
    begin, end = recorder.edges[0].seconds, recorder.edges[-1].seconds
    energy = joules_at(recorder.edges, [begin, (begin + end) / 2, end])
    assert energy[2] / (end - begin) == pytest.approx(device.spec.chip.parked_watts, rel=0.001)
    assert energy[1] == pytest.approx(energy[2] / 2, rel=0.01)


def seen_by_a_host_that_looks_every(spacing: float, times: list[float]) -> list[Edge]:
    before = [int(at / spacing) * spacing for at in times]
    return [Edge(before=at, after=at + spacing, joules=float(index)) for index, at in enumerate(before)]


def test_a_slow_host_does_not_hide_the_rhythm_of_the_counter() -> None:
    times = [0.013 + 0.02 * index for index in range(60) if index % 7]  # some updates are missing
    edges = seen_by_a_host_that_looks_every(0.00305, times)
    assert max(abs(edge.seconds - at) for edge, at in zip(edges, times, strict=True)) > 1e-3
    assert in_rhythm(edges, 0.02) == pytest.approx(times, abs=5e-4)


def test_a_counter_without_rhythm_is_taken_as_seen() -> None:
    times = [0.1 * index + (0.02 if index % 3 else 0.0) for index in range(30)]
    edges = [Edge(before=at - 5e-4, after=at + 5e-4, joules=at) for at in times]
    assert in_rhythm(edges, 0.1) == pytest.approx(times)
    assert in_rhythm(edges[:2], 0.1) == pytest.approx(times[:2])
