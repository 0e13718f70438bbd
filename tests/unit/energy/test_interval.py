"""Quantiles behind prediction intervals."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from joulecast.energy.interval import Widening, group_weighted_quantile, half_width, split_conformal
from joulecast.energy.profile import Interval


@pytest.mark.parametrize(("groups", "expected"), [(8, math.inf), (9, 9.0), (19, 18.0), (99, 90.0)])
def test_split_conformal_needs_nine_groups_for_ninety_percent(groups: int, expected: float) -> None:
    assert split_conformal(np.arange(1.0, groups + 1), 0.9) == expected


def test_a_group_weighs_the_same_however_many_rows_it_has() -> None:
    scores = np.array([0.1] * 1000 + [5.0])
    groups = ["many"] * 1000 + ["one"]
    assert group_weighted_quantile(scores, groups, 0.9) == 5.0
    assert group_weighted_quantile(scores, groups, 0.4) == 0.1
    assert group_weighted_quantile(scores, groups, 0.9, size_power=0.5) == 0.1
    assert group_weighted_quantile(scores, groups, 0.98, size_power=0.5) == 5.0


@given(st.lists(st.floats(0, 10), min_size=1, max_size=50))
def test_one_group_gives_the_plain_quantile(values: list[float]) -> None:
    found = group_weighted_quantile(np.array(values), ["a"] * len(values), 0.9)
    assert sum(value <= found for value in values) >= 0.9 * len(values) - 1e-6
    assert found in values


def test_reasons_add_in_quadrature() -> None:
    interval = Interval(level=0.9, log_half_width=0.3, groups=7, guaranteed=False, rule="")
    assert half_width(interval, [Widening(reason="", log_half_width=0.4)]) == pytest.approx(0.5)
