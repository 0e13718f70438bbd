"""What plans recommend, from their status, and the manifest of a plan for a workload."""

from __future__ import annotations

from typing import Any

import pytest

from joulecast_operator.api.kinds import ANNOTATED, DEPLOYMENTS, JOBS
from joulecast_operator.api.plans.resource import EnergyPlan
from joulecast_operator.kubectl.plans import manifest_for, of_target, plan_note, plan_of, plans_document
from tests.unit.joulecast_operator.samples.workloads import H200


def plan(name: str = "web", *, status: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    ready = {"type": "Ready", "status": "True", "reason": "Chosen", "message": "batch of 64", "observedGeneration": 1}
    held = {"conditions": [ready], "countedBy": "Inference", "summary": {"choice": H200}} | (status or {})
    metadata = {"name": name, "namespace": "shop", "generation": 1}
    return {"metadata": metadata, "spec": spec or {"targetRef": {"name": name}}, "status": held}


def test_a_plan_says_what_it_is_about_and_what_is_asked() -> None:
    found = plan_of(plan(slo={"latencyMilliseconds": 20}, requestsPerSecond="500m", targetRef={"name": "web"}))
    assert (found.about, found.asked) == ("deployment/web", "latency ≤ 20 ms, 500m requests a second")
    assert (found.state, found.reason, found.message) == ("Ready", "Chosen", "batch of 64")
    assert plan_of(plan(model={"image": "r.example/m:1"})).about == "r.example/m:1"
    assert plan_of(plan(model={"configMapRef": {"name": "llama"}})).about == "configmap/llama"
    assert plan_of(plan(model={"uri": "hf://a/b"})).about == "hf://a/b"


@pytest.mark.parametrize(
    ("counted", "per"), [("Inference", "inference"), ("Request", "request"), ("OutputToken", "output token")]
)
def test_joules_are_counted_by_what_the_status_says(counted: str, per: str) -> None:
    assert plan_of(plan(status={"countedBy": counted})).per == per


def test_a_plan_that_nobody_looked_at_says_so() -> None:
    fresh = plan()
    del fresh["status"]
    found = plan_of(fresh)
    assert (found.state, found.reason) == ("Pending", "")
    assert "the controller has not looked at it yet" in found.message


def test_plans_about_a_workload_are_found_by_kind_and_name() -> None:
    plans = [plan("web"), plan("other", targetRef={"name": "web", "kind": "Job"}), plan("odd", model={"image": "i"})]
    assert [each["metadata"]["name"] for each in of_target(plans, DEPLOYMENTS, "web")] == ["web"]
    assert [each["metadata"]["name"] for each in of_target(plans, JOBS, "web")] == ["other"]


@pytest.mark.parametrize("kind", ANNOTATED.values(), ids=lambda kind: str(kind.kind))
def test_a_manifest_for_a_workload_fulfils_the_schema(kind: Any) -> None:
    found = manifest_for(kind, "shop", "web", limits={"latencyMilliseconds": 20}, requests_per_second="500m")
    assert found["spec"]["targetRef"] == {"apiVersion": kind.api_version, "kind": kind.kind, "name": "web"}
    parsed = EnergyPlan.model_validate({"spec": found["spec"]})
    assert parsed.spec.slo is not None
    assert parsed.spec.slo.latency_milliseconds == 20
    assert "slo" not in manifest_for(kind, "shop", "web", limits={}, requests_per_second=None)["spec"]


def test_the_document_has_the_status_as_it_is() -> None:
    (found,) = plans_document([plan_of(plan(status={"candidates": 7}))])["plans"]
    assert (found["name"], found["candidates"], found["summary"]) == ("web", 7, {"choice": H200})
    assert "conditions" not in found


def test_what_applying_a_plan_does_is_said() -> None:
    split = plan_note(plan(model={"image": "r.example/m:1"}, split={"between": [H200, "NVIDIA-L4"]}), is_same=False)
    assert split == "a plan has no forecast of its own: after the apply it says where to cut r.example/m:1"
