"""From edges and steps to power and pace: exact where nothing is noisy, and never surer than its edges."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from joulecast_calibration.meter import estimate as module
from joulecast_calibration.meter.edges import Edge
from joulecast_calibration.meter.estimate import Estimate, estimate
from joulecast_calibration.meter.feeder import Step
from joulecast_calibration.meter.policy import Policy

from .test_edges import CONSTANTS

POLICY = Policy()


def edges_of(watts: list[float], period: float = 0.1, width: float = 0.0) -> list[Edge]:
    """A counter whose interval powers are given, from 1 s on."""
    joules, made = 0.0, [Edge(before=1.0, after=1.0 + width, joules=0.0)]
    for index, each in enumerate(watts, 1):
        joules += each * period
        made.append(Edge(before=1.0 + index * period, after=1.0 + index * period + width, joules=joules))
    return made


def steps_of(pace: float, until: float, width: float = 0.0) -> list[Step]:
    count = int(until / pace) + 1
    return [Step(before=index * pace, after=index * pace + width, executions=index) for index in range(count)]


def found(edges: list[Edge], steps: list[Step]) -> Estimate:
    result = estimate(edges, steps, CONSTANTS, POLICY, 0.5)
    assert result is not None
    return result


@pytest.mark.slow
@settings(deadline=None)
@given(st.floats(20, 1000), st.floats(1e-4, 0.3), st.integers(6, 40))
def test_a_steady_load_is_what_it_is(watts: float, pace: float, intervals: int) -> None:
    edges = edges_of([watts] * intervals)
    result = found(edges, steps_of(pace, edges[-1].after))
    assert result.watts == pytest.approx(watts, rel=1e-9)
    assert result.seconds == pytest.approx(pace, rel=1e-9)
    assert result.executions * result.seconds <= edges[-1].seconds - edges[0].seconds + 1e-9
    assert (result.executions + 1) * result.seconds > edges[-1].seconds - edges[0].seconds - 1e-9
    assert result.watts_standard_error <= 1e-3 * watts
    assert result.steady(POLICY) is not False


@pytest.mark.slow
@settings(deadline=None)
@given(st.floats(0.0005, 0.02), st.integers(6, 40))
def test_no_surer_than_its_outer_edges(width: float, intervals: int) -> None:
    edges = edges_of([300.0] * intervals, width=width)
    result = found(edges, steps_of(0.001, edges[-1].after))
    assert result.watts_standard_error >= 300.0 * width * (2 / 12) ** 0.5 / (0.1 * intervals) * 0.999


def test_the_error_covers_noise_of_the_power() -> None:
    draw, ratios = random.Random(3), []
    for _ in range(300):
        edges = edges_of([draw.gauss(300.0, 15.0) for _ in range(10)])
        result = found(edges, steps_of(0.001, edges[-1].after))
        ratios.append((result.watts - 300.0) / result.watts_standard_error)
    assert sum(abs(ratio) < 2 for ratio in ratios) / len(ratios) > 0.9
    assert sum(abs(ratio) < 1 for ratio in ratios) / len(ratios) < 0.9, "and not by any length"


def test_executions_longer_than_the_period_are_measured_whole() -> None:
    """Six intervals of 400 W and four of 100 W an execution: 280 W, whatever phase the window begins with."""
    pattern = [400.0] * 6 + [100.0] * 4
    for shift in range(10):
        watts = [pattern[(index + shift) % 10] for index in range(38)]
        edges = edges_of(watts)
        result = found(edges, steps_of(1.0, edges[-1].after))
        assert result.executions == 3
        assert result.watts == pytest.approx(280.0, rel=1e-6)
        assert result.watts_standard_error < 3.0, "its phases are no noise"
        assert result.drift == pytest.approx(0.0, abs=1e-6)


def test_a_drift_is_told_and_a_phase_is_not() -> None:
    rising = found(edges_of([300.0 + 3.0 * index for index in range(11)]), steps_of(0.001, 3.0))
    assert rising.drift == pytest.approx(30.0 / 315.0, rel=1e-6)
    assert rising.steady(POLICY) is False
    assert not rising.settled(POLICY)
    steps = [Step(before=at, after=at, executions=index) for index, at in enumerate((0.0, 0.9, 4.4))]
    long = found(edges_of([400.0] * 20 + [100.0] * 20), steps)
    assert (long.executions, long.drift, long.steady(POLICY)) == (1, None, None)


def test_executions_that_keep_step_with_the_counter_are_told() -> None:
    in_step = found(edges_of([300.0] * 20), steps_of(0.05, 4.0))
    assert in_step.phase_gap is not None
    assert in_step.phase_gap > 0.9
    assert not in_step.settled(POLICY)
    two_phases = found(edges_of([300.0] * 20), steps_of(0.04, 4.0))
    assert two_phases.phase_gap == pytest.approx(0.5, abs=0.01)
    assert not two_phases.settled(POLICY)
    out_of_step = found(edges_of([300.0] * 20), steps_of(0.0371, 4.0))
    assert out_of_step.phase_gap is not None
    assert out_of_step.phase_gap < 0.25
    assert out_of_step.settled(POLICY)
    assert found(edges_of([300.0] * 20), steps_of(0.005, 4.0)).phase_gap is None


def test_nothing_is_said_where_no_execution_fits() -> None:
    edges = edges_of([300.0] * 8)
    assert estimate(edges[:1], steps_of(0.001, 3.0), CONSTANTS, POLICY, 0.5) is None
    assert estimate(edges, steps_of(2.0, 1.9), CONSTANTS, POLICY, 0.5) is None
    assert estimate(edges, steps_of(0.9, 3.0), CONSTANTS, POLICY, 0.5) is None


def test_a_coarse_counter_is_less_sure() -> None:
    edges, steps = edges_of([300.0] * 8), steps_of(0.001, 3.0)
    coarse = estimate(edges, steps, replace(CONSTANTS, resolution_joules=10.0), POLICY, 0.5)
    assert coarse is not None
    assert coarse.watts_standard_error == pytest.approx(10.0 / 6**0.5 / 0.8, rel=1e-6)


def test_what_no_edge_saw_of_an_execution_may_be_like_what_differs_most() -> None:
    """Edges in two phases of five, at 400 and 300 W: alike among themselves, and yet nobody knows the rest."""
    result = found(edges_of([400.0, 300.0] * 10), steps_of(0.04, 4.0))
    assert result.phase_gap == pytest.approx(0.5, abs=0.01)
    assert result.watts_standard_error > 0.3 * 50.0


def test_between_two_edges_energy_is_as_unsure_as_power_varies() -> None:
    varying, level = edges_of([400.0, 100.0] * 5), edges_of([250.0] * 10)
    assert module._bridge_error(level, 1.55) == pytest.approx(0.0, abs=1e-9)
    assert module._bridge_error(varying, varying[5].seconds) == pytest.approx(0.0, abs=1e-9)
    assert module._bridge_error(varying, 1.55) == pytest.approx(150.0 * 0.1 / 4)
    sure, unsure = (found(edges, steps_of(0.01, 4.0)) for edges in (level, varying))
    assert unsure.watts_standard_error > sure.watts_standard_error
