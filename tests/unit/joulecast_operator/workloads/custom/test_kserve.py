"""Test what is understood of KServe's InferenceService and LLMInferenceService."""

from __future__ import annotations

import pytest

from joulecast_operator.workloads import discovery
from joulecast_operator.workloads.pods import CARDS, PODS, REPLICAS
from tests.unit.joulecast_operator.samples import custom
from tests.unit.joulecast_operator.samples.custom import asking, kept, problem, understood


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
    assert kept(several)[PODS] == 4
    assert understood(several).generation == {"tensor_parallel": 4}
    assert understood(several).understood["ignored"] == ["--pipeline-parallel-size 2"]  # type: ignore[index]
    assert (kept(several)[REPLICAS], kept(several)[CARDS]) == (2, 1), "a worker that names no GPUs adds none"
    several["spec"]["predictor"]["workerSpec"]["containers"] = [{"name": "worker-container", "resources": asking()}]
    assert kept(several)[CARDS] == 2
    spread = custom.llm_inference_service(worker={"containers": []}, parallelism={"data": 16, "dataLocal": 8})
    assert kept(spread)[PODS] == 6
    assert kept(spread)[REPLICAS] == 3
    nim = kept(custom.nim_service(multiNode={"parallelism": {"pipeline": 2, "tensor": 8}}, resources=asking(8)))
    assert (nim[PODS], nim[REPLICAS], nim[CARDS]) == (4, 2, 16)


def test_a_model_that_may_stand_in_an_object_that_is_not_read_is_told() -> None:
    runtime = custom.inference_service(storageUri=None, runtime="team-llama")
    said = problem(runtime)
    assert said.reason == "UnknownModel"
    assert said.message.startswith("the InferenceService names no model itself, and the ServingRuntime 'team-llama' is")
    other = custom.inference_service(storageUri=None, runtime="team-mistral")
    assert discovery.inputs_hash(kept(other)) != discovery.inputs_hash(kept(runtime)), "the message names another one"
    chosen = problem(custom.inference_service(storageUri=None, modelFormat={"name": "onnx"}))
    assert "the ServingRuntime that KServe chooses is not read" in chosen.message
    based = problem(custom.llm_inference_service(model=None, baseRefs=[{"name": "llama"}]))
    assert based.message.startswith("the LLMInferenceService names no model itself, and the LLMInferenceServiceConfig")
    assert based.message.endswith("in the spec.model of an InferenceEnergyEstimate")
    named = problem(custom.llm_inference_service(model=None, runtime="team-vllm"))
    assert "the ServingRuntime 'team-vllm' is not read" in named.message
