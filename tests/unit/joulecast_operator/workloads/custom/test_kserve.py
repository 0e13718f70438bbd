"""Test what is understood of KServe's InferenceService and LLMInferenceService."""

from __future__ import annotations

import pytest

from joulecast_operator.index import slim
from tests.unit.joulecast_operator.samples import custom
from tests.unit.joulecast_operator.samples.custom import kept, understood


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
    assert kept(several)[slim.PODS] == 4
    assert understood(several).generation == {"tensor_parallel": 4}
    assert understood(several).understood["ignored"] == ["--pipeline-parallel-size 2"]  # type: ignore[index]
    spread = custom.llm_inference_service(worker={"containers": []}, parallelism={"data": 16, "dataLocal": 8})
    assert kept(spread)[slim.PODS] == 6
    assert kept(custom.nim_service(multiNode={"parallelism": {"pipeline": 2, "tensor": 8}}))[slim.PODS] == 4
