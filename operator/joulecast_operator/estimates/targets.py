"""Find the model that an estimate is about: the one that it names, or the one that its target runs; pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import ValidationError

from joulecast_operator.api import bounds
from joulecast_operator.api.conditions import Waiting, Wrong
from joulecast_operator.api.estimates import EstimateSpec
from joulecast_operator.api.kinds import CUSTOM, TARGETS, Kind
from joulecast_operator.api.models import ConfigMapKey, TargetReference
from joulecast_operator.api.objects import Resource, mapping
from joulecast_operator.api.plans.spec import PlanSpec
from joulecast_operator.estimates.accelerators import accelerator_facts, accelerators_of_workload
from joulecast_operator.estimates.replicas import replicas_of, uncounted
from joulecast_operator.index.index import Index
from joulecast_operator.workloads import discovery
from joulecast_operator.workloads.containers import serving, unserved
from joulecast_operator.workloads.engines.options import ENGINES
from joulecast_operator.workloads.engines.served import ServedModel
from joulecast_operator.workloads.pods import PODS, kind_of
from joulecast_operator.workloads.power_limits import power_limit

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


def target_of(resource: Resource, spec: EstimateSpec | PlanSpec, index: Index) -> Resource | Wrong | None:
    """Return the workload that the spec of ``resource`` refers to, or why there is none; None if it refers to none."""
    target = spec.target_ref
    return None if target is None else workload_of(target, resource["metadata"]["namespace"], index)


def model_of(spec: EstimateSpec | PlanSpec, target: Resource | None) -> FoundModel | Wrong:
    """Return the model that ``spec`` names, or that of its target; or why there is none."""
    if spec.model is not None:
        named = spec.model
        address = configuration_address(named.config_map_ref) if named.config_map_ref else named.image or named.uri
        return FoundModel(
            images=(address or "",), path=named.path, format=named.format, architecture=named.architecture
        )
    if spec.target_ref is None or target is None:
        return Wrong(reason="InvalidSpec", message="spec has neither model nor targetRef: give exactly one")
    return model_of_workload(spec.target_ref.name, target, spec.runtime)


def workload_of(target: TargetReference, namespace: str, index: Index) -> Resource | Wrong:
    """Return the workload of ``namespace`` that ``target`` refers to, or why there is none."""
    kind = TARGETS.get(target.kind)
    if kind is None or not _is_of(kind, target.api_version):
        return _uncovered(target)
    workload = index.workload(kind.kind, namespace, target.name)
    if workload is not None:
        return workload
    if index.is_unreadable(kind.kind, namespace):
        return Wrong(
            reason="TargetForbidden",
            message=f"joulecast may not read {kind.kind}s in namespace {namespace!r}: upgrade joulecast's release,"
            " which gives the right, or give spec.model instead of spec.targetRef",
        )
    if not index.is_served(kind.kind):
        return Wrong(
            reason="TargetKindNotServed",
            message=f"this cluster has no kind {kind.kind} of the API group {kind.group}: install what brings it, or"
            " correct spec.targetRef",
        )
    return Wrong(
        reason="TargetNotFound",
        message=f"there is no {kind.kind} {target.name!r} in namespace {namespace!r}: create it, or correct"
        " spec.targetRef",
    )


def target_reference(resource: Resource) -> TargetReference | None:
    """Return the reference to a target in the spec of an object; None if there is none, or an invalid one."""
    try:
        return TargetReference.model_validate(mapping(resource.get("spec")).get("targetRef"))
    except ValidationError:
        return None


def facts_of(
    target: TargetReference | None, namespace: str, index: Index, results: Sequence[Resource] = ()
) -> dict[str, Any] | None:
    """Return what the status says about the workload that ``target`` refers to; None if there is none.

    ``results``: those that the status has.
    """
    workload = None if target is None else workload_of(target, namespace, index)
    if target is None or workload is None or isinstance(workload, Wrong):
        return None
    model = discovery.model_reference(workload)
    named = {"model": bounds.text(model.reference)} if model else {}
    facts = {"kind": target.kind, "name": target.name, **_counted(workload, results), **named}
    accelerators = accelerators_of_workload(workload, index)
    if isinstance(accelerators, Waiting):
        return facts
    limit = _limit_facts(workload, index, getattr(accelerators, "products", ()))
    return facts | {"accelerators": accelerator_facts(accelerators, results)} | limit


def _counted(workload: Resource, results: Sequence[Resource]) -> dict[str, Any]:
    """Return the pods and replicas of a workload, and why the power of these is not known by the first result."""
    numbers = {"pods": workload.get(PODS), "replicas": replicas_of(workload)}
    why = uncounted(workload, results[0]) if results else ""
    said = {"message": bounds.text(why)} if why else {}
    return {name: number for name, number in numbers.items() if number is not None} | said


def _limit_facts(workload: Resource, index: Index, products: Collection[str]) -> dict[str, Any]:
    """Return what the status says about the power limit of a workload's accelerators; {} if nothing limits them."""
    found = power_limit(workload, index.nodes(), products)
    if isinstance(found, Wrong):
        return {"powerLimit": {"message": bounds.text(found.message)}}
    facts = {"watts": found.watts, "source": found.source, "message": bounds.text(found.note) or None}
    given = {name: value for name, value in facts.items() if value is not None}
    return {"powerLimit": given} if given else {}


def _is_of(kind: Kind, api_version: str | None) -> bool:
    """Tell whether a targetRef with this API version means ``kind``: of a custom kind, any version of its group."""
    if api_version is None or api_version == kind.api_version:
        return True
    return kind.kind in CUSTOM and api_version.startswith(f"{kind.group}/")


def _uncovered(target: TargetReference) -> Wrong:
    named = f"{target.api_version} {target.kind}" if target.api_version else target.kind
    listed = ", ".join(f"{kind.kind} ({kind.api_version})" for kind in TARGETS.values())
    return Wrong(
        reason="TargetKindNotSupported",
        message=f"spec.targetRef names the kind {named}, which joulecast does not cover: name one of {listed}, or give"
        " spec.model instead",
    )


def configuration_address(reference: ConfigMapKey) -> str:
    """Return the text by which statuses and messages name the configuration in a ConfigMap."""
    return f"configmap://{reference.name}/{reference.key}"


def model_of_workload(name: str, workload: Resource, runtime: str | None = None) -> FoundModel | Wrong:
    """Return the model of a workload: that of its annotation, of the container that serves one, else of an image.

    ``runtime``: the runtime that the spec gives, which may stand for an engine that no runtime prices.
    """
    problem = unserved(workload, runtime=runtime)
    if problem is not None:
        return problem
    served = serving(workload)
    if isinstance(served, ServedModel):
        return _of_container(served)
    images = discovery.model_references(workload)
    if images:
        return FoundModel(images=images)
    return Wrong(
        reason="TargetHasNoImage",
        message=f"{kind_of(workload)} {name!r} has no image: annotate it with joulecast.dev/model, or give spec.model",
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
