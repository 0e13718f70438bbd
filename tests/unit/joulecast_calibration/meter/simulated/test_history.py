"""Joules of a history are those of its pieces, wherever it is cut."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joulecast_calibration.meter.simulated.history import Pattern, PowerHistory, constant

STEPS = st.lists(st.tuples(st.floats(1e-5, 2.0), st.floats(0.0, 700.0)), min_size=1, max_size=4)


def pattern_of(steps: list[tuple[float, float]]) -> Pattern:
    return Pattern(seconds=tuple(s for s, _ in steps), watts=tuple(w for _, w in steps))


@given(pieces=st.lists(st.tuples(st.floats(0.01, 5.0), STEPS), min_size=1, max_size=5), cuts=st.lists(st.floats(0, 1)))
def test_any_partition_adds_up_to_the_whole(pieces, cuts):
    history, at = PowerHistory(30.0), 0.0
    for length, steps in pieces:
        history.begin(at, pattern_of(steps))
        at += length
    ends = sorted({0.0, at, *(cut * at for cut in cuts)})
    parts = [history.joules(b) - history.joules(a) for a, b in pairwise(ends)]
    assert math.isclose(sum(parts), history.joules(at), rel_tol=1e-9, abs_tol=1e-6)
    assert all(part >= -1e-6 for part in parts)


@given(steps=STEPS, executions=st.integers(1, 10_000))
def test_whole_executions_cost_what_one_costs_times_their_number(steps, executions):
    pattern = pattern_of(steps)
    total = pattern.joules_until(executions * pattern.period)
    assert math.isclose(total, executions * pattern.joules, rel_tol=1e-6, abs_tol=1e-3)


def test_a_pattern_is_the_sum_of_its_steps_by_hand():
    pattern = pattern_of([(0.01, 100.0), (0.02, 400.0)])
    assert pattern.joules == pytest.approx(9.0)
    assert pattern.joules_until(0.015) == pytest.approx(1.0 + 0.005 * 400)
    assert pattern.joules_until(0.03 * 7 + 0.005) == pytest.approx(63.5)


@given(steps=STEPS, share=st.floats(0.001, 0.999))
def test_a_place_in_a_pattern_is_found_again(steps, share):
    pattern = pattern_of(steps)
    elapsed = share * pattern.period
    assert pattern.elapsed_at(*pattern.step_at(elapsed)) == pytest.approx(elapsed, abs=1e-9)


def test_power_before_the_beginning_was_the_first():
    history = PowerHistory(30.0)
    history.begin(1.0, constant(200.0))
    assert history.mean_watts(-1.0, 0.0) == pytest.approx(30.0)
    assert history.mean_watts(0.5, 1.5) == pytest.approx(115.0)


def test_a_piece_that_begins_with_the_last_replaces_it():
    history = PowerHistory(30.0)
    history.begin(1.0, constant(200.0))
    history.begin(1.0, constant(100.0))
    assert history.joules(2.0) == pytest.approx(130.0)
