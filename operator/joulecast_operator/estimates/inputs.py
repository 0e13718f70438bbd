"""Collect the inputs of a forecast from an estimate and the objects of the cluster, as a request; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pydantic import ValidationError

from joulecast.workloads import DEFAULT_RUNTIME
from joulecast_operator.api.annotations import REFRESH, annotations_of
from joulecast_operator.api.conditions import Waiting, Wrong
from joulecast_operator.api.estimates import MAXIMUM_RESULTS, EstimateSpec, InferenceEnergyEstimate
from joulecast_operator.api.objects import Resource
from joulecast_operator.api.products import PRODUCT_LABEL, product_named
from joulecast_operator.cluster.access import PullCredentials
from joulecast_operator.estimates.request import ForecastRequest
from joulecast_operator.index.index import Index
from joulecast_operator.profiles.usable import Override
from joulecast_operator.workloads import discovery


def spec_of(estimate: Resource) -> EstimateSpec | Wrong:
    """Return the validated spec. It is validated again, because the object may be older than the present CRD."""
    try:
        return InferenceEnergyEstimate.model_validate(estimate).spec
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in problem["loc"])
        return Wrong(
            reason="InvalidSpec", message=f"{place}: {problem['msg']}; correct it and apply the estimate again"
        )


def request_of(
    estimate: Resource, spec: EstimateSpec, index: Index, overrides: Iterable[Override], credentials: PullCredentials
) -> ForecastRequest | Waiting | Wrong:
    """Return the request for a forecast, or the reason why none can be made."""
    images = images_of(estimate, spec, index)
    if not isinstance(images, tuple):
        return images
    accelerators = accelerators_of(spec, index)
    if not isinstance(accelerators, tuple):
        return accelerators
    batch_sizes = tuple(spec.workload.batch_sizes or (None,))
    if len(accelerators) * len(batch_sizes) > MAXIMUM_RESULTS:
        return Wrong(
            reason="TooManyResults",
            message=f"{len(accelerators)} accelerators × {len(batch_sizes)} batch sizes give more than"
            f" {MAXIMUM_RESULTS} results: name fewer accelerators or batch sizes",
        )
    return ForecastRequest(
        image=images[0],
        alternatives=images[1:],
        path=spec.model.path if spec.model else None,
        format=spec.model.format if spec.model else None,
        batch_sizes=batch_sizes,
        input_shapes=spec.workload.input_shapes,
        input_values=spec.workload.input_values,
        precision=spec.workload.precision,
        runtime=spec.runtime or DEFAULT_RUNTIME,
        accelerators=accelerators,
        overrides=tuple(_relevant(overrides, accelerators, spec.runtime or DEFAULT_RUNTIME)),
        docker_config=credentials.docker_config,
        missing_secrets=credentials.missing,
        refresh=_refresh(estimate, spec, index),
    )


def images_of(estimate: Resource, spec: EstimateSpec, index: Index) -> tuple[str, ...] | Wrong:
    """Return the images that may hold the model: the spec's own, or those of the target, the most likely first."""
    if spec.model is not None and (spec.model.image or spec.model.uri):
        return (spec.model.image or spec.model.uri or "",)
    if spec.target_ref is None:
        return Wrong(reason="InvalidSpec", message="spec has neither model nor targetRef: give exactly one")
    namespace, name = estimate["metadata"]["namespace"], spec.target_ref.name
    deployment = index.deployment(namespace, name)
    if deployment is None:
        return Wrong(
            reason="TargetNotFound",
            message=f"there is no Deployment {name!r} in namespace {namespace!r}: create it, or correct spec.targetRef",
        )
    found = discovery.model_references(deployment)
    if not found:
        return Wrong(
            reason="TargetHasNoImage",
            message=f"Deployment {name!r} has no image: annotate it with joulecast.dev/model, or give spec.model",
        )
    return found


def accelerators_of(spec: EstimateSpec, index: Index) -> tuple[str, ...] | Waiting:
    """Return product names without duplicates: those given, else those of the selected nodes, else of all nodes."""
    if spec.accelerators is not None and spec.accelerators.names:
        return tuple(dict.fromkeys(map(product_named, spec.accelerators.names)))
    selector = spec.accelerators.node_selector if spec.accelerators else None
    wanted = selector.match_labels if selector else {}
    products = sorted({product for node in index.nodes() if (product := product_of(node, wanted))})
    if products:
        return tuple(products)
    which = "that spec.accelerators.nodeSelector selects" if wanted else "of this cluster"
    return Waiting(
        reason="NoAccelerator",
        message=f"no node {which} carries the label {PRODUCT_LABEL}: name products in spec.accelerators.names,"
        " or add such a node",
    )


def product_of(node: Resource, wanted: Mapping[str, str]) -> str | None:
    """Return the GPU product of a node that carries the ``wanted`` labels; None if it has none or lacks a label."""
    labels = (node.get("metadata") or {}).get("labels") or {}
    if any(labels.get(key) != value for key, value in wanted.items()):
        return None
    label = labels.get(PRODUCT_LABEL)
    return product_named(label) if label else None


def _refresh(estimate: Resource, spec: EstimateSpec, index: Index) -> str:
    """Return the annotations `refresh` of the estimate and its target; a change asks for a new look-up of the tag."""
    namespace, target = estimate["metadata"]["namespace"], spec.target_ref
    workload = index.deployment(namespace, target.name) if target else None
    asking = (annotations_of(each or {}).get(REFRESH, "") for each in (estimate, workload))
    return "\n".join(text for text in asking if text)


def _relevant(overrides: Iterable[Override], accelerators: Sequence[str], runtime: str) -> Iterable[Override]:
    """Return the profiles of the requested accelerators and runtime."""
    return (each for each in overrides if each.runtime == runtime and each.product in accelerators)
