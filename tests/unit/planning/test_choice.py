"""The choice: never one that the intervals do not tell from another."""

from __future__ import annotations

import pytest

from joulecast.planning.choice import decide
from joulecast.planning.settings import Objective
from tests.unit.planning.made import candidate, setting

L40S, L4 = setting("NVIDIA-L40S"), setting("NVIDIA-L4")
NO_LIMIT = Objective()


def test_the_cheapest_is_chosen_where_the_intervals_tell_it_from_all_others() -> None:
    cheap, dear = candidate(1.0), candidate(2.0, own=L40S)
    plan = decide("inference", NO_LIMIT, [dear, cheap])
    assert (plan.choice, plan.rivals, plan.deciding) == (cheap, (), ())
    assert plan.candidates == (cheap, dear)
    assert "NVIDIA-L40S, batch size 8, costs 100 % more, which is beyond the intervals" in plan.reason


def test_nothing_is_chosen_where_they_do_not() -> None:
    first, near, far = candidate(1.0, 0.4), candidate(1.1, 0.4, L40S), candidate(9.0, 0.4, L4)
    plan = decide("inference", NO_LIMIT, [far, near, first])
    assert plan.choice is None
    assert plan.leaders == (first, near)
    assert plan.runners_up == (near, far)
    assert [each.accelerator for each in plan.deciding] == ["NVIDIA-H200", "NVIDIA-L40S"]
    assert "do not tell NVIDIA-H200, batch size 8 from NVIDIA-L40S, batch size 8: joules measured at" in plan.reason


def test_an_accelerator_is_settled_where_only_its_settings_are_rivals() -> None:
    plan = decide("inference", NO_LIMIT, [candidate(1.0, 0.4), candidate(1.1, 0.4, setting(size=16))])
    assert plan.choice is None
    assert "the accelerator is settled, NVIDIA-H200" in plan.reason


def test_equal_joules_are_said_to_be_equal() -> None:
    plan = decide("inference", NO_LIMIT, [candidate(1.0), candidate(1.001, own=L40S)])
    assert plan.choice is None
    assert "take either" in plan.reason


def test_what_misses_a_limit_is_excluded_with_both_figures() -> None:
    slow, fast = candidate(1.0, seconds=0.05), candidate(2.0, own=L40S, seconds=0.005)
    plan = decide("inference", Objective(latency_milliseconds=20), [slow, fast])
    assert plan.choice is fast
    (late,) = plan.excluded
    assert (late.why, late.setting) == ("slo", slow.setting)
    assert "latency of 50 ms, above 20 ms" in late.message
    assert plan.reason == "the only one that can be forecast and keeps what is asked"


def test_without_any_candidate_there_is_no_choice() -> None:
    plan = decide("inference", Objective(latency_milliseconds=1), [candidate(1.0)])
    assert (plan.choice, plan.leaders) == (None, ())
    assert plan.reason == "nothing that can be forecast keeps what is asked"


@pytest.mark.parametrize(("joules", "worth"), [(0.5, True), (0.85, False)])
def test_a_warning_needs_a_tenth_beyond_the_interval(joules: float, worth: bool) -> None:
    today = candidate(1.0, 0.1, L40S)
    plan = decide("inference", NO_LIMIT, [candidate(joules, 0.1), today], today=today)
    assert plan.saving is not None
    assert plan.worth_a_warning is worth
    assert plan.saving.share == pytest.approx(1 - joules)


def test_without_a_choice_the_least_saving_of_the_leaders_counts() -> None:
    today = candidate(10.0, 0.1, L4)
    plan = decide("inference", NO_LIMIT, [candidate(1.0, 0.4), candidate(1.2, 0.4, L40S), today], today=today)
    assert plan.choice is None
    assert plan.saving is not None
    assert plan.saving.share == pytest.approx(0.88)
    assert plan.worth_a_warning
