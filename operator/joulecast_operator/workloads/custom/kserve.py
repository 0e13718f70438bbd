"""Read KServe's InferenceService and LLMInferenceService; pure.

Sources: kserve/pkg/apis/serving/v1beta1/{predictor,inference_service}.go and podspec.go, v1alpha1 and v1alpha2 of
llm_inference_service_types.go, and config/runtimes of the same repository.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any, Final

from joulecast_operator.api.kinds import INFERENCE_SERVICES, LLM_INFERENCE_SERVICES
from joulecast_operator.api.objects import Resource, mapping, mappings
from joulecast_operator.workloads import placement
from joulecast_operator.workloads.custom.reading import (
    NOT_NAMED,
    CustomWorkload,
    address,
    container_of,
    count,
    text,
    words,
)

_CONTAINER: Final = "kserve-container"
_PROGRAMS: Final[Mapping[str, tuple[str, ...]]] = {
    "huggingface": ("python", "-m", "huggingfaceserver"),
    "vllm": ("vllm", "serve"),
    "sglang": ("sglang", "serve"),
}
"""What a ServingRuntime starts, by a part of its name or of the model's format: KServe's own and those of vendors."""

_FRAMEWORKS: Final = (
    "sklearn", "xgboost", "tensorflow", "pytorch", "triton", "onnx", "huggingface", "pmml", "lightgbm", "paddle",
)  # fmt: skip
"""Fields of a predictor that named the model's format before ``model`` did."""

_LLM_CONTAINER: Final = "main"
_MORE_WORDS: Final = "VLLM_ADDITIONAL_ARGS"
"""The variable whose words KServe's template for vLLM appends to the command."""

_DEGREES: Final = {
    "tensor": "--tensor-parallel-size", "pipeline": "--pipeline-parallel-size", "data": "--data-parallel-size",
}  # fmt: skip
"""Options of vLLM, by the field of ``parallelism`` from which KServe's template writes them."""


def inference_service(service: Resource) -> CustomWorkload:
    """Return what an InferenceService asks for: its predictor. Transformer and explainer run no model on a GPU."""
    predictor = mapping(mapping(service.get("spec")).get("predictor"))
    worker = mapping(predictor.get("workerSpec"))
    holder, model_format = _model_of(predictor)
    nodes = max(count(worker, "pipelineParallelSize"), 1) if predictor.get("workerSpec") is not None else 1
    container = _with_program(holder, model_format)
    if "tensorParallelSize" in worker:
        container["args"] = [*words(container.get("args")), _DEGREES["tensor"], str(worker["tensorParallelSize"])]
    if nodes > 1:
        container["args"] = [*words(container.get("args")), _DEGREES["pipeline"], str(nodes)]
    model, problem = _stored_model(holder)
    pod = {**predictor, "containers": [container]} if container else predictor
    return CustomWorkload(
        pod=pod,
        pods=count(predictor, "minReplicas") * nodes,
        model=model,
        problem=problem,
        annotations=mapping(predictor.get("annotations")),
    )


def _model_of(predictor: Resource) -> tuple[dict[str, Any], str]:
    """Return the field of a predictor that is the container and names the model, and the model's format."""
    model = mapping(predictor.get("model"))
    if model:
        named = f"{text(model, 'modelFormat', 'name')} {text(model, 'runtime')}"
        return {"name": _CONTAINER, **model}, named.lower()
    for framework in _FRAMEWORKS:
        if isinstance(predictor.get(framework), Mapping):
            return {"name": _CONTAINER, **predictor[framework]}, framework
    return container_of(predictor, _CONTAINER), ""


def _with_program(container: dict[str, Any], model_format: str) -> dict[str, Any]:
    """Return the container with the program of its ServingRuntime, unless the container names a command or image."""
    program = next((program for name, program in _PROGRAMS.items() if name in model_format), None)
    if program is None or container.get("command") or container.get("image"):
        return container
    return {**container, "command": [*program]}


def _stored_model(holder: Resource) -> tuple[str, str]:
    """Return the model that the predictor's storage names, and why it is not known; ("", "") without a storage."""
    kind = INFERENCE_SERVICES.kind
    several = [text(each, "uri") for each in mappings(holder.get("storageUris"))]
    if len(several) > 1:
        return "", f"the {kind} takes files from {len(several)} storageUris, of which one is the model: {NOT_NAMED}"
    uri = text(holder, "storageUri") or text(holder, "storage", "storageUri") or next(iter(several), "")
    if uri:
        return address(uri, kind)
    if holder.get("storage"):
        return "", f"the {kind} takes the model from a storage that a Secret describes: {NOT_NAMED}"
    return "", ""


def llm_inference_service(service: Resource) -> CustomWorkload:
    """Return what an LLMInferenceService asks for: its pods for decoding, and those for prefill, if it has any."""
    spec = mapping(service.get("spec"))
    prefill, template = mapping(spec.get("prefill")), mapping(spec.get("template"))
    model, problem = address(text(spec, "model", "uri"), LLM_INFERENCE_SERVICES.kind)
    pods = [mapping(each.get(field)) for each in (spec, prefill) for field in ("template", "worker") if each.get(field)]
    pod = {**template, **placement.either(pods), "containers": [_vllm(template, spec)]}
    number = _llm_pods(spec) + (_llm_pods(prefill) if spec.get("prefill") is not None else 0)
    notes = mapping(spec.get("annotations"))
    return CustomWorkload(pod=pod, pods=number, model=model, problem=problem, annotations=notes)


def _llm_pods(workload: Resource) -> int:
    """Return the pods of one part of an LLMInferenceService: replicas, each of as many nodes as its model takes."""
    scaling = mapping(workload.get("scaling"))
    replicas = count(scaling, "minReplicas") if scaling else count(workload, "replicas")
    if workload.get("worker") is None:
        return replicas
    parallelism = mapping(workload.get("parallelism"))
    if parallelism.get("pipeline"):
        return replicas * max(count(parallelism, "pipeline"), 1)
    data, local = count(parallelism, "data"), max(count(parallelism, "dataLocal"), 1)
    return replicas * max(data // local, 1)


def _vllm(template: Resource, spec: Resource) -> dict[str, Any]:
    """Return the container that serves the model, with the command of KServe's template where it has none itself."""
    container = {"name": _LLM_CONTAINER, **container_of(template, _LLM_CONTAINER)}
    parallelism = mapping(spec.get("parallelism"))
    degrees = [
        word
        for field, option in _DEGREES.items()
        if count(parallelism, field) > 1
        for word in (option, str(parallelism[field]))
    ]
    expert = ["--enable-expert-parallel"] if parallelism.get("expert") is True else []
    named = [*words(container.get("args")), *_more_words(container)]
    if container.get("command"):
        return container
    disaggregated = ["--kv-transfer-config", "prefill"] if spec.get("prefill") is not None else []
    return {**container, "command": ["vllm", "serve"], "args": [*degrees, *expert, *disaggregated, *named]}


def _more_words(container: Resource) -> list[str]:
    found = next(
        (text(each, "value") for each in mappings(container.get("env")) if each.get("name") == _MORE_WORDS), ""
    )
    try:
        return shlex.split(found)
    except ValueError:  # quotes that do not close
        return []
