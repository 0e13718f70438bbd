"""Errors, coverage and the rule of thumb, by hand."""

from __future__ import annotations

import math

import pytest

from joulecast_calibration.evaluate.serving.scoring import OWN, ServedForecast, batch_band, proportional, scored


def forecast(value: float, kind: str, width: float | None = 0.15) -> ServedForecast:
    return ServedForecast(groups={"kind": kind}, forecast=value, measured=1.0, log_half_width=width)


def test_a_score_is_of_all_rows_then_of_each_group() -> None:
    whole, a, b = scored("set", "watts", OWN, [forecast(1.1, "a"), forecast(0.8, "b"), forecast(1.2, "b")])
    assert (whole.part, whole.n, a.part, b.n) == ("all", 3, "a", 2)
    assert whole.median_ape == pytest.approx(20.0)
    assert whole.mean_ape == pytest.approx(50 / 3)
    assert whole.bias == pytest.approx(10.0)
    assert whole.interval_coverage == pytest.approx(1 / 3)
    assert whole.interval_half_width == pytest.approx(100 * math.sinh(0.15))


def test_a_rule_of_thumb_has_one_line_and_no_interval() -> None:
    (line,) = scored("set", "watts", "TDP", [forecast(1.1, "a", None), forecast(1.1, "b", None)])
    assert line.interval_coverage is None


def test_the_factor_of_a_rule_comes_from_other_kin() -> None:
    assert proportional([1.0, 2.0, 10.0], [3.0, 6.0, 50.0], ["a", "a", "b"]) == pytest.approx([5.0, 10.0, 30.0])


def test_bands_sort_by_size() -> None:
    bands = [batch_band(size) for size in (1, 8, 9, 64, 65, 1000)]
    assert bands == sorted(bands)
    assert len(set(bands)) == 3
