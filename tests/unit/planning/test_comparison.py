"""Which candidates intervals tell apart, and which measurement would."""

from __future__ import annotations

import math

import pytest

from joulecast.planning.comparison import (
    MEASURED,
    SAME_CARD,
    deciding,
    log_half_width,
    rivals,
    saving,
    told_apart,
)
from tests.unit.planning.made import candidate, setting

L40S = setting("NVIDIA-L40S")


def test_errors_of_two_cards_add_up_and_those_of_one_card_partly_cancel() -> None:
    one = candidate(1.0, 0.3)
    assert log_half_width(one, candidate(1.2, 0.4, L40S)) == pytest.approx(0.5)
    assert log_half_width(one, candidate(1.2, 0.4, setting(size=16))) == pytest.approx(SAME_CARD * 0.5)


@pytest.mark.parametrize("other", [{"precision": "bf16"}, {"tensor_parallel": 2}, {"runtime": "torch-cudagraph"}])
def test_another_arithmetic_degree_or_runtime_shares_no_error(other: dict[str, object]) -> None:
    assert log_half_width(candidate(1.0, 0.3), candidate(1.2, 0.4, setting(**other))) == pytest.approx(0.5)


def test_a_rival_is_who_may_cost_less() -> None:
    first, near, far = candidate(1.0, 0.1), candidate(1.1, 0.1, L40S), candidate(1.3, 0.1, L40S)
    assert rivals(first, [near, far]) == (near,)
    assert told_apart(first, far)
    assert told_apart(far, first)


def test_measuring_the_wider_card_decides_where_that_is_enough() -> None:
    first, wide = candidate(1.0, 0.05), candidate(1.2, 0.6, L40S)
    (only,) = deciding(first, [wide])
    assert (only.accelerator, only.settings) == ("NVIDIA-L40S", (L40S,))


def test_both_cards_are_measured_where_one_is_not_enough() -> None:
    found = deciding(candidate(1.0, 0.6), [candidate(1.2, 0.6, L40S)])
    assert [each.accelerator for each in found] == ["NVIDIA-H200", "NVIDIA-L40S"]


def test_rivals_of_the_same_card_are_all_measured_there() -> None:
    own = [candidate(1.1, 0.6, setting(size=16)), candidate(1.2, 0.6, setting(size=32))]
    (only,) = deciding(candidate(1.0, 0.6), own)
    assert [each.batch_size for each in only.settings] == [8, 16, 32]


def test_no_measurement_tells_what_costs_the_same() -> None:
    close = math.exp(math.hypot(MEASURED, MEASURED)) - 1e-6
    assert deciding(candidate(1.0), [candidate(close, 0.1, L40S)]) == ()


def test_a_saving_has_an_interval_that_may_reach_below_zero() -> None:
    found = saving(candidate(0.9, 0.1), candidate(1.0, 0.1, L40S))
    assert found.share == pytest.approx(0.1)
    assert found.lower == pytest.approx(1 - 0.9 * math.exp(math.hypot(0.1, 0.1)))
    assert found.lower < 0 < found.share < found.upper
