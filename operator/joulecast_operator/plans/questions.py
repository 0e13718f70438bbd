"""Collect what a plan asks from its spec and the objects of the cluster, as a request; pure."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Final

from joulecast.planning.settings import LIMIT_SHARES, LIMITS
from joulecast.serving.kernels import graph_runtime
from joulecast.serving.requests import DEGREES
from joulecast.workloads import DEFAULT_PRECISION
from joulecast_operator.api.conditions import Waiting, Wrong
from joulecast_operator.api.objects import Resource
from joulecast_operator.api.plans.resource import EnergyPlan
from joulecast_operator.api.plans.spec import MAXIMUM_CANDIDATES, SIZES, PlanCandidates, PlanSpec, PlanSplit, Slo
from joulecast_operator.api.products import product_named
from joulecast_operator.api.workload import quantity
from joulecast_operator.cluster.model_objects import ReadObjects
from joulecast_operator.estimates.inputs import accelerators_of, refresh_of, validated
from joulecast_operator.estimates.request import ForecastRequest
from joulecast_operator.estimates.targets import FoundModel, model_of
from joulecast_operator.index.index import Index
from joulecast_operator.plans.status import UNIT_NAMES
from joulecast_operator.plans.today import today_of
from joulecast_operator.profiles.usable import Override

_TOKENS: Final = ("input_tokens", "output_tokens", "cached_tokens")


def spec_of(plan: Resource) -> PlanSpec | Wrong:
    """Return the validated spec of a plan."""
    found = validated(EnergyPlan, plan, "plan")
    return found if isinstance(found, Wrong) else found.spec


def request_of(
    plan: Resource,
    spec: PlanSpec,
    index: Index,
    overrides: Iterable[Override],
    credentials: ReadObjects,
    target: Resource | None,
) -> ForecastRequest | Waiting | Wrong:
    """Return the request for a plan, or the reason why none can be made. ``target``: the workload that targetRef names;
    None if it names none."""
    model = model_of(spec, target)
    if isinstance(model, Wrong):
        return model
    products = _products(spec, index)
    if isinstance(products, Waiting):
        return products
    question = _question(spec, model, target, index)
    count = _count(spec, len(products))
    if count > MAXIMUM_CANDIDATES:
        return _too_many(count)
    runtime, candidates = spec.runtime or model.runtime, _candidates(spec)
    priced = {*products, *([question["today"]["accelerator"]] if question.get("today") else [])}
    wanted = graph_runtime(runtime)
    return ForecastRequest(
        image=model.images[0],
        alternatives=model.images[1:],
        path=model.path,
        format=model.format,
        configuration=credentials.configuration,
        architecture=model.architecture,
        batch_sizes=(None, *(candidates.batch_sizes or ())),
        input_shapes=spec.workload.input_shapes,
        input_values=spec.workload.input_values,
        phase=spec.workload.phase,
        generation=_generation(spec, model),
        cache_precision=spec.workload.cache_precision or model.cache_precision or DEFAULT_PRECISION,
        runtime=runtime,
        accelerators=products,
        overrides=tuple(each for each in overrides if each.runtime == wanted and each.product in priced),
        docker_config=credentials.pull.docker_config,
        token=credentials.token,
        object_keys=credentials.object_keys,
        missing_secrets=credentials.pull.missing,
        question=question,
        refresh=refresh_of(plan, target),
    )


def _products(spec: PlanSpec, index: Index) -> tuple[str, ...] | Waiting:
    if spec.split is not None:
        return tuple(dict.fromkeys(map(product_named, spec.split.between)))
    chosen = spec.candidates.accelerators if spec.candidates else None
    return accelerators_of(chosen, index, field="spec.candidates.accelerators")


def _question(spec: PlanSpec, model: FoundModel, target: Resource | None, index: Index) -> dict[str, Any]:
    if spec.split is not None:
        return {"split": _split(spec.split)}
    candidates = _candidates(spec)
    today = today_of(spec, model, target, index)
    return {
        "batch_sizes": list(candidates.batch_sizes or ()),
        "concurrencies": list(candidates.concurrencies or ()),
        "precisions": list(candidates.precisions or (model.precision or DEFAULT_PRECISION,)),
        "tensor_parallel": list(candidates.tensor_parallel or ()),
        "power_limits_watts": list(candidates.power_limits_watts or ()),
        "clocks_mhz": list(candidates.clocks_mhz or ()),
        "try_power_limits": candidates.try_power_limits,
        "objective": _objective(spec),
        "today": today.setting,
        "notes": list(today.notes),
    }


def _candidates(spec: PlanSpec) -> PlanCandidates:
    """Return what the plan may choose from; with nothing given if the spec says nothing."""
    return spec.candidates or PlanCandidates.model_validate({})


def _split(split: PlanSplit) -> dict[str, Any]:
    link = split.link
    return {
        "between": [product_named(each) for each in split.between],
        "batch_size": split.batch_size,
        "precision": split.precision,
        "link": {
            "megabits_per_second": link.megabits_per_second,
            "nanojoules_per_byte": link.nanojoules_per_byte,
            "over": link.over,
            "latency_microseconds": link.latency_microseconds,
        },
    }


def _objective(spec: PlanSpec) -> dict[str, Any]:
    """Return the fields of an Objective of the library that are given."""
    slo = spec.slo or Slo.model_validate({})
    limits = {name: value for name in LIMITS if (value := getattr(slo, name)) is not None}
    rate = {} if spec.requests_per_second is None else {"requests_per_second": quantity(spec.requests_per_second)}
    return limits | rate | ({"unit": UNIT_NAMES[spec.counted_by]} if spec.counted_by else {})


def _generation(spec: PlanSpec, model: FoundModel) -> dict[str, Any]:
    """Return the fields of a GenerationRequest that are given; concurrency and degree are what is planned."""
    asked = {name: value for name in _TOKENS if (value := getattr(spec.workload, name)) is not None}
    return {name: value for name, value in model.generation.items() if name != "tensor_parallel"} | asked


def _count(spec: PlanSpec, accelerators: int) -> int:
    """Return how many settings are priced at most; of a model that may be no language model, as if it were one."""
    candidates = _candidates(spec)
    if spec.split is not None:
        return 0
    degrees = len(candidates.tensor_parallel or ()) or (1 if candidates.batch_sizes else len(DEGREES))
    axes = (
        accelerators,
        len(candidates.batch_sizes or candidates.concurrencies or ()) or SIZES,
        len(candidates.precisions or ()) or 1,
        degrees,
        1 + len(candidates.power_limits_watts or ()) + len(candidates.clocks_mhz or ()),
    )
    return math.prod(axes) + (len(LIMIT_SHARES) if candidates.try_power_limits else 0)


def _too_many(count: int) -> Wrong:
    return Wrong(
        reason="TooManyCandidates",
        message=f"the candidates are {count} settings, and a plan prices at most {MAXIMUM_CANDIDATES}: name fewer"
        " accelerators, batch sizes or concurrencies, precisions, tensorParallel or caps in spec.candidates, or make"
        " several plans",
    )
