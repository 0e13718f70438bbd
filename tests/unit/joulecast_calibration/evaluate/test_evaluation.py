"""The noise floor, and to which side forecasts are off."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from joulecast_calibration.evaluate.contenders import PHYSICAL
from joulecast_calibration.evaluate.evaluation import ARCHITECTURE, biases, repeat_distances
from joulecast_calibration.evaluate.report.page import noise_sentence
from tests.unit.joulecast_calibration.evaluate.forecasts import ROWS, evaluated, forecasts


def test_rows_are_compared_with_the_first_of_their_kind() -> None:
    one, two = ROWS[:2]
    found = repeat_distances([one, two, one, one], np.array([10.0, 7.0, 11.0, 9.5]))
    assert found == pytest.approx([10, 5])


def test_the_page_states_median_and_largest_distance() -> None:
    own = forecasts(PHYSICAL, ARCHITECTURE, rows=(ROWS[0],) * 3)  # truth 1, 2 and 3 J
    said = noise_sentence(evaluated(own), "a_set")
    assert said.startswith("2 rows repeat another one")
    assert "150.00 % in the median and 200.00 % at most" in said


def test_without_repeats_the_noise_is_unknown() -> None:
    assert "not known" in noise_sentence(evaluated(forecasts(PHYSICAL, ARCHITECTURE, rows=ROWS[:2])), "a_set")


def test_a_group_that_is_off_to_one_side_is_told_apart() -> None:
    plain = forecasts(PHYSICAL, ARCHITECTURE)
    scale = np.array([1.2 if row.batch_size == 4 else 0.9 for row in ROWS])
    found = {each.group: each for each in biases(replace(plain, joules=plain.truth * scale))}
    assert found["batch size 4"].signed == pytest.approx(20)
    assert found["batch size 1"].signed == pytest.approx(-10)
    assert found["batch size 4"].spread == pytest.approx(0)
    assert (found["all"].n, found["all"].spread) == (12, pytest.approx(15))
    assert found["gpt2model"].n == 4
    assert [name for name in found if name.startswith("clock")] == ["clock in MHz 900", "clock in MHz 1200"]


def test_many_different_values_are_told_as_bands() -> None:
    rows = tuple(replace(row, batch_size=1 << place % 6) for place, row in enumerate(ROWS))
    found = [each.group for each in biases(forecasts(PHYSICAL, ARCHITECTURE, rows=rows))]
    assert [name for name in found if "batch" in name] == ["batch size ≤ 1", "batch size 1 – 8", "batch size > 8"]


def test_what_all_rows_have_in_common_is_no_group() -> None:
    found = [each.group for each in biases(forecasts(PHYSICAL, ARCHITECTURE))]
    assert not any(name.startswith("tokens") or name == "bf16" for name in found)
