"""How a workload stands by the estimates of its namespace."""

from __future__ import annotations

from typing import Any

import pytest

from joulecast_operator.api.annotations import BATCH_SIZE, ESTIMATE, SKIP
from joulecast_operator.kubectl.standing import Estimates, Standing, document_of, figure_of, is_counted, standing_of
from tests.unit.joulecast_operator.samples.custom import ALL, custom
from tests.unit.joulecast_operator.samples.workloads import H200, IMAGE, deployment, estimate, generation, row, workload


def standing(found: dict[str, Any], *estimates: dict[str, Any]) -> Standing:
    return standing_of(found, Estimates(estimates), "shop")


def chat(*rows: dict[str, Any], replicas: int = 3, **asked: Any) -> Standing:
    held = estimate("chat", rows=rows, spec={"model": {"uri": "hf://org/llama"}, "workload": asked})
    found = deployment("chat", annotations={ESTIMATE: "chat"})
    found["spec"]["replicas"] = replicas
    return standing(found, held)


def test_a_workload_stands_by_the_result_that_fits_it() -> None:
    found = standing(workload("StatefulSet"), estimate())
    assert (found.state, found.accelerator, found.pods, found.title) == ("Ready", H200, 1, "statefulset/web")
    assert found.figure is not None
    assert (found.figure.per, found.figure.joules) == ("inference", pytest.approx(0.42123 / 32))
    assert found.busy_watts == 341.2
    assert found.watts is None, "a pass has no rate of requests"


def test_without_a_fitting_result_it_says_why() -> None:
    found = standing(workload("Job", annotations={BATCH_SIZE: "7"}), estimate())
    assert (found.state, found.row, found.figure, found.busy_watts) == ("Failed", None, None, None)
    assert "has no result for batch size 7" in found.sentence


def test_a_workload_of_no_estimate_says_what_to_do() -> None:
    assert "apply an InferenceEnergyEstimate" in standing(workload("Deployment")).sentence
    skipped = standing(workload("Deployment", annotations={SKIP: "true"}), estimate())
    assert (skipped.state, skipped.row) == ("None", None)
    assert "joulecast.dev/skip" in skipped.sentence


def test_an_estimate_of_another_namespace_is_not_taken() -> None:
    assert standing(workload("Deployment"), estimate(namespace="other")).state == "None"


def test_the_later_of_two_estimates_of_one_name_counts() -> None:
    old, new = estimate(rows=[row(joules=1.0)]), estimate(rows=[row(joules=2.0)])
    found = standing(workload("Deployment"), old, new)
    assert found.figure is not None
    assert found.figure.joules == 2.0 / 32


@pytest.mark.parametrize(
    ("phase", "per", "field"),
    [
        ("request", "request", "joulesPerRequest"),
        ("prefill", "input token", "joulesPerInputToken"),
        ("decode", "output token", "joulesPerOutputToken"),
    ],
)
def test_a_phase_has_its_own_unit(phase: str, per: str, field: str) -> None:
    found = generation(phase=phase)
    assert (figure_of(found).per, figure_of(found).joules) == (per, found[field])


def test_the_power_of_pods_follows_from_their_load_and_is_that_of_pauses_too() -> None:
    found = chat(generation(joules=3.0, idlePowerWatts=100.0), requestsPerSecond="500m")
    assert (found.load, found.busy_watts) == ("0.5 requests/s", 3300.0)
    assert found.watts == pytest.approx(3 * (0.5 * 3.0 + (1 - 1.5 / 1100) * 100), rel=1e-5)
    assert document_of(found)["energy"] == {"per": "request", "joules": 3.0, "lower": 2.5, "upper": 3.6}
    assert chat(generation(joules=3.0), requestsPerSecond=5000).watts == 3300.0, "no pod does more than it can"
    half = chat(generation(idlePowerWatts=100.0), utilizationPercent=50)
    assert (half.load, half.watts) == ("50 %", 3 * 600.0)
    asleep = chat(generation(idlePowerWatts=100.0), requestsPerSecond=20, replicas=0)
    assert (asleep.watts, asleep.busy_watts) == (0.0, 0.0)
    unknown = chat(generation(joules=3.0), concurrency=32)
    assert (unknown.load, unknown.watts) == (None, None)


def test_an_object_of_a_custom_kind_stands_by_an_estimate_that_targets_it_alone() -> None:
    container = {"name": "main", "image": IMAGE, "resources": {"limits": {"nvidia.com/gpu": 1}}}
    group = {"size": 2, "workerTemplate": {"spec": {"containers": [container]}}}
    found = custom("LeaderWorkerSet", {"replicas": 3, "leaderWorkerTemplate": group}, namespace="shop")
    of_image = standing(found, estimate())
    assert (of_image.state, of_image.pods) == ("None", 6)
    assert of_image.sentence == "no estimate is about it: apply an InferenceEnergyEstimate whose targetRef names it"
    target = estimate(spec={"targetRef": {"kind": "LeaderWorkerSet", "name": found["metadata"]["name"]}})
    assert (standing(found, target).state, standing(found, target).accelerator) == ("Ready", H200)
    assert (standing(found, target).watts, standing(found, target).busy_watts) == (None, None)
    assert "a replica has 2 accelerators and the forecast is of 1" in standing(found, target).uncounted
    group["size"] = 1
    alone = standing(found, target)
    assert (alone.pods, alone.replicas, alone.busy_watts, alone.uncounted) == (3, 3, 3 * 341.2, "")
    assert document_of(alone)["replicas"] == 3


def test_replicas_of_several_cards_are_added_up_as_the_forecast_has_them() -> None:
    served = ALL["LeaderWorkerSet"]
    asked = {"targetRef": {"kind": "LeaderWorkerSet", "name": "chat"}, "workload": {"utilizationPercent": 50}}
    about = {"rows": [generation("NVIDIA-L4", idlePowerWatts=100.0)], "spec": asked}
    found = standing(served, estimate("chat", **about))
    assert (found.pods, found.replicas, found.busy_watts, found.watts) == (6, 3, 3300.0, 3 * 600.0)
    child = deployment("chat-0", annotations={ESTIMATE: "chat"})
    child["metadata"]["ownerReferences"] = [{"kind": "LeaderWorkerSet", "name": "chat", "uid": "u", "controller": True}]
    assert standing(child, estimate("chat", **about)).row is None, "it is counted as its owner"


def test_what_a_controller_owns_is_counted_as_its_owner() -> None:
    owner = {"apiVersion": "batch/v1", "kind": "CronJob", "name": "nightly", "uid": "u", "controller": True}
    assert is_counted(workload("Job"))
    assert not is_counted(workload("Job", ownerReferences=[owner]))
