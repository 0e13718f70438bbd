from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joulecast_operator.api import annotations as notes


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.42123, "0.421"), (1234.5, "1230"), (0.00042, "0.00042"), (1e-9, "0.000000001"), (999.6, "1000"), (0, "0"),
     (5.0, "5"), (123456789, "123000000"), (100.0, "100")],
)  # fmt: skip
def test_values_have_three_significant_digits_and_no_exponent(value: float, text: str) -> None:
    assert notes.significant(value) == text


@given(st.floats(min_value=1e-12, max_value=1e12))
def test_rounding_keeps_a_value_within_half_a_percent_and_is_stable(value: float) -> None:
    text = notes.significant(value)
    assert abs(float(text) / value - 1) <= 0.005001
    assert notes.significant(float(text)) == text
    assert len(Decimal(text).normalize().as_tuple().digits) <= 3


def test_inputs_and_outputs_are_disjoint_and_ours() -> None:
    assert not notes.INPUT_KEYS & notes.OUTPUT_KEYS
    assert all(key.startswith(notes.PREFIX) for key in notes.INPUT_KEYS | notes.OUTPUT_KEYS)
