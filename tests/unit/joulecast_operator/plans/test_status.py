"""Test the status of a plan: choice, leaders, columns, conditions, and what stands while a look-up fails."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from joulecast_operator.api.conditions import READY, Waiting, Wrong, condition
from joulecast_operator.api.plans.status import PlanStatus
from joulecast_operator.estimates.outcomes import Failure
from joulecast_operator.plans.status import changed_choice, desired_status, keeps_plan
from tests.unit.joulecast_operator.samples.estimates import DIGEST, REQUEST
from tests.unit.joulecast_operator.samples.plans import H200, L40S, plan, planned, setting

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
AWAY = Failure(stage="resolve", reason="RegistryUnavailable", message="nobody answers", transient=True)
CUT = {
    "joules": 1.5, "joulesLower": 1.0, "joulesUpper": 2.0, "seconds": 0.1, "firstJoules": 1.0, "secondJoules": 0.4,
    "linkJoules": 0.1, "linkBytes": 4096,
}  # fmt: skip


def status_of(result: Any, resource: dict[str, Any] | None = None) -> dict[str, Any]:
    found = desired_status(resource or plan(), result, request=REQUEST, now=NOW)
    PlanStatus.model_validate(found)
    return found


def ready(status: dict[str, Any]) -> tuple[str, str, str]:
    found = condition(status, READY)
    assert found is not None
    return found["status"], found["reason"], found["message"]


def test_a_choice_is_told_with_its_reason_and_what_it_saves() -> None:
    found = status_of(planned())
    assert (found["choice"]["accelerator"], found["countedBy"], found["candidates"]) == (H200, "Inference", 2)
    assert found["summary"] == {
        "model": "models/detector:1", "choice": "NVIDIA-H200, batch size 8", "joules": "0.1 J/inference (0.09–0.11)",
        "saves": "33 % (21 to 44)",
    }  # fmt: skip
    assert ready(found) == ("True", "Chosen", "NVIDIA-H200, batch size 8: the next one costs 40 % more")
    assert "words" not in found["choice"]
    assert "leaders" not in found


def test_at_a_rate_the_columns_have_replicas_and_watts() -> None:
    summary = status_of(planned(rated=True))["summary"]
    assert (summary["replicas"], summary["watts"]) == ("3", "300 W")


def test_what_runs_so_already_saves_nothing() -> None:
    found = status_of(planned(today=setting(), saving={"percent": 0.0, "percentLower": -8.0, "percentUpper": 7.0,
                                                       "worthwhile": False}))  # fmt: skip
    assert found["summary"]["saves"] == "runs so now"


def test_no_winner_is_named_but_the_measurement_that_would_decide() -> None:
    deciding = [{"accelerator": L40S, "settings": ["NVIDIA-L40S, batch size 8"]}]
    result = planned(
        choice=None, leaders=[setting(), setting(L40S, 0.11)], deciding=deciding, reason="the intervals do not tell"
    )
    found = status_of(result)
    assert found["summary"]["choice"] == "undecided"
    assert [each["accelerator"] for each in found["leaders"]] == [H200, L40S]
    assert found["deciding"] == deciding
    assert ready(found)[:2] == ("True", "Undecided")
    assert "EnergyCalibration" in ready(found)[2]
    assert "EnergyCalibration" not in ready(status_of(planned(choice=None, leaders=[setting()])))[2]


def test_nothing_that_keeps_what_is_asked_says_why_and_what_to_do() -> None:
    found = status_of(planned(choice=None, runners_up=[], today=None, saving=None, reason="nothing keeps it"))
    assert ready(found)[:2] == ("False", "NothingKeepsSlo")
    assert ready(found)[2] == "nothing keeps it; too slow; relax spec.slo, or allow more in spec.candidates"
    assert found["summary"]["choice"] == "none"


def test_cuts_are_told_by_the_one_of_the_fewest_joules() -> None:
    cuts = {"batchSize": 1, "byJoules": CUT | {"after": "/conv"}, "byLatency": CUT, "allOnFirst": CUT,
            "allOnSecond": CUT, "priced": 3, "leftOut": 0}  # fmt: skip
    result = planned()
    answer = {
        "split": cuts,
        "words": "cut after /conv",
        "told": True,
        "reason": "fewest joules: cut after /conv",
        "notes": [],
    }
    found = status_of(type(result)(image=result.image, digest=DIGEST, path="", verification=None, answer=answer))
    assert (found["summary"]["choice"], found["summary"]["joules"]) == ("cut after /conv", "1.5 J/batch")
    assert ready(found)[:2] == ("True", "Cut")
    assert "choice" not in found
    untold = type(result)(
        image=result.image, digest=DIGEST, path="", verification=None, answer=answer | {"told": False}
    )
    assert ready(status_of(untold))[:2] == ("True", "Undecided")


def test_an_unchanged_plan_is_the_same_status_later_and_a_changed_one_has_a_new_time() -> None:
    first = status_of(planned())
    later = datetime(2026, 5, 6, tzinfo=UTC)
    again = desired_status(plan(status=first), planned(), request=REQUEST, now=later)
    assert again == first
    moved = desired_status(plan(status=first), planned(choice=setting(L40S)), request=REQUEST, now=later)
    assert moved["plannedAt"] > first["plannedAt"]


@pytest.mark.parametrize("passing", [AWAY, Waiting(reason="Planning", message="under way")])
def test_a_plan_stands_while_it_cannot_be_made_again(passing: Failure | Waiting) -> None:
    first = status_of(planned())
    found = status_of(passing, plan(status=first))
    assert (found["choice"], found["inputsHash"]) == (first["choice"], first["inputsHash"])
    assert ready(found)[:2] == ("True", "Chosen")
    assert "the last plan stands" in ready(found)[2]
    assert keeps_plan(plan(status=first), REQUEST)
    changed = status_of(passing, plan(status=first, generation=2))
    assert "choice" not in changed


@pytest.mark.parametrize("lasting", [Wrong(reason="TooManyCandidates", message="1120"), AWAY])
def test_without_a_plan_the_reason_is_told(lasting: Failure | Wrong) -> None:
    found = status_of(lasting)
    assert ready(found)[1] == lasting.reason
    assert "summary" not in found


def test_a_job_that_took_too_long_says_that_fewer_candidates_would_help() -> None:
    slow = Failure(stage="profile", reason="ProfilerTimeout", message="stopped after 60 s", transient=False)
    assert ready(status_of(slow))[2] == "stopped after 60 s; or name fewer settings in spec.candidates"


def test_another_choice_is_an_event() -> None:
    before, after = status_of(planned()), status_of(planned(choice=setting(L40S)))
    event = changed_choice(before, after)
    assert event is not None
    assert (event.kind, event.reason) == ("Normal", "ChoiceChanged")
    assert event.message == "NVIDIA-L40S, batch size 8 takes the place of NVIDIA-H200, batch size 8"
    assert changed_choice(before, before) is None
    assert changed_choice({}, after) is None
    assert changed_choice(status_of(planned(choice=None, leaders=[setting()])), after) is None
