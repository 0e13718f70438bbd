"""Test with a real API server that workloads of custom kinds are forecast where there are any, and never written."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any
from uuid import uuid4

import pytest

from joulecast_operator.api import annotations as notes
from joulecast_operator.api.kinds import CUSTOM
from joulecast_operator.workloads.power_limits import POD_LIMIT
from tests import checkpoints
from tests.cluster.controlled import Cluster, controlled, estimate, merge
from tests.cluster.custom_kinds import DEFINITIONS
from tests.cluster.patience import be_patient
from tests.cluster.release import PREFIX, deployment
from tests.harness import hub as hubs
from tests.unit.joulecast_operator.samples import custom

KINDS = tuple(CUSTOM)
MODEL = custom.HUB.removeprefix("hf://")
MORE: dict[str, tuple[dict[str, Any], int]] = {
    "InferenceService": ({"predictor": {"minReplicas": 5}}, 5),
    "LLMInferenceService": ({"replicas": 5}, 5),
    "RayService": ({"rayClusterConfig": {"workerGroupSpecs": None}}, 0),
    "LeaderWorkerSet": ({"leaderWorkerTemplate": {"size": 4}}, 12),
    "NIMService": ({"replicas": 5}, 5),
}
"""A change of each kind, and the pods that it asks for after it."""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with ExitStack() as stack:
        hub = stack.enter_context(hubs.running())
        hub.add(MODEL, checkpoints.model_folder())
        hosts, flags = [hub.server.host, hub.storage.host], [f"--hub-endpoint={hub.url}", "--kinds-seconds=1"]
        folder = tmp_path_factory.mktemp("custom-kinds")
        started = stack.enter_context(controlled(folder, insecure_registries=hosts, flags=flags))
        be_patient(started.plane)
        yield started


@pytest.fixture
def namespace(cluster: Cluster) -> str:
    return cluster.plane.create_namespace(f"test-{uuid4().hex[:8]}")


def of_kind(kind: str, namespace: str, **annotations: str) -> dict[str, Any]:
    """Return a workload of a custom kind, as it is applied."""
    found = custom.ALL[kind]
    return found | {"metadata": {"name": "chat", "namespace": namespace, "annotations": annotations}}


def follower(kind: str, namespace: str) -> dict[str, Any]:
    """Return an estimate that targets the workload of a kind, and leaves the accelerators to it."""
    spec = {"targetRef": {"kind": kind, "name": "chat"}, "runtime": "vllm"}
    found = estimate(kind.lower(), namespace, workload={"inputTokens": 64, "outputTokens": 32}, **spec)
    del found["spec"]["accelerators"]
    return found


def define(cluster: Cluster, *kinds: str) -> None:
    cluster.plane.apply(*(DEFINITIONS[kind] for kind in kinds))
    for kind in kinds:
        name = DEFINITIONS[kind]["metadata"]["name"]
        cluster.plane.kubectl("wait", "--for=condition=Established", f"crd/{name}", "--timeout=60s")


def written(cluster: Cluster, kind: str, namespace: str) -> dict[str, Any]:
    """Return who wrote a workload, its generation and its annotations."""
    name = f"{CUSTOM[kind].plural}.{CUSTOM[kind].group}"
    done = cluster.plane.kubectl("get", name, "chat", "-n", namespace, "-o", "json", "--show-managed-fields")
    metadata = json.loads(done.stdout)["metadata"]
    ours = {key: value for key, value in metadata.get("annotations", {}).items() if key.startswith(PREFIX)}
    managers = sorted({each["manager"] for each in metadata["managedFields"]})
    return {"managers": managers, "generation": metadata["generation"], "annotations": ours}


def test_a_kind_that_comes_and_goes_is_followed(cluster: Cluster, namespace: str) -> None:
    """The first test of the file, because the cluster has none of the kinds before it."""
    cluster.plane.apply(*(follower(kind, namespace) for kind in KINDS))
    for kind in KINDS:
        said = cluster.until_reason(kind.lower(), namespace, "TargetKindNotServed")
        assert f"this cluster has no kind {kind} of the API group {CUSTOM[kind].group}" in said["message"]
    define(cluster, *KINDS)
    for kind in KINDS:
        said = cluster.until_reason(kind.lower(), namespace, "TargetNotFound")
        assert f"there is no {kind} 'chat'" in said["message"]

    cluster.plane.apply(*(of_kind(kind, namespace) for kind in KINDS))
    for kind in KINDS:
        status = cluster.until_ready(kind.lower(), namespace)
        assert status["target"] == {
            "kind": kind,
            "name": "chat",
            "model": custom.HUB,
            "pods": custom.PODS[kind],
            "accelerators": {"source": "nodeSelector", "products": ["NVIDIA-L4"]},
        }
        assert status["understood"]["model"] == custom.HUB
        assert {row["accelerator"] for row in status["results"]} == {"NVIDIA-L4"}

    for kind in KINDS:
        change, pods = MORE[kind]
        merge(cluster.plane, f"{CUSTOM[kind].plural}.{CUSTOM[kind].group}", "chat", namespace, {"spec": change})
        counted = lambda kind=kind, pods=pods: pods_of(cluster, kind, namespace) == pods  # noqa: E731
        cluster.until(counted, f"the {kind} asks for {pods} pods")
        found = written(cluster, kind, namespace)
        assert found["annotations"] == {}
        assert not [each for each in found["managers"] if "joulecast" in each]
        assert found["generation"] == 2, "by the test's own change"

    gone = DEFINITIONS["LeaderWorkerSet"]["metadata"]["name"]
    cluster.plane.kubectl("delete", "crd", gone)
    cluster.until_reason("leaderworkerset", namespace, "TargetKindNotServed")
    define(cluster, "LeaderWorkerSet")
    cluster.plane.apply(of_kind("LeaderWorkerSet", namespace))
    cluster.until_ready("leaderworkerset", namespace)
    assert list(cluster.forbidden()) == [], "no right on definitions is needed"


def pods_of(cluster: Cluster, kind: str, namespace: str) -> int | None:
    found: int | None = cluster.status(kind.lower(), namespace).get("target", {}).get("pods")
    return found


def test_what_a_user_names_is_read_and_other_versions_are_the_same_kind(cluster: Cluster, namespace: str) -> None:
    define(cluster, *KINDS)
    stored = of_kind("InferenceService", namespace)
    stored["spec"] = {"predictor": {"model": {"modelFormat": {"name": "vLLM"}, "storageUri": "pvc://claim/model"}}}
    cluster.plane.apply(stored, follower("InferenceService", namespace))
    said = cluster.until_reason("inferenceservice", namespace, "UnknownModel")
    assert "the InferenceService takes the model from 'pvc://claim/model', a store that is not read" in said["message"]
    service = f"{CUSTOM['InferenceService'].plural}.{CUSTOM['InferenceService'].group}"
    given = (f"{notes.MODEL}={custom.HUB}", f"{notes.FOR_ACCELERATOR}=NVIDIA-H200")
    told = cluster.plane.kubectl("annotate", service, "chat", "-n", namespace, *given)
    assert "have no effect on an InferenceService by itself" in told.stderr
    status = cluster.until_ready("inferenceservice", namespace)
    assert status["target"]["accelerators"] == {"source": "annotation", "products": ["NVIDIA-H200"]}

    newer = of_kind("LLMInferenceService", namespace) | {"apiVersion": "serving.kserve.io/v1alpha2"}
    followed = follower("LLMInferenceService", namespace)
    followed["spec"]["targetRef"]["apiVersion"] = "serving.kserve.io/v1alpha2"
    cluster.plane.apply(newer, followed)
    cluster.until_ready("llminferenceservice", namespace)


def test_a_child_of_a_custom_kind_is_left_alone(cluster: Cluster, namespace: str) -> None:
    define(cluster, *KINDS)
    copied = {notes.MODEL: custom.HUB, notes.FOR_ACCELERATOR: "NVIDIA-L4", notes.JOULES: "0.001"}
    cluster.plane.apply(of_kind("InferenceService", namespace, **copied), follower("InferenceService", namespace))
    cluster.until_ready("inferenceservice", namespace)
    service = f"{CUSTOM['InferenceService'].plural}.{CUSTOM['InferenceService'].group}"
    uid = cluster.plane.kubectl("get", service, "chat", "-n", namespace, "-o", "jsonpath={.metadata.uid}").stdout
    owner = {"apiVersion": CUSTOM["InferenceService"].api_version, "kind": "InferenceService", "name": "chat"}
    child = deployment("chat-predictor", namespace, annotations=copied)
    child["metadata"]["ownerReferences"] = [owner | {"uid": uid, "controller": True, "blockOwnerDeletion": True}]
    cluster.plane.apply(child)
    wanted = {"model": custom.HUB, "for-accelerator": "NVIDIA-L4"}
    cluster.until(lambda: cluster.annotations("chat-predictor", namespace) == wanted, "the forged value went")
    listed = json.loads(cluster.plane.kubectl("get", "iee", "-n", namespace, "-o", "json").stdout)["items"]
    assert [each["metadata"]["name"] for each in listed] == ["inferenceservice"], "and no estimate was made"


def test_an_engine_under_a_power_limit_has_a_reason_and_no_number(cluster: Cluster, namespace: str) -> None:
    define(cluster, *KINDS)
    limited = copy.deepcopy(of_kind("LeaderWorkerSet", namespace))
    leader = limited["spec"]["leaderWorkerTemplate"]["leaderTemplate"]
    leader["metadata"] = {"annotations": {POD_LIMIT: "50"}}
    cluster.plane.apply(limited, follower("LeaderWorkerSet", namespace))
    said = cluster.until_reason("leaderworkerset", namespace, "PowerLimitNotPriced")
    assert "a power limit of 50 W cannot be priced under vllm" in said["message"]
    status = cluster.status("leaderworkerset", namespace)
    assert status["target"]["powerLimit"] == {"watts": 50, "source": "podAnnotation"}
    assert "results" not in status
    merge(cluster.plane, "iee", "leaderworkerset", namespace, {"spec": {"workload": {"clockMHz": 1200}}})
    assert cluster.until_ready("leaderworkerset", namespace)["results"][0]["clockMHz"] == 1200


def test_a_restart_finds_the_kinds_again_and_writes_nothing(cluster: Cluster, namespace: str) -> None:
    define(cluster, *KINDS)
    cluster.plane.apply(*(of_kind(kind, namespace) for kind in KINDS), *(follower(kind, namespace) for kind in KINDS))
    for kind in KINDS:
        cluster.until_ready(kind.lower(), namespace)
    versions = {kind: version_of(cluster, kind, namespace) for kind in KINDS}
    cluster.installation.controller.stop()
    merge(cluster.plane, "rayservices.ray.io", "chat", namespace, {"metadata": {"labels": {"while": "away"}}})
    cluster.installation.start_controller()
    late = estimate("late", namespace, targetRef={"kind": "RayService", "name": "chat"}, runtime="vllm")
    cluster.plane.apply(late)
    cluster.until_ready("late", namespace)
    assert {kind: version_of(cluster, kind, namespace) for kind in KINDS} == versions


def version_of(cluster: Cluster, kind: str, namespace: str) -> str:
    found = cluster.plane.get("iee", kind.lower(), namespace)
    assert found is not None
    return str(found["metadata"]["resourceVersion"])
