"""Test with a real API server that workloads of every kind are forecast, annotated, counted and cleaned up."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from joulecast_operator.api import annotations as notes
from joulecast_operator.api.kinds import ANNOTATED
from tests.cluster.controlled import Cluster, controlled, estimate, merge
from tests.cluster.patience import be_patient
from tests.cluster.release import PREFIX, workload
from tests.harness import http
from tests.harness.installation import NAMESPACE

KINDS = tuple(ANNOTATED)
GPU_LABEL = "nvidia.com/gpu.product"
MORE = {
    "Deployment": ({"replicas": 3}, 3),
    "StatefulSet": ({"replicas": 3}, 3),
    "DaemonSet": ({"minReadySeconds": 1}, 0),  # no node is there to run it
    "Job": ({"parallelism": 0}, 0),
    "CronJob": ({"jobTemplate": {"spec": {"parallelism": 4}}}, 4),
}
"""A change of each kind, and the pods that it asks for after it."""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with controlled(tmp_path_factory.mktemp("kinds")) as started:
        be_patient(started.plane)
        started.push("model")
        yield started


@pytest.fixture
def namespace(cluster: Cluster) -> str:
    return cluster.plane.create_namespace(f"test-{uuid4().hex[:8]}")


def ours(cluster: Cluster, kind: str, name: str, namespace: str) -> dict[str, str]:
    """Return joulecast's annotations of a workload, without the prefix."""
    found = cluster.plane.get(kind.lower(), name, namespace)
    assert found is not None
    return {
        key.removeprefix(PREFIX): value
        for key, value in (found["metadata"].get("annotations") or {}).items()
        if key.startswith(PREFIX)
    }


def until_annotated(cluster: Cluster, kind: str, name: str, namespace: str) -> dict[str, str]:
    ready = lambda: ours(cluster, kind, name, namespace).get("state") == "Ready"  # noqa: E731
    cluster.until(ready, f"the {kind} {name} is annotated")
    return ours(cluster, kind, name, namespace)


def target(kind: str, name: str = "web") -> dict[str, str]:
    return {"kind": kind, "name": name}


@pytest.mark.parametrize("kind", KINDS)
def test_a_target_of_every_kind_is_forecast_annotated_and_counted(cluster: Cluster, namespace: str, kind: str) -> None:
    cluster.plane.apply(estimate("follows", namespace, targetRef=target(kind)))
    waiting = cluster.until_reason("follows", namespace, "TargetNotFound")
    assert f"there is no {kind} 'web'" in waiting["message"]
    cluster.plane.apply(workload(kind, "web", namespace, image=cluster.image("model")))
    status = cluster.until_ready("follows", namespace)
    found = until_annotated(cluster, kind, "web", namespace)
    assert found["estimated-by"] == "follows"
    made = cluster.plane.get(kind.lower(), "web", namespace)
    assert PREFIX not in json.dumps(made["spec"]), "annotations on pods would restart them"
    if kind != "DaemonSet":
        assert status["target"] == target(kind) | {"pods": 1, "replicas": 1, "model": cluster.image("model")}

    change, pods = MORE[kind]
    merge(cluster.plane, kind, "web", namespace, {"spec": change})
    asked = target(kind) | {"pods": pods, "replicas": pods, "model": cluster.image("model")}
    cluster.until(lambda: cluster.status("follows", namespace).get("target") == asked, "the pods are counted anew")
    assert cluster.status("follows", namespace)["estimatedAt"] == status["estimatedAt"], "with no other forecast"

    cluster.plane.kubectl("delete", kind.lower(), "web", "-n", namespace)
    cluster.until_reason("follows", namespace, "TargetNotFound")
    assert cluster.forbidden() == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_workload_that_names_a_model_gets_an_estimate_that_goes_with_it(
    cluster: Cluster, namespace: str, kind: str
) -> None:
    named = {notes.MODEL: cluster.image("model"), notes.BATCH_SIZE: "4", notes.FOR_ACCELERATOR: "NVIDIA-H200"}
    cluster.plane.apply(workload(kind, "web", namespace, image="registry.invalid/app:1", annotations=named))
    assert until_annotated(cluster, kind, "web", namespace)["estimated-batch-size"] == "4"
    (made,) = estimates(cluster, namespace)
    assert made["spec"]["targetRef"] == target(kind) | {"apiVersion": ANNOTATED[kind].api_version}
    (owner,) = made["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"]) == (kind, "web")
    cluster.plane.kubectl("annotate", kind.lower(), "web", "-n", namespace, f"{notes.MODEL}-")
    cluster.until(lambda: not estimates(cluster, namespace), "the estimate went")
    cluster.until(lambda: "state" not in ours(cluster, kind, "web", namespace), "its annotations went")


def estimates(cluster: Cluster, namespace: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(cluster.plane.kubectl("get", "iee", "-n", namespace, "-o", "json").stdout)[
        "items"
    ]
    return found


def test_a_job_of_a_cron_job_is_not_counted_again(cluster: Cluster, namespace: str) -> None:
    named = {notes.MODEL: cluster.image("model"), notes.FOR_ACCELERATOR: "NVIDIA-H200"}
    nightly = workload("CronJob", "nightly", namespace, annotations=named)
    nightly["spec"]["jobTemplate"]["metadata"] = {"annotations": named | {notes.JOULES: "0.001"}}
    cluster.plane.apply(nightly)
    until_annotated(cluster, "CronJob", "nightly", namespace)
    cluster.installation.webhook.stop()  # which would take the forged value away already
    try:
        cluster.plane.kubectl("create", "job", "run", "--from=cronjob/nightly", "-n", namespace)
        cluster.until(lambda: "joules-per-batch" not in ours(cluster, "Job", "run", namespace), "the forged value went")
    finally:
        cluster.installation.webhook.start()
    assert ours(cluster, "Job", "run", namespace).keys() == {"model", "for-accelerator"}
    (made,) = estimates(cluster, namespace)
    assert made["spec"]["targetRef"]["kind"] == "CronJob"


def test_annotating_a_stateful_set_makes_no_revision_of_it(cluster: Cluster, namespace: str) -> None:
    cluster.plane.apply(estimate("served", namespace, cluster.image("model")))
    cluster.until_ready("served", namespace)
    cluster.plane.apply(workload("StatefulSet", "web", namespace, image=cluster.image("model")))
    until_annotated(cluster, "StatefulSet", "web", namespace)
    merge(cluster.plane, "iee", "served", namespace, {"spec": {"workload": {"batchSizes": [2]}}})
    two = lambda: ours(cluster, "StatefulSet", "web", namespace).get("estimated-batch-size") == "2"  # noqa: E731
    cluster.until(two, "annotated anew")
    assert cluster.plane.get("statefulset", "web", namespace)["metadata"]["generation"] == 1
    listed = cluster.plane.kubectl("get", "controllerrevisions", "-n", namespace, "-o", "name").stdout
    assert len(listed.split()) == 1


def test_a_target_of_a_kind_that_is_not_covered_is_told(cluster: Cluster, namespace: str) -> None:
    cluster.plane.apply(estimate("odd", namespace, targetRef=target("ReplicaSet")))
    said = cluster.until_reason("odd", namespace, "TargetKindNotSupported")
    assert said["status"] == "False"
    assert "spec.targetRef names the kind ReplicaSet, which joulecast does not cover: name one of" in said["message"]
    other = {"apiVersion": "batch.volcano.sh/v1alpha1", **target("Job")}
    cluster.plane.apply(estimate("volcano", namespace, targetRef=other))
    said = cluster.until_reason("volcano", namespace, "TargetKindNotSupported")
    assert "batch.volcano.sh/v1alpha1 Job" in said["message"]


def test_what_was_forged_while_joulecast_was_away_goes_when_it_is_back(cluster: Cluster, namespace: str) -> None:
    cluster.plane.apply(estimate("served", namespace, cluster.image("model")))
    cluster.until_ready("served", namespace)
    for kind in KINDS:
        cluster.plane.apply(workload(kind, "web", namespace, image=cluster.image("model")))
    right = {kind: until_annotated(cluster, kind, "web", namespace) for kind in KINDS}
    cluster.installation.stop()
    for kind in KINDS:
        cluster.plane.kubectl("annotate", kind.lower(), "web", "-n", namespace, f"{notes.JOULES}=1", "--overwrite")
    cluster.installation.start_processes()
    for kind in KINDS:
        cluster.until(lambda kind=kind: ours(cluster, kind, "web", namespace) == right[kind], f"the {kind} is right")


def test_the_uninstall_takes_the_annotations_off_every_kind(cluster: Cluster, namespace: str) -> None:
    cluster.plane.apply(estimate("served", namespace, cluster.image("model")))
    for kind in KINDS:
        cluster.plane.apply(workload(kind, "web", namespace, image=cluster.image("model")))
        until_annotated(cluster, kind, "web", namespace)
    cluster.installation.null_outputs()
    assert {kind: ours(cluster, kind, "web", namespace) for kind in KINDS} == {kind: {} for kind in KINDS}
    own = ("deployment", "joulecast-controller", "-n", NAMESPACE)
    cluster.plane.kubectl("annotate", *own, "joulecast.dev/rest-until-", "--overwrite")


def gpu_node(name: str, product: str, pool: str) -> dict[str, Any]:
    labels = {"nvidia.com/gpu.product": product, "pool": pool}
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}}


def test_of_two_kinds_of_nodes_the_dearer_decides_until_one_is_left(cluster: Cluster, namespace: str) -> None:
    plane = cluster.plane
    plane.apply(gpu_node("small", "NVIDIA-L4", namespace), gpu_node("large", "NVIDIA-H200", namespace))
    plane.apply(gpu_node("shared", "NVIDIA-T4-SHARED", namespace), gpu_node("other", "NVIDIA-L40S", "elsewhere"))
    for name in ("small", "large", "shared", "other"):
        held = json.dumps({"status": {"allocatable": {"nvidia.com/gpu": "8"}, "capacity": {"nvidia.com/gpu": "8"}}})
        plane.kubectl("patch", "node", name, "--subresource=status", "--type=merge", "-p", held)
    served = workload("StatefulSet", "web", namespace, image=cluster.image("model"))
    pod = served["spec"]["template"]["spec"]
    pod["nodeSelector"] = {"pool": namespace}
    pod["containers"][0]["resources"] = {"limits": {"nvidia.com/gpu": "1"}}
    plane.apply(served, follower("StatefulSet", namespace))
    by_source = lambda source: of_target(cluster, namespace).get("source") == source  # noqa: E731
    cluster.until(lambda: by_source("resource") and "range" in of_target(cluster, namespace), "a range")
    said, status = of_target(cluster, namespace), cluster.until_ready("web", namespace)
    assert said["products"] == ["NVIDIA-H200", "NVIDIA-L4"]
    assert said["message"] == "nodes that share or divide their GPUs are left out"
    dearest = max(status["results"], key=lambda row: row["joulesPerBatch"] * (row["batchSize"] == 1))
    assert said["decides"] == status["summary"]["accelerator"] == dearest["accelerator"]
    cluster.until(
        lambda: ours(cluster, "StatefulSet", "web", namespace).get("accelerator") == said["decides"], "it is annotated"
    )

    plane.kubectl("delete", "node", {"NVIDIA-H200": "large", "NVIDIA-L4": "small"}[said["decides"]])
    left = [name for name in said["products"] if name != said["decides"]]
    cluster.until(lambda: of_target(cluster, namespace).get("products") == left, "the other one is left")
    cluster.until(lambda: ours(cluster, "StatefulSet", "web", namespace).get("accelerator") == left[0], "and decides")
    assert "range" not in of_target(cluster, namespace)

    selector = {GPU_LABEL: "NVIDIA-A100-SXM4-80GB", "pool": None}
    merge(plane, "statefulset", "web", namespace, {"spec": {"template": {"spec": {"nodeSelector": selector}}}})
    cluster.until(lambda: by_source("nodeSelector"), "the node selector decides")
    plane.kubectl("annotate", "statefulset", "web", "-n", namespace, "joulecast.dev/for-accelerator=nvidia h200")
    cluster.until(lambda: by_source("annotation"), "the annotation decides")
    assert of_target(cluster, namespace)["products"] == ["NVIDIA-H200"]
    plane.kubectl("delete", "node", "--all")


def follower(kind: str, namespace: str) -> dict[str, Any]:
    """Return an estimate of a target that names no accelerators."""
    found = estimate("web", namespace, targetRef=target(kind))
    del found["spec"]["accelerators"]
    return found


def of_target(cluster: Cluster, namespace: str) -> dict[str, Any]:
    """Return what the status of the estimate says about the accelerators of its target."""
    found: dict[str, Any] = cluster.status("web", namespace).get("target", {}).get("accelerators", {})
    return found


def test_a_slice_of_a_card_is_told_on_the_estimate_and_on_the_workload(cluster: Cluster, namespace: str) -> None:
    sliced = workload("Job", "web", namespace, image=cluster.image("model"))
    sliced["spec"]["template"]["spec"]["containers"][0]["resources"] = {"limits": {"nvidia.com/mig-1g.10gb": "1"}}
    cluster.plane.apply(follower("Job", namespace), sliced)
    said = cluster.until_reason("web", namespace, "MigSlice")
    assert "nvidia.com/mig-1g.10gb, a slice that MIG makes of a card" in said["message"]
    failed = lambda: ours(cluster, "Job", "web", namespace).get("reason") == "MigSlice"  # noqa: E731
    cluster.until(failed, "the Job says so")
    assert "joules-per-batch" not in ours(cluster, "Job", "web", namespace)
    assert of_target(cluster, namespace)["message"].startswith("the pods ask for nvidia.com/mig-1g.10gb")


def test_without_the_right_to_a_kind_the_others_go_on_and_it_comes_with_the_right(
    cluster: Cluster, namespace: str
) -> None:
    """The last test of the file, because it changes the release's rights."""
    role = cluster.plane.get("clusterrole", "joulecast-controller")
    assert role is not None
    rules = role["rules"]
    fewer = [rule | {"resources": [each for each in rule["resources"] if each != "statefulsets"]} for rule in rules]
    cluster.installation.stop()
    give(cluster, fewer)
    try:
        cluster.installation.start_processes()
        for kind in ("Deployment", "StatefulSet"):
            cluster.plane.apply(workload(kind, "web", namespace, image=cluster.image("model")))
            cluster.plane.apply(estimate(kind.lower(), namespace, targetRef=target(kind)))
        cluster.until_ready("deployment", namespace)
        said = cluster.until_reason("statefulset", namespace, "TargetForbidden")
        assert f"joulecast may not read StatefulSets in namespace '{namespace}'" in said["message"]
        with http.send(urllib.request.Request(f"{cluster.installation.controller_url}/readyz")) as page:
            assert "statefulsets may not be read" in page.read().decode()
    finally:
        give(cluster, rules)
    cluster.until_ready("statefulset", namespace)
    until_annotated(cluster, "StatefulSet", "web", namespace)


def give(cluster: Cluster, rules: list[dict[str, Any]]) -> None:
    """Give the controller these rules in place of its present ones."""
    patch = json.dumps({"rules": rules})
    cluster.plane.kubectl("patch", "clusterrole", "joulecast-controller", "--type=merge", "-p", patch)
