"""Find the model that an estimate is about: the one that it names, or the one that its target runs; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from joulecast_operator.api import bounds
from joulecast_operator.api.conditions import Wrong
from joulecast_operator.api.estimates import EstimateSpec
from joulecast_operator.api.models import ConfigMapKey
from joulecast_operator.api.objects import Resource
from joulecast_operator.index.index import Index
from joulecast_operator.workloads import discovery
from joulecast_operator.workloads.containers import serving, unserved
from joulecast_operator.workloads.engines.options import ENGINES
from joulecast_operator.workloads.engines.served import ServedModel

_PRECISIONS: Final = {
    "bfloat16": "bf16", "float16": "fp16", "half": "fp16", "float32": "fp32", "float": "fp32",
}  # fmt: skip
"""Precisions by the value of an engine's option ``--dtype``."""

_CACHE_PRECISIONS: Final = {
    "auto": "default", "bfloat16": "bf16", "bf16": "bf16", "float16": "fp16",
    "fp8": "fp8", "fp8_e4m3": "fp8", "fp8_e5m2": "fp8",
}  # fmt: skip
"""Precisions by the value of ``--kv-cache-dtype`` (vllm/config/cache.py, sglang/srt/server_args.py). Formats that keep
scales beside the numbers, such as fp8_ds_mla, nvfp4 and fp4_e2m1, have another width and are not followed."""

_NOT_FOLLOWED: Final = frozenset({"memory_share", "quantisation"})
"""Meanings of options that a forecast does not follow: it takes what the model's files say, and an engine's default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundModel:
    """The model of an estimate.

    - ``images``: images or addresses that may hold it, the most likely first.
    - ``path``, ``format``, ``architecture``: as in ``spec.model``; None where nothing says them.
    - ``runtime``, ``precision``, ``cache_precision``: as the target's container says; None where it does not.
    - ``generation``: fields of a GenerationRequest that the target's container says.
    - ``most_sequences``, ``longest``: requests that the container works on at once at most, and tokens of one; None
      where it does not say.
    - ``understood``: what the status says about that container.
    """

    images: tuple[str, ...]
    path: str | None = None
    format: str | None = None
    architecture: str | None = None
    runtime: str | None = None
    precision: str | None = None
    cache_precision: str | None = None
    generation: Mapping[str, int] = field(default_factory=dict)
    most_sequences: int | None = None
    longest: int | None = None
    understood: Mapping[str, Any] | None = None


def model_of(estimate: Resource, spec: EstimateSpec, index: Index) -> FoundModel | Wrong:
    """Return the model that the spec names, or that of the target; or why there is none."""
    if spec.model is not None:
        named = spec.model
        address = configuration_address(named.config_map_ref) if named.config_map_ref else named.image or named.uri
        return FoundModel(
            images=(address or "",), path=named.path, format=named.format, architecture=named.architecture
        )
    if spec.target_ref is None:
        return Wrong(reason="InvalidSpec", message="spec has neither model nor targetRef: give exactly one")
    namespace, name = estimate["metadata"]["namespace"], spec.target_ref.name
    deployment = index.deployment(namespace, name)
    if deployment is None:
        return Wrong(
            reason="TargetNotFound",
            message=f"there is no Deployment {name!r} in namespace {namespace!r}: create it, or correct spec.targetRef",
        )
    return model_of_deployment(name, deployment, spec.runtime)


def configuration_address(reference: ConfigMapKey) -> str:
    """Return the text by which statuses and messages name the configuration in a ConfigMap."""
    return f"configmap://{reference.name}/{reference.key}"


def model_of_deployment(name: str, deployment: Resource, runtime: str | None = None) -> FoundModel | Wrong:
    """Return the model of a Deployment: that of its annotation, of the container that serves one, else of an image.

    ``runtime``: the runtime that the spec gives, which may stand for an engine that no runtime prices.
    """
    problem = unserved(deployment, runtime=runtime)
    if problem is not None:
        return problem
    served = serving(deployment)
    if isinstance(served, ServedModel):
        return _of_container(served)
    images = discovery.model_references(deployment)
    if images:
        return FoundModel(images=images)
    return Wrong(
        reason="TargetHasNoImage",
        message=f"Deployment {name!r} has no image: annotate it with joulecast.dev/model, or give spec.model",
    )


def _of_container(served: ServedModel) -> FoundModel:
    place = served.place
    given = {"tensor_parallel": served.tensor_parallel, "batched_tokens": served.batched_tokens}
    return FoundModel(
        images=(place.uri or place.image,),
        path=place.path or None,
        runtime=served.runtime,
        precision=_PRECISIONS.get(served.dtype.lower()),
        cache_precision=_CACHE_PRECISIONS.get(served.cache_dtype.lower()),
        generation={name: value for name, value in given.items() if value is not None},
        most_sequences=served.most_sequences,
        longest=served.longest,
        understood=_understood(served),
    )


def _understood(served: ServedModel) -> dict[str, Any]:
    """Return what the status says; an option that is read and that the forecast does not follow counts as ignored."""
    place = served.place
    apart = _not_followed(served)
    used = [each for each in served.used if each not in apart]
    model = f"{place.uri or place.image}{'//' + place.path.lstrip('/') if place.path else ''}"
    return {
        "engine": bounds.name(served.engine),
        "container": bounds.name(served.container),
        "model": bounds.text(model),
        "used": [bounds.name(each) for each in used[: bounds.LISTED]],
        "ignored": [bounds.name(each) for each in (*served.ignored, *apart.values())[: bounds.LISTED]],
    }


def _not_followed(served: ServedModel) -> dict[str, str]:
    """Return the options that were read and that the forecast does not follow, each with what the status says of it."""
    engine = next((each for each in ENGINES if each.name == served.engine), None)
    meanings = {each: engine.options.get(each, "") if engine else "" for each in served.used}
    apart = {each: each for each, meaning in meanings.items() if meaning in _NOT_FOLLOWED}
    if served.cache_dtype.lower() not in _CACHE_PRECISIONS:
        cached = [each for each, meaning in meanings.items() if meaning == "cache_dtype"]
        apart |= {each: f"{each} {served.cache_dtype}" for each in cached}
    return apart
