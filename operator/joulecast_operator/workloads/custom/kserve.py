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
    SHOWN,
    CustomWorkload,
    address,
    cards_of,
    container_of,
    count,
    text,
    words,
)
from joulecast_operator.workloads.engines.served import served_models

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
    worker, replicas = mapping(predictor.get("workerSpec")), count(predictor, "minReplicas")
    nodes = max(count(worker, "pipelineParallelSize"), 1) if predictor.get("workerSpec") is not None else 1
    holder, model_format = _model_of(predictor)
    container = _with_degrees(_with_program(holder, model_format), worker, nodes)
    pod = {**predictor, "containers": [container]} if container else predictor
    unread = _runtime_of(holder) if container and not container.get("image") else ""
    model, problem = _stored_model(holder)
    if not (model or problem) and unread and not _names_model(pod):
        problem = f"the InferenceService names no model itself, and {unread} is not read: {NOT_NAMED}"
    return CustomWorkload(
        pod=pod,
        pods=replicas * nodes,
        replicas=replicas,
        cards=cards_of(pod, worker, nodes - 1),
        model=model,
        problem=problem,
        unread=unread,
        annotations=mapping(predictor.get("annotations")),
    )


def _with_degrees(container: dict[str, Any], worker: Resource, nodes: int) -> dict[str, Any]:
    """Return the container with the degrees that KServe adds to its arguments where a model takes several nodes."""
    degrees = [_DEGREES["tensor"], str(worker["tensorParallelSize"])] if "tensorParallelSize" in worker else []
    degrees += [_DEGREES["pipeline"], str(nodes)] if nodes > 1 else []
    return {**container, "args": [*words(container.get("args")), *degrees]} if degrees else container


def _runtime_of(holder: Resource) -> str:
    """Return, in words, what has the container that the fields of a predictor override."""
    named = text(holder, "runtime")[:SHOWN]
    return f"the ServingRuntime {named!r}" if named else "the ServingRuntime that KServe chooses"


def _names_model(pod: Resource) -> bool:
    return any(not each.place.problem for each in served_models(pod))


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
    prefill, template, unread = mapping(spec.get("prefill")), mapping(spec.get("template")), _base_of(spec)
    model, problem = _addressed_model(spec, unread)
    pods = [mapping(each.get(field)) for each in (spec, prefill) for field in ("template", "worker") if each.get(field)]
    is_apart, nodes = spec.get("prefill") is not None, _llm_nodes(spec)
    number = _llm_replicas(spec) * nodes + (_llm_replicas(prefill) * _llm_nodes(prefill) if is_apart else 0)
    # where prefill runs apart, a request runs on a pod of each part; and what is not read may say how many there are
    is_uncounted = is_apart or (unread and not spec.keys() & {"replicas", "scaling"})
    return CustomWorkload(
        pod={**template, **placement.either(pods), "containers": [_vllm(template, spec)]},
        pods=number,
        replicas=None if is_uncounted else _llm_replicas(spec),
        cards=None if is_apart else cards_of(template, mapping(spec.get("worker")), nodes - 1),
        model=model,
        problem=problem,
        unread=unread,
        annotations=mapping(spec.get("annotations")),
    )


def _addressed_model(spec: Resource, unread: str) -> tuple[str, str]:
    """Return the model that an LLMInferenceService names, and why it is not known: one is ""."""
    uri, kind = text(spec, "model", "uri"), LLM_INFERENCE_SERVICES.kind
    if unread and not uri:
        return "", f"the {kind} names no model itself, and {unread} is not read: {NOT_NAMED}"
    return address(uri, kind)


def _base_of(spec: Resource) -> str:
    """Return, in words, what an LLMInferenceService overrides beside KServe's own templates; "" for nothing."""
    bases = [name for each in mappings(spec.get("baseRefs")) if (name := text(each, "name")[:SHOWN])]
    if bases:
        return f"the LLMInferenceServiceConfig {bases[-1]!r}"  # the last one overrides the others
    runtime = text(spec, "runtime")[:SHOWN]
    return f"the ServingRuntime {runtime!r}" if runtime else ""


def _llm_replicas(workload: Resource) -> int:
    """Return the replicas of one part of an LLMInferenceService, of an autoscaled one the least."""
    scaling = mapping(workload.get("scaling"))
    return count(scaling, "minReplicas") if scaling else count(workload, "replicas")


def _llm_nodes(workload: Resource) -> int:
    """Return the number of pods that share a model in one part of an LLMInferenceService."""
    parallelism = mapping(workload.get("parallelism"))
    if workload.get("worker") is None:
        return 1
    if parallelism.get("pipeline"):
        return max(count(parallelism, "pipeline"), 1)
    return max(count(parallelism, "data") // max(count(parallelism, "dataLocal"), 1), 1)


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
