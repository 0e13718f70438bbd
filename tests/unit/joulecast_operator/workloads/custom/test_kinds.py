"""Test what is understood of workloads of custom kinds: their model, their accelerator and the pods they ask for."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from joulecast_operator.api.annotations import CONTAINER, MODEL
from joulecast_operator.api.conditions import Wrong
from joulecast_operator.api.kinds import CUSTOM
from joulecast_operator.estimates.targets import FoundModel, model_of_workload
from joulecast_operator.index import slim
from joulecast_operator.workloads import discovery, placement
from joulecast_operator.workloads.pods import pod_spec
from tests.unit.joulecast_operator.samples import custom
from tests.unit.joulecast_operator.samples.custom import HUB, asking, on

LWS, RAY = "LeaderWorkerSet", "RayService"


def kept(workload: dict[str, Any]) -> dict[str, Any]:
    """Return a workload as the index keeps it."""
    return dict(slim.workload(CUSTOM[workload["kind"]], workload))


def understood(workload: dict[str, Any], runtime: str | None = None) -> FoundModel:
    found = model_of_workload("chat", kept(workload), runtime)
    assert isinstance(found, FoundModel), found
    return found


def problem(workload: dict[str, Any]) -> Wrong:
    found = model_of_workload("chat", kept(workload))
    assert isinstance(found, Wrong), found
    return found


@pytest.mark.parametrize("kind", tuple(CUSTOM))
def test_model_accelerator_and_pods_of_every_kind_are_found(kind: str) -> None:
    workload = custom.ALL[kind]
    before = copy.deepcopy(workload)
    found = kept(workload)
    assert understood(workload, runtime="vllm").images == (HUB,)
    assert discovery.products(found) == ("NVIDIA-L4",)
    assert placement.devices(pod_spec(found)).keys() == {custom.GPU}
    assert found[slim.PODS] == custom.PODS[kind]
    assert workload == before, "what was listed is not changed"
    assert found["metadata"].keys() == {"name", "namespace", "uid", "resourceVersion", "annotations"}


@pytest.mark.parametrize("kind", ["LLMInferenceService", RAY, LWS])
def test_the_degree_of_the_engine_is_read(kind: str) -> None:
    found = understood(custom.ALL[kind])
    assert (found.runtime, found.generation) == ("vllm", {"tensor_parallel": 2})


def test_what_is_ignored_of_an_engine_is_told() -> None:
    assert understood(custom.ray_service()).understood["ignored"] == ["--enforce-eager"]  # type: ignore[index]
    prefill = {"replicas": 4, "template": {"containers": [{"name": "main", "resources": asking()}]}}
    split = custom.llm_inference_service(prefill=prefill)
    assert understood(split).understood["ignored"] == ["--kv-transfer-config prefill"]  # type: ignore[index]
    assert kept(split)[slim.PODS] == 7


@pytest.mark.parametrize(
    ("uri", "reference"),
    [
        ("hf://org/name:abc123", "hf://org/name@abc123"),
        ("s3://models/llama/", "s3://models/llama"),
        ("oci://registry.example/models/llama:1", "registry.example/models/llama:1"),
    ],
)
def test_the_addresses_of_kserve(uri: str, reference: str) -> None:
    assert understood(custom.inference_service(storageUri=uri)).images == (reference,)
    assert understood(custom.llm_inference_service(model={"uri": uri})).images == (reference,)


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


def test_an_argument_may_name_the_model_of_a_hugging_face_server() -> None:
    by_argument = custom.inference_service(storageUri=None, args=["--model_name=x", "--model_id=org/name"])
    assert understood(by_argument).images == ("hf://org/name",)
    words = ["--model_id=org/name", "--tensor-parallel-size=4"]
    container = {"name": "kserve-container", "image": "kserve/huggingfaceserver:v0.17", "args": words}
    found = understood(custom.custom("InferenceService", {"predictor": {"containers": [container]}}))
    assert (found.images, found.generation) == (("hf://org/name",), {"tensor_parallel": 4})


def test_a_predictor_without_a_language_model_is_read_from_its_storage() -> None:
    onnx = custom.inference_service(modelFormat={"name": "onnx"}, storageUri="oci://registry.example/resnet:1")
    assert understood(onnx).images == ("registry.example/resnet:1",)
    old = custom.custom("InferenceService", {"predictor": {"onnx": {"storageUri": "s3://models/resnet"}}})
    assert (understood(old).images, understood(old).runtime) == (("s3://models/resnet",), None)


def test_a_model_on_several_nodes_takes_all_their_pods() -> None:
    predictor = custom.inference_service()["spec"]["predictor"]
    worker = {"pipelineParallelSize": 2, "tensorParallelSize": 4}
    several = custom.custom("InferenceService", {"predictor": predictor | {"workerSpec": worker}})
    assert kept(several)[slim.PODS] == 4
    assert understood(several).generation == {"tensor_parallel": 4}
    assert understood(several).understood["ignored"] == ["--pipeline-parallel-size 2"]  # type: ignore[index]
    spread = custom.llm_inference_service(worker={"containers": []}, parallelism={"data": 16, "dataLocal": 8})
    assert kept(spread)[slim.PODS] == 6
    assert kept(custom.nim_service(multiNode={"parallelism": {"pipeline": 2, "tensor": 8}}))[slim.PODS] == 4


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
    assert kept(workload)[slim.PODS] == pods


def test_of_several_models_of_a_ray_service_an_annotation_chooses() -> None:
    both = (
        custom.SERVE_CONFIG
        + """\
    - model_loading_config: {model_id: large, model_source: {bucket_uri: "s3://models/large"}}
"""
    )
    service = custom.ray_service(both)
    assert problem(service).reason == "AmbiguousModel"
    service["metadata"]["annotations"] = {CONTAINER: "large"}
    assert understood(service).images == ("s3://models/large",)


def test_pods_of_a_workload_that_may_run_on_different_cards_may_run_on_each() -> None:
    service = custom.ray_service()
    other = {"nodeSelector": on("NVIDIA-H200"), "containers": [{"name": "w", "resources": asking()}]}
    groups = service["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    groups.append({"groupName": "more", "replicas": 1, "template": {"spec": other}})
    assert discovery.products(kept(service)) == ("NVIDIA-L4", "NVIDIA-H200")
    groups.append({"groupName": "any", "replicas": 1, "template": {"spec": {"containers": other["containers"]}}})
    assert discovery.products(kept(service)) == ()


@pytest.mark.parametrize("kind", tuple(CUSTOM))
@pytest.mark.parametrize("spec", [None, [], {}, {"predictor": 3, "model": [], "serveConfigV2": 1, "image": ""}])
def test_an_object_of_any_shape_is_read(kind: str, spec: Any) -> None:
    found = kept(custom.custom(kind, spec))
    assert found["kind"] == kind
    assert discovery.products(found) == ()
    assert isinstance(model_of_workload("chat", found), Wrong)
