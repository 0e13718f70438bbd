"""Collect the inputs of a forecast from an estimate and the objects of the cluster, as a request; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import ValidationError

from joulecast.serving.kernels import graph_runtime
from joulecast.workloads import DEFAULT_INPUT_TOKENS, DEFAULT_PRECISION
from joulecast_operator.api.annotations import REFRESH, annotations_of
from joulecast_operator.api.conditions import Waiting, Wrong, invalid_spec
from joulecast_operator.api.estimates import MAXIMUM_RESULTS, Accelerators, EstimateSpec, InferenceEnergyEstimate
from joulecast_operator.api.objects import Resource, labels_of
from joulecast_operator.api.parts import Part
from joulecast_operator.api.products import PRODUCT_LABEL, product_named
from joulecast_operator.api.workload import DEFAULT_OUTPUT_TOKENS, WorkloadSpec, quantity
from joulecast_operator.cluster.model_objects import ReadObjects
from joulecast_operator.estimates.accelerators import accelerators_of_workload
from joulecast_operator.estimates.request import ForecastRequest
from joulecast_operator.estimates.targets import FoundModel, model_of
from joulecast_operator.index.index import Index
from joulecast_operator.profiles.usable import Override
from joulecast_operator.workloads.power_limits import power_limit

Validated = TypeVar("Validated", bound=Part)


def spec_of(estimate: Resource) -> EstimateSpec | Wrong:
    """Return the validated spec of an estimate."""
    found = validated(InferenceEnergyEstimate, estimate, "estimate")
    return found if isinstance(found, Wrong) else found.spec


def validated(model: type[Validated], resource: Resource, what: str) -> Validated | Wrong:
    """Return an object as ``model``. It is validated again, because it may be older than the present CRD."""
    try:
        return model.model_validate(resource)
    except ValidationError as error:
        return invalid_spec(error, f"correct it and apply the {what} again")


def request_of(
    estimate: Resource,
    spec: EstimateSpec,
    index: Index,
    overrides: Iterable[Override],
    credentials: ReadObjects,
    target: Resource | None,
) -> ForecastRequest | Waiting | Wrong:
    """Return the request for a forecast, or the reason why none can be made. ``target``: the workload that targetRef
    names; None if it names none."""
    model = model_of(spec, target)
    if isinstance(model, Wrong):
        return model
    chosen = chosen_accelerators(spec, target, index)
    if isinstance(chosen, (Waiting, Wrong)):
        return chosen
    accelerators = chosen.products
    batch_sizes = tuple(spec.workload.batch_sizes or (None,))
    if len(accelerators) * len(batch_sizes) > MAXIMUM_RESULTS:
        return _too_many(f"{len(accelerators)} accelerators × {len(batch_sizes)} batch sizes")
    if (wrong := _too_long(spec.workload, model)) is not None:
        return wrong
    limit = _power_limit(spec, target, index, accelerators)
    if isinstance(limit, Wrong):
        return limit
    precision, runtime = spec.workload.precision, spec.runtime or model.runtime
    return ForecastRequest(
        image=model.images[0],
        alternatives=model.images[1:],
        path=model.path,
        format=model.format,
        configuration=credentials.configuration,
        architecture=model.architecture,
        batch_sizes=batch_sizes,
        input_shapes=spec.workload.input_shapes,
        input_values=spec.workload.input_values,
        phase=spec.workload.phase,
        generation=generation_of(spec.workload, model),
        precision=(model.precision or precision) if precision == DEFAULT_PRECISION else precision,
        cache_precision=spec.workload.cache_precision or model.cache_precision or DEFAULT_PRECISION,
        power_limit_watts=limit,
        clock_mhz=spec.workload.clock_mhz,
        runtime=runtime,
        understood=model.understood,
        accelerators=accelerators,
        dearest_first=chosen.is_range,
        overrides=tuple(_relevant(overrides, accelerators, runtime)),
        docker_config=credentials.pull.docker_config,
        token=credentials.token,
        object_keys=credentials.object_keys,
        missing_secrets=credentials.pull.missing,
        refresh=refresh_of(estimate, target),
    )


def generation_of(workload: WorkloadSpec, model: FoundModel) -> dict[str, Any]:
    """Return the fields of a GenerationRequest that the spec gives, else those that the target's container says.

    An engine lets requests wait beyond those that it works on at once.
    """
    names = ("input_tokens", "output_tokens", "cached_tokens", "concurrency", "tensor_parallel")
    asked = {name: value for name in names if (value := getattr(workload, name)) is not None}
    if model.most_sequences is not None and "concurrency" in asked:
        asked["concurrency"] = min(asked["concurrency"], model.most_sequences)
    if workload.requests_per_second is not None:
        asked["requests_per_second"] = quantity(workload.requests_per_second)
    return {**model.generation, **asked}


def _too_long(workload: WorkloadSpec, model: FoundModel) -> Wrong | None:
    """Return why the target's engine refuses requests of this length; None if it takes them."""
    tokens = workload.input_tokens or DEFAULT_INPUT_TOKENS, workload.output_tokens or DEFAULT_OUTPUT_TOKENS
    if model.longest is None or workload.phase == "forward" or sum(tokens) <= model.longest:
        return None
    return Wrong(
        reason="InvalidWorkload",
        message=f"the target's engine takes at most {model.longest} tokens of a request, and {tokens[0]} of input and"
        f" {tokens[1]} of output are more: give fewer in spec.workload, or let the engine take more",
    )


def _too_many(product: str) -> Wrong:
    return Wrong(
        reason="TooManyResults",
        message=f"{product} give more than {MAXIMUM_RESULTS} results: name fewer accelerators or batch sizes",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenAccelerators:
    """The accelerators to forecast for.

    - ``products``: their product names.
    - ``is_range``: whether the target may run on each of them, so that the one that needs most energy decides.
    """

    products: tuple[str, ...]
    is_range: bool = False


def chosen_accelerators(
    spec: EstimateSpec, target: Resource | None, index: Index
) -> ChosenAccelerators | Waiting | Wrong:
    """Return the accelerators that the spec names or selects, else those of the target, else those of all nodes."""
    if target is None or spec.accelerators is not None:
        found = accelerators_of(spec.accelerators, index)
        return found if isinstance(found, Waiting) else ChosenAccelerators(products=found)
    of_target = accelerators_of_workload(target, index)
    if isinstance(of_target, (Waiting, Wrong)):
        return of_target
    return ChosenAccelerators(products=of_target.products, is_range=len(of_target.products) > 1)


def _power_limit(
    spec: EstimateSpec, target: Resource | None, index: Index, products: Sequence[str]
) -> int | Wrong | None:
    """Return the power limit that the spec gives, else that of the target; none where the spec locks the clock."""
    given = spec.workload.power_limit_watts
    if given is not None or spec.workload.clock_mhz is not None or target is None:
        return given
    found = power_limit(target, index.nodes(), products)
    return found if isinstance(found, Wrong) else found.watts


def accelerators_of(
    chosen: Accelerators | None, index: Index, *, field: str = "spec.accelerators"
) -> tuple[str, ...] | Waiting:
    """Return product names without duplicates: those given, else those of the selected nodes, else of all nodes.

    ``field``: where they are chosen, for the message.
    """
    if chosen is not None and chosen.names:
        return tuple(dict.fromkeys(map(product_named, chosen.names)))
    selector = chosen.node_selector if chosen else None
    wanted = selector.match_labels if selector else {}
    products = sorted({product for node in index.nodes() if (product := product_of(node, wanted))})
    if products:
        return tuple(products)
    which = f"that {field}.nodeSelector selects" if wanted else "of this cluster"
    return Waiting(
        reason="NoAccelerator",
        message=f"no node {which} carries the label {PRODUCT_LABEL}: name products in {field}.names, or add such"
        " a node",
    )


def product_of(node: Resource, wanted: Mapping[str, str]) -> str | None:
    """Return the GPU product of a node that carries the ``wanted`` labels; None if it has none or lacks a label."""
    labels = labels_of(node)
    if any(labels.get(key) != value for key, value in wanted.items()):
        return None
    label = labels.get(PRODUCT_LABEL)
    return product_named(label) if label else None


def refresh_of(estimate: Resource, target: Resource | None) -> str:
    """Return the annotations `refresh` of an object and its target; a change asks for a new look-up of the tag."""
    asking = (annotations_of(each or {}).get(REFRESH, "") for each in (estimate, target))
    return "\n".join(text for text in asking if text)


def _relevant(overrides: Iterable[Override], accelerators: Sequence[str], runtime: str | None) -> Iterable[Override]:
    """Return the profiles of the requested accelerators and runtime; engines have none of their own."""
    wanted = graph_runtime(runtime)
    return (each for each in overrides if each.runtime == wanted and each.product in accelerators)
