"""Test which model an estimate is about: that of its spec, or that of its target's containers."""

from __future__ import annotations

from typing import Any

import pytest

from joulecast_operator.api.annotations import MODEL
from joulecast_operator.api.conditions import Wrong
from joulecast_operator.api.results import UnderstoodTarget
from joulecast_operator.estimates.targets import FoundModel, model_of_workload


def deployment(*containers: dict[str, Any], annotations: dict[str, str] | None = None, **pod: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "chat", "annotations": annotations or {}},
        "spec": {"template": {"spec": {"containers": list(containers), **pod}}},
    }


def container(*words: str, name: str = "engine", **fields: Any) -> dict[str, Any]:
    return {
        "name": name,
        "image": "vllm/vllm-openai:v0.11.0",
        "command": ["vllm", "serve"],
        "args": list(words),
    } | fields


def found(*containers: dict[str, Any], **changes: Any) -> FoundModel:
    model = model_of_workload("chat", deployment(*containers, **changes))
    assert isinstance(model, FoundModel), model
    return model


def test_a_container_that_serves_a_model_of_the_hub() -> None:
    words = ("meta-llama/Llama-3.1-8B", "--revision=v1", "--tensor-parallel-size", "2", "--max-num-seqs", "64",
             "--max-num-batched-tokens", "4096", "--dtype", "half", "--kv-cache-dtype=fp8",
             "--gpu-memory-utilization", "0.9",
             "--speculative-config", "{}")  # fmt: skip
    model = found(container(*words))
    assert model.images == ("hf://meta-llama/Llama-3.1-8B@v1",)
    assert (model.runtime, model.precision, model.most_sequences) == ("vllm", "fp16", 64)
    assert model.generation == {"tensor_parallel": 2, "batched_tokens": 4096}
    assert model.understood is not None
    told = UnderstoodTarget.model_validate(model.understood)
    assert (told.engine, told.container, told.model) == ("vLLM", "engine", "hf://meta-llama/Llama-3.1-8B@v1")
    assert "--max-num-seqs" in told.used
    assert "--kv-cache-dtype" in told.used
    assert told.ignored == ["--speculative-config {}", "--gpu-memory-utilization"]
    assert "--gpu-memory-utilization" not in told.used, "what is not followed is not among used"


@pytest.mark.parametrize(
    ("written", "precision"),
    [("auto", "default"), ("fp8", "fp8"), ("FP8_E4M3", "fp8"), ("fp8_e5m2", "fp8"), ("bfloat16", "bf16")],
)
def test_the_precision_of_the_cache_is_that_of_the_command(written: str, precision: str) -> None:
    sglang = {"command": ["python3", "-m", "sglang.launch_server"], "args": ["--model-path=org/m"]}
    for engine in (container("org/m"), container(**sglang)):
        engine["args"] = [*engine["args"], f"--kv-cache-dtype={written}"]
        model = found(engine)
        assert model.cache_precision == precision
        assert model.understood is not None
        assert "--kv-cache-dtype" in model.understood["used"]


@pytest.mark.parametrize("written", ["nvfp4", "fp8_ds_mla", "int3"])
def test_a_precision_of_the_cache_that_is_not_followed_is_listed(written: str) -> None:
    model = found(container("org/m", "--kv-cache-dtype", written))
    assert model.cache_precision is None
    assert model.understood is not None
    assert model.understood["ignored"] == [f"--kv-cache-dtype {written}"]
    assert "--kv-cache-dtype" not in model.understood["used"]


def test_a_model_in_an_image_volume() -> None:
    mounts = [{"name": "model", "mountPath": "/models"}]
    volumes = [{"name": "model", "image": {"reference": "registry.example/models/llama:1"}}]
    model = found(container("/models/llama", volumeMounts=mounts), volumes=volumes)
    assert (model.images, model.path) == (("registry.example/models/llama:1",), "/llama")
    assert model.understood is not None
    assert model.understood["model"] == "registry.example/models/llama:1//llama"


def test_an_annotation_decides_where_the_model_is() -> None:
    served = container("meta-llama/Llama-3.1-8B", "-tp", "2")
    for named in ("registry.example/other:1", "hf://other/model"):
        model = found(served, annotations={MODEL: named})
        assert (model.images, model.path, model.runtime) == ((named,), None, "vllm")
        assert model.generation == {"tensor_parallel": 2}


def test_images_are_searched_where_no_engine_is_started() -> None:
    model = found({"name": "app", "image": "registry.example/app:1"})
    assert model == FoundModel(images=("registry.example/app:1",))


@pytest.mark.parametrize(
    ("containers", "reason", "says"),
    [
        ([container("$(MODEL)")], "UnknownModel", "whose value the pod does not state"),
        (
            [container("one/a", name="a"), container("one/b", name="b")],
            "AmbiguousModel",
            '"a" (hf://one/a by vLLM)',
        ),
        (
            [container(name="tgi", command=["text-generation-launcher"], args=["--model-id", "org/m"])],
            "EngineNotSupported",
            "by TGI",
        ),
        ([], "TargetHasNoImage", "has no image"),
    ],
)
def test_what_cannot_be_known_is_told(containers: list[dict[str, Any]], reason: str, says: str) -> None:
    model = model_of_workload("chat", deployment(*containers))
    assert isinstance(model, Wrong)
    assert model.reason == reason
    assert says in model.message
