"""The noise floor: how far rows with equal inputs differ."""

from __future__ import annotations

import numpy as np
import pytest

from joulecast_calibration.evaluate.contenders import PHYSICAL
from joulecast_calibration.evaluate.evaluation import ARCHITECTURE
from joulecast_calibration.evaluate.report.page import noise_sentence
from joulecast_calibration.evaluate.scores import repeat_distances
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
