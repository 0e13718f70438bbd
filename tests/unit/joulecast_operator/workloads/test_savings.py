"""Test when a plan's saving is told at admission, and when it is not."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from joulecast_operator.api.kinds import PLANS
from joulecast_operator.index import slim
from joulecast_operator.index.index import Index
from joulecast_operator.plans.status import desired_status
from joulecast_operator.workloads import savings
from joulecast_operator.workloads.admission import decide
from tests.unit.joulecast_operator.samples.estimates import REQUEST
from tests.unit.joulecast_operator.samples.plans import H200, L40S, plan, planned, setting
from tests.unit.joulecast_operator.samples.workloads import Estimates, deployment

TODAY = {"joulecast.dev/for-accelerator": L40S, "joulecast.dev/batch-size": "8"}
TOLD = 'NVIDIA-H200, batch size 8 would need 33 % fewer joules (21 to 44); by the plan "detector"'


def of_web(name: str = "detector", **answer: Any) -> dict[str, Any]:
    """Return a plan of the Deployment ``web``, as the webhook keeps it."""
    spec = {"targetRef": {"kind": "Deployment", "name": "web"}}
    status = desired_status(plan(**spec), planned(**answer), request=REQUEST, now=datetime(2026, 1, 1, tzinfo=UTC))
    found = plan(status=status, **spec)
    found["metadata"] |= {"name": name, "resourceVersion": "1"}
    return dict(slim.admission_plan(found))


def web(**annotations: str) -> dict[str, Any]:
    return deployment(image=REQUEST.image, annotations=TODAY | annotations)


def test_a_choice_that_saves_beyond_its_interval_is_named() -> None:
    assert savings.warnings(web(), [of_web()]) == (TOLD,)


def test_of_several_plans_the_surest_saving_speaks() -> None:
    more = {"percent": 60.0, "percentLower": 50.0, "percentUpper": 70.0, "worthwhile": True}
    (told,) = savings.warnings(web(), [of_web(), of_web("second", saving=more)])
    assert told.endswith('(50 to 70); by the plan "second"')


@pytest.mark.parametrize(
    "answer",
    [
        {"saving": {"percent": 33.0, "percentLower": 9.0, "percentUpper": 44.0, "worthwhile": False}},
        {"saving": None, "today": None},
        {"choice": None, "leaders": [setting(H200), setting(L40S)]},
    ],
)
def test_less_is_not_told(answer: dict[str, Any]) -> None:
    assert savings.warnings(web(), [of_web(**answer)]) == ()


def test_a_plan_that_is_not_of_its_present_specification_is_silent() -> None:
    old = of_web()
    old["metadata"]["generation"] = 2
    assert savings.warnings(web(), [old]) == ()


@pytest.mark.parametrize(
    "changed",
    [
        {"joulecast.dev/batch-size": "64"},
        {"joulecast.dev/for-accelerator": H200},
        {"joulecast.dev/precision": "fp16"},
        {"joulecast.dev/model": "registry.example/models/another:1"},
    ],
)
def test_a_workload_that_runs_otherwise_than_the_plan_took_it_to_is_not_told(changed: dict[str, str]) -> None:
    assert savings.warnings(web(**changed), [of_web()]) == ()


def test_an_admission_tells_it_beside_the_forecast_and_changes_nothing_for_it() -> None:
    request = {"uid": "1", "operation": "CREATE", "namespace": "shop", "object": web(), "oldObject": None}
    without, beside = (decide(request, Estimates(plans=plans)) for plans in ((), (of_web(),)))
    assert beside.warnings == (*without.warnings, TOLD)
    assert (beside.patch, beside.outcome) == (without.patch, without.outcome)
    skipped = {**request, "object": web(**{"joulecast.dev/skip": "true"})}
    assert decide(skipped, Estimates(plans=(of_web(),))).warnings == ()


def test_the_index_finds_the_plans_of_a_workload() -> None:
    index = Index(plan=slim.admission_plan)
    index.put(PLANS, of_web())
    (found,) = index.plans_for("shop", "Deployment", "web")
    assert savings.warnings(web(), [found]) == (TOLD,)
    assert index.plans_for("shop", "StatefulSet", "web") == []
    assert index.plans_for("lab", "Deployment", "web") == []
