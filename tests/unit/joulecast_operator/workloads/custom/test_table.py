"""Test what is understood of workloads of every custom kind: model, accelerator and pods."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from joulecast_operator.api.annotations import MODEL
from joulecast_operator.api.conditions import Wrong
from joulecast_operator.api.kinds import CUSTOM
from joulecast_operator.estimates.targets import model_of_workload
from joulecast_operator.workloads import discovery, placement
from joulecast_operator.workloads.pods import PODS, pod_spec
from tests.unit.joulecast_operator.samples import custom
from tests.unit.joulecast_operator.samples.custom import HUB, kept, problem, understood

LWS, RAY = "LeaderWorkerSet", "RayService"


@pytest.mark.parametrize("kind", tuple(CUSTOM))
def test_model_accelerator_and_pods_of_every_kind_are_found(kind: str) -> None:
    workload = custom.ALL[kind]
    before = copy.deepcopy(workload)
    found = kept(workload)
    assert understood(workload, runtime="vllm").images == (HUB,)
    assert discovery.products(found) == ("NVIDIA-L4",)
    assert placement.devices(pod_spec(found)).keys() == {custom.GPU}
    assert found[PODS] == custom.PODS[kind]
    assert workload == before, "what was listed is not changed"
    assert found["metadata"].keys() == {"name", "namespace", "uid", "resourceVersion", "annotations"}


@pytest.mark.parametrize("kind", ["LLMInferenceService", RAY, LWS])
def test_the_degree_of_the_engine_is_read(kind: str) -> None:
    found = understood(custom.ALL[kind])
    assert (found.runtime, found.generation) == ("vllm", {"tensor_parallel": 2})


@pytest.mark.parametrize(
    ("workload", "said"),
    [
        (custom.inference_service(storageUri="pvc://claim/model"), "takes the model from 'pvc://claim/model', a store"),
        (custom.inference_service(storageUri=None, storageUris=[{"uri": HUB}, {"uri": HUB}]), "from 2 storageUris"),
        (custom.inference_service(storageUri=None, storage={"key": "s3", "path": "m"}), "that a Secret describes"),
        (custom.llm_inference_service(model={"uri": "pvc://claim"}), "takes the model from 'pvc://claim', a store"),
        (
            custom.ray_service("applications: [{name: own, import_path: 'app:deployment'}]"),
            "so that it runs a program of its own",
        ),
        (custom.ray_service("a: &a [1, 2]\nb: [*a, *a]"), "no YAML without aliases"),
        (custom.ray_service("applications: ["), "no YAML without aliases"),
        (custom.ray_service("#" * 20_000), "longer than 16384 characters"),
        (custom.nim_service(env=[]), "names no model to NIM"),
    ],
)
def test_an_unknown_model_is_told_with_the_way_out(workload: dict[str, Any], said: str) -> None:
    found = problem(workload)
    assert found.reason == "UnknownModel"
    assert said in found.message
    assert found.message.endswith(
        "name the model in the annotation joulecast.dev/model, or in the spec.model of an InferenceEnergyEstimate"
    )
    workload["metadata"]["annotations"] = {MODEL: "hf://org/other"}
    assert understood(workload, runtime="vllm").images == ("hf://org/other",)


@pytest.mark.parametrize(
    ("workload", "pods"),
    [
        (custom.nim_service(scale={"enabled": True, "hpa": {"minReplicas": 4}}), 4),
        (custom.llm_inference_service(replicas=None, scaling={"minReplicas": 5}), 5),
        (custom.llm_inference_service(replicas=0), 0),
        (custom.leader_worker_set(size=1), 3),
        (custom.custom(LWS, {}), 1),
        (custom.custom("InferenceService", {"predictor": {"minReplicas": 0}}), 0),
    ],
)
def test_the_pods_that_are_asked_for(workload: dict[str, Any], pods: int) -> None:
    assert kept(workload)[PODS] == pods


@pytest.mark.parametrize("kind", tuple(CUSTOM))
@pytest.mark.parametrize("spec", [None, [], {}, {"predictor": 3, "model": [], "serveConfigV2": 1, "image": ""}])
def test_an_object_of_any_shape_is_read(kind: str, spec: Any) -> None:
    found = kept(custom.custom(kind, spec))
    assert found["kind"] == kind
    assert discovery.products(found) == ()
    assert isinstance(model_of_workload("chat", found), Wrong)
