"""Standard errors of few readings that follow each other."""

from __future__ import annotations

import math
import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joulecast_calibration.meter.uncertainty import (
    correlation,
    drift,
    error_of_mean,
    largest_gap,
    scatter,
    scatter_of_neighbours,
)

readings = st.lists(st.floats(1.0, 1e4), min_size=3, max_size=60)


def chains(rho: float, length: int, count: int) -> list[list[float]]:
    """Series of unit variance whose neighbours correlate by ``rho``."""
    draw = random.Random(7)
    made = []
    for _ in range(count):
        series = [draw.gauss(0, 1)]
        while len(series) < length:
            series.append(rho * series[-1] + math.sqrt(1 - rho**2) * draw.gauss(0, 1))
        made.append(series)
    return made


@pytest.mark.parametrize("rho", [0.0, 0.4, 0.7])
def test_the_error_of_a_mean_is_that_of_many_means(rho: float) -> None:
    series = chains(rho, 40, 2000)
    truth = statistics.pstdev([statistics.fmean(each) for each in series])
    said = [error_of_mean(scatter(each), len(each), correlation=correlation(each)) for each in series]
    assert statistics.fmean(said) == pytest.approx(truth, rel=0.2)


def test_an_error_that_ignored_correlation_would_be_half_of_it() -> None:
    series = chains(0.7, 40, 500)
    naive = statistics.fmean([scatter(each) / math.sqrt(len(each)) for each in series])
    assert naive < 0.55 * statistics.pstdev([statistics.fmean(each) for each in series])


@given(readings, st.floats(0.1, 100.0))
def test_errors_are_in_the_unit_of_the_readings(values: list[float], factor: float) -> None:
    scaled = [factor * value for value in values]
    assert scatter(scaled) == pytest.approx(factor * scatter(values), rel=1e-6, abs=1e-6)
    assert scatter_of_neighbours(scaled) == pytest.approx(factor * scatter_of_neighbours(values), rel=1e-6, abs=1e-6)
    assert 0.0 <= correlation(values) <= 0.9


@given(readings)
def test_phases_in_turn_are_no_scatter(values: list[float]) -> None:
    ordered = sorted(values)
    assert scatter_of_neighbours(ordered) <= scatter(ordered) * 1.0001 + 1e-9


def test_timing_explains_three_quarters_at_most() -> None:
    assert error_of_mean(2.0, 4, explained=0.0) == 1.0
    assert error_of_mean(2.0, 4, explained=1.0) == pytest.approx(math.sqrt(3) / 2)
    assert error_of_mean(2.0, 4, explained=100.0) == 0.5


def test_one_reading_says_nothing() -> None:
    assert math.isinf(error_of_mean(scatter([3.0]), 1))
    assert math.isinf(scatter_of_neighbours([3.0]))
    assert drift([1.0, 2.0], [1.0, 5.0]) == (0.0, math.inf)


@given(st.floats(-10, 10), st.floats(1, 100), st.integers(3, 30))
def test_a_straight_line_drifts_by_its_rise(slope: float, level: float, count: int) -> None:
    times = [0.1 * index for index in range(count)]
    rise, error = drift(times, [level + slope * time for time in times])
    assert rise == pytest.approx(slope * times[-1], abs=1e-6)
    assert error == pytest.approx(0.0, abs=1e-5)


@given(st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=30))
def test_a_gap_is_at_least_what_even_phases_leave(phases: list[float]) -> None:
    assert 1 / len(phases) - 1e-9 <= largest_gap(phases) <= 1.0


def test_gaps_go_round() -> None:
    assert largest_gap([]) == 1.0
    assert largest_gap([0.9, 0.1, 0.5]) == pytest.approx(0.4)
