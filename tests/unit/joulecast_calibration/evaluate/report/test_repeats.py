"""The noise floor."""

from __future__ import annotations

import numpy as np
import pytest

from joulecast_calibration.evaluate.report.repeats import repeats
from tests.unit.joulecast_calibration.evaluate.forecasts import ROWS


def test_rows_are_compared_with_the_first_of_their_kind() -> None:
    one, two = ROWS[:2]
    found = repeats([one, two, one, one], np.array([10.0, 7.0, 11.0, 9.5]))
    assert found.percent == pytest.approx([10, 5])
    assert "2 rows repeat another one" in str(found)
    assert "7.50 % in the median and 10.00 % at most" in str(found)


def test_without_repeats_the_noise_is_unknown() -> None:
    assert "not known" in str(repeats(ROWS[:2], np.array([1.0, 2.0])))
