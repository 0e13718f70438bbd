"""Test EnergyPlans on a real API server: every example, what makes a plan again, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml

import joulecast
from tests import small_models
from tests.cluster.controlled import Cluster, controlled, merge
from tests.cluster.test_controller_profiles import accelerator_profile, profile_document
from tests.harness.environment import ROOT

H200, L40S, L4 = "NVIDIA-H200", "NVIDIA-L40S", "NVIDIA-L4"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with controlled(tmp_path_factory.mktemp("plans")) as started:
        started.push("models/classifier")
        yield started
        assert started.forbidden() == []


@pytest.fixture
def namespace(cluster: Cluster) -> str:
    return cluster.plane.create_namespace(f"test-{uuid4().hex[:8]}")


def documents(cluster: Cluster, name: str, namespace: str) -> list[dict[str, Any]]:
    """Return the manifests of an example, in ``namespace`` and with the registry of the test."""
    text = (ROOT / "examples" / f"{name}.yaml").read_text().replace("REGISTRY", cluster.registry.host)
    found = list(yaml.safe_load_all(text))
    for document in found:
        document["metadata"]["namespace"] = namespace
    return found


def example(cluster: Cluster, name: str, namespace: str) -> None:
    """Apply an example as a user would who works in ``namespace``."""
    cluster.plane.apply(*documents(cluster, name, namespace))


def plan(cluster: Cluster, namespace: str, name: str = "asked", **spec: Any) -> dict[str, Any]:
    body = {"model": {"image": cluster.image("models/classifier")}, "candidates": {
        "accelerators": {"names": [H200, L40S]}, "batchSizes": [1, 8],
    }} | spec  # fmt: skip
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "joulecast.dev/v1alpha1", "kind": "EnergyPlan", "metadata": metadata, "spec": body}


def status(cluster: Cluster, name: str, namespace: str) -> dict[str, Any]:
    found: dict[str, Any] = (cluster.plane.get("eplan", name, namespace) or {}).get("status") or {}
    return found


def ready(cluster: Cluster, name: str, namespace: str) -> dict[str, Any]:
    """Return the condition Ready; {} while it is not of the current generation."""
    found = cluster.plane.get("eplan", name, namespace) or {}
    conditions = found.get("status", {}).get("conditions", ())
    own = next((each for each in conditions if each["type"] == "Ready"), {})
    return own if own.get("observedGeneration") == found["metadata"]["generation"] else {}


def made(cluster: Cluster, name: str, namespace: str) -> dict[str, Any]:
    """Wait until the plan is made for its current generation, and return its status."""
    cluster.until(lambda: ready(cluster, name, namespace).get("status") == "True", f"{name} is planned")
    return status(cluster, name, namespace)


def cheapest(found: dict[str, Any]) -> dict[str, Any]:
    """Return the choice of a status, or the first of those that may be it."""
    first: dict[str, Any] = found.get("choice") or found["leaders"][0]
    return first


def until_reason(cluster: Cluster, name: str, namespace: str, reason: str) -> str:
    cluster.until(lambda: ready(cluster, name, namespace).get("reason") == reason, f"{name} says {reason}")
    message: str = ready(cluster, name, namespace)["message"]
    return message


def test_a_plan_is_what_the_library_plans(cluster: Cluster, namespace: str, tmp_path: Path) -> None:
    example(cluster, "plan", namespace)
    found = made(cluster, "classifier", namespace)
    model = small_models.classifier(tmp_path / "m.onnx")
    objective = joulecast.Objective(latency_milliseconds=50, requests_per_second=200)
    today = joulecast.Setting(accelerator=L40S, runtime="torch-eager", precision="default", batch_size=1)
    expected = joulecast.plan(model, [H200, L40S, L4], batch_sizes=(1, 8, 64), objective=objective, today=today)
    assert ready(cluster, "classifier", namespace)["message"].endswith(expected.reason) or not expected.choice
    first = cheapest(found)
    assert first["joules"] == pytest.approx(expected.candidates[0].joules, rel=1e-5)
    assert (first["accelerator"], first["batchSize"], first["replicas"]) == (
        expected.candidates[0].setting.accelerator,
        expected.candidates[0].setting.batch_size,
        expected.candidates[0].replicas,
    )
    assert found["saving"]["percent"] == pytest.approx(100 * expected.saving.share, rel=1e-4)  # type: ignore[union-attr]
    assert found["candidates"] == len(expected.candidates)
    assert found["excluded"]["slo"] == sum(each.why == "slo" for each in expected.excluded)
    shown = cluster.plane.kubectl("get", "eplan", "-n", namespace).stdout
    assert found["summary"]["choice"] in shown
    assert found["summary"]["saves"] in shown


def test_a_target_says_how_it_runs_now_and_a_change_of_it_plans_again(cluster: Cluster, namespace: str) -> None:
    example(cluster, "plan-target", namespace)
    found = made(cluster, "classifier-target", namespace)
    assert (found["today"]["accelerator"], found["today"]["batchSize"]) == (L40S, 1)
    assert found["saving"]["percent"] > 0
    note = lambda value: merge(  # noqa: E731
        cluster.plane, "deployment", "classifier", namespace,
        {"metadata": {"annotations": {"joulecast.dev/batch-size": value}}},
    )  # fmt: skip
    note("8")
    today = lambda: status(cluster, "classifier-target", namespace).get("today", {}).get("batchSize")  # noqa: E731
    cluster.until(lambda: today() == 8, "today is the batch size of the annotation")
    note(None)
    cluster.until(lambda: today() is None, "nothing says the batch size")
    now = status(cluster, "classifier-target", namespace)
    assert "saving" not in now
    assert "annotate the target with joulecast.dev/batch-size" in now["notes"][0]


def test_a_target_that_is_applied_is_told_what_would_save(cluster: Cluster, namespace: str) -> None:
    example(cluster, "plan-target", namespace)
    found = made(cluster, "classifier-target", namespace)
    assert found["saving"]["worthwhile"]
    target, _ = documents(cluster, "plan-target", namespace)

    def told(**annotations: str) -> str:
        target["metadata"]["annotations"] |= annotations
        target["metadata"]["labels"] = {"try": uuid4().hex}  # kubectl sends nothing that is unchanged
        asked = ("apply", "--dry-run=server", "-f", "-")
        return cluster.plane.kubectl(*asked, stdin=json.dumps(target)).stderr

    said = f"Warning: {found['summary']['choice']} would need"
    cluster.until(lambda: said in told(), "the webhook knows the plan")
    assert 'by the plan "classifier-target"' in told()
    assert said not in told(**{"joulecast.dev/batch-size": "64"})


def test_caps_are_candidates(cluster: Cluster, namespace: str) -> None:
    example(cluster, "plan-capped", namespace)
    found = made(cluster, "classifier-caps", namespace)
    shown = [*found.get("leaders", ()), *found["runnersUp"], *([found["choice"]] if "choice" in found else [])]
    assert any("clockMHz" in each or "powerLimitWatts" in each for each in shown)


def test_a_language_model_is_planned_by_cards_and_requests_at_once(cluster: Cluster, namespace: str) -> None:
    example(cluster, "language-model-configuration", namespace)
    example(cluster, "plan-language-model", namespace)
    found = made(cluster, "llama-3-70b", namespace)
    first = cheapest(found)
    assert first["concurrency"] in (1, 4, 16, 64)
    assert first["tensorParallel"] > 1
    assert first["interTokenLatencySeconds"] <= 0.04
    assert found["countedBy"] == "OutputToken"
    assert found["excluded"]["memory"] > 0


def test_a_graph_is_cut_between_two_machines(cluster: Cluster, namespace: str) -> None:
    example(cluster, "plan-split", namespace)
    found = made(cluster, "classifier-split", namespace)
    own = ready(cluster, "classifier-split", namespace)
    assert (own["reason"] in ("Cut", "Undecided"), own["message"][:14]) == (True, "fewest joules:")
    best, others = found["split"]["byJoules"], (found["split"][name] for name in ("allOnFirst", "allOnSecond"))
    assert all(best["joules"] <= each["joules"] for each in others)
    assert found["split"]["priced"] > 1


def test_an_unchanged_plan_writes_nothing_a_restart_between(cluster: Cluster, namespace: str) -> None:
    cluster.plane.apply(plan(cluster, namespace))
    made(cluster, "asked", namespace)
    version = cluster.plane.get("eplan", "asked", namespace)["metadata"]["resourceVersion"]  # type: ignore[index]
    cluster.installation.controller.restart()
    cluster.plane.apply(plan(cluster, namespace, "after"))
    made(cluster, "after", namespace)  # it waited behind all that a restart looks at
    assert cluster.plane.get("eplan", "asked", namespace)["metadata"]["resourceVersion"] == version  # type: ignore[index]


def test_a_changed_profile_plans_again_and_another_choice_is_an_event(cluster: Cluster, namespace: str) -> None:
    cluster.plane.apply(plan(cluster, namespace))
    before = made(cluster, "asked", namespace)
    first = cheapest(before)["accelerator"]
    cluster.plane.apply(accelerator_profile("dear", product=first, coefficients=profile_document(first)))
    on = lambda: cheapest(status(cluster, "asked", namespace))["accelerator"]  # noqa: E731
    cluster.until(lambda: on() != first, "the other accelerator needs less now")
    events = cluster.plane.kubectl("get", "events", "-n", namespace, "-o", "json").stdout
    told = [each["reason"] for each in json.loads(events)["items"] if each["involvedObject"]["kind"] == "EnergyPlan"]
    assert {"ChoiceChanged", "Chosen", "Undecided"} & set(told)
    cluster.plane.kubectl("delete", "aep", "dear")
    cluster.until(lambda: on() == first, "the shipped profile is back")


@pytest.mark.parametrize(
    ("spec", "reason", "says"),
    [
        (
            {"candidates": {
                "accelerators": {"names": [H200, L40S, L4]}, "precisions": ["default", "fp16", "bf16", "fp32", "tf32"],
                "tensorParallel": [1, 2, 4], "batchSizes": [1, 2, 4, 8], "clocksMHz": [900, 1000, 1100, 1200, 1300],
            }},
            "TooManyCandidates",
            "the candidates are 1080 settings",
        ),
        ({"slo": {"latencyMilliseconds": 1}, "requestsPerSecond": "1m", "candidates": {
            "accelerators": {"names": [L4]}, "batchSizes": [64],
        }}, "NothingKeepsSlo", "relax spec.slo"),
        ({"candidates": {"accelerators": {"names": ["NVIDIA-H2000"]}}}, "UnknownAccelerator", "NVIDIA-H2000"),
        ({"candidates": {"concurrencies": [4]}}, "InvalidWorkload", "leave spec.candidates.concurrencies out"),
        ({"slo": {"timeToFirstTokenMilliseconds": 5}}, "InvalidWorkload", "spec.slo.timeToFirstTokenMilliseconds"),
        ({"suspend": True}, "Suspended", "set it to false"),
    ],
)  # fmt: skip
def test_what_cannot_be_planned_is_a_reason_that_says_what_to_do(
    cluster: Cluster, namespace: str, spec: dict[str, Any], reason: str, says: str
) -> None:
    if "candidates" in spec:
        spec["candidates"] = {"accelerators": {"names": [H200]}} | spec["candidates"]
    cluster.plane.apply(plan(cluster, namespace, **spec))
    assert says in until_reason(cluster, "asked", namespace, reason)
