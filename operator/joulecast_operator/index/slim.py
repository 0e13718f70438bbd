"""Reduce the objects of each kind to the fields that the process reads, whatever else a user has written into them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from joulecast_operator.api.annotations import ESTIMATE, PREFIX, WRITTEN_LABEL, annotations_of
from joulecast_operator.api.kinds import (
    CLAIM_TEMPLATES,
    CLAIMS,
    CLUSTER_QUEUES,
    CUSTOM,
    DEPLOYMENTS,
    DEVICE_CLASSES,
    LOCAL_QUEUES,
    MANAGED_BY_LABEL,
    RESOURCE_FLAVORS,
    RESOURCE_SLICES,
    Kind,
)
from joulecast_operator.api.objects import Resource, labels_of, mapping, mappings
from joulecast_operator.api.workload import CLOCK_FIELD
from joulecast_operator.index.stores import Link
from joulecast_operator.workloads import discovery, placement, pods, power_limits
from joulecast_operator.workloads.containers import DECLARES, reference
from joulecast_operator.workloads.custom.table import as_workload
from joulecast_operator.workloads.engines import served
from joulecast_operator.workloads.offers import claims, queues
from joulecast_operator.workloads.offers.queues import QUEUE_LABEL

DEVICES: Final = "nvidia.com/"
"""Beginning of the names of a node's resources that NVIDIA's device plugin reports."""

MODEL: Final = "model"
TARGET: Final = "target "
MADE: Final = "made for "
NAMED: Final = "estimate"
"""Kinds of links, the first part of a ``Link``: an image or address of a model, a target workload, a workload that
joulecast created the estimate for, and an estimate that a workload names. The kind of the workload follows TARGET and
MADE."""

_IDENTITY: Final = ("name", "namespace", "uid", "resourceVersion", "ownerReferences")
_AGES: Final = ("generation", "creationTimestamp", "deletionTimestamp")
_NOISE: Final = "kubectl.kubernetes.io/last-applied-configuration"

# the fields that annotations and warnings at admission, and the choice among estimates, are made from
_ADMISSION_SPEC: Final = ("targetRef", "runtime", "accelerators")
_ADMISSION_WORKLOAD: Final = (
    "batchSizes", "precision", "phase", "concurrency", "inputTokens", "outputTokens", "tensorParallel",
    "powerLimitWatts", CLOCK_FIELD,
)  # fmt: skip
_ADMISSION_STATUS: Final = ("observedGeneration", "image", "modelDigest", "estimatedAt")
_ADMISSION_UNDERSTOOD: Final = ("engine",)
_ADMISSION_SUMMARY: Final = ("accelerator", "batchSize")
_ADMISSION_RESULT: Final = (
    "accelerator", "runtime", "precision", "batchSize", "phase", "concurrency", "inputTokens", "outputTokens",
    "cachedTokens", "parallel", "powerLimitWatts", CLOCK_FIELD, "joulesPerBatch", "joulesPerBatchLower",
    "joulesPerBatchUpper", "joulesPerRequest", "joulesPerRequestLower", "joulesPerRequestUpper", "joulesPerInputToken",
    "joulesPerOutputToken", "joulesPerOutputTokenLower", "joulesPerOutputTokenUpper", "averagePowerWatts", "coverage",
    "origin",
)  # fmt: skip
_ADMISSION_CONDITION: Final = ("type", "status", "reason", "message", "observedGeneration")


def without_noise(resource: Resource) -> Resource:
    """Return an object without the fields that field managers and kubectl write for themselves."""
    metadata = {key: value for key, value in mapping(resource.get("metadata")).items() if key != "managedFields"}
    if _NOISE in (metadata.get("annotations") or {}):
        metadata["annotations"] = {key: value for key, value in metadata["annotations"].items() if key != _NOISE}
    return {**resource, "metadata": metadata}


def estimate(resource: Resource) -> Resource:
    """Return an estimate with its whole spec and status, which the controller compares, and the metadata it reads."""
    kept = {key: resource[key] for key in ("spec", "status") if key in resource}
    return {"metadata": _estimate_metadata(resource)} | kept


def admission_estimate(resource: Resource) -> Resource:
    """Return an estimate with the fields that the webhook reads."""
    spec, status = mapping(resource.get("spec")), mapping(resource.get("status"))
    model, workload = mapping(spec.get("model")), mapping(spec.get("workload"))
    kept_spec = _some(spec, _ADMISSION_SPEC)
    if model:
        kept_spec["model"] = _some(model, ("image", "uri"))
    if workload:
        kept_spec["workload"] = _some(workload, _ADMISSION_WORKLOAD)
    kept_status = _some(status, _ADMISSION_STATUS)
    if "summary" in status:
        kept_status["summary"] = _some(mapping(status["summary"]), _ADMISSION_SUMMARY)
    if "understood" in status:
        kept_status["understood"] = _some(mapping(status["understood"]), _ADMISSION_UNDERSTOOD)
    kept_status["results"] = [_some(row, _ADMISSION_RESULT) for row in mappings(status.get("results"))]
    kept_status["conditions"] = _ready_conditions(status)
    return {"metadata": _estimate_metadata(resource), "spec": kept_spec, "status": kept_status}


def admission_plan(resource: Resource) -> Resource:
    """Return a plan with the fields that the webhook reads."""
    spec, status = mapping(resource.get("spec")), mapping(resource.get("status"))
    return {
        "metadata": _estimate_metadata(resource),
        "spec": _some(spec, ("targetRef",)),
        "status": {
            **_some(status, ("observedGeneration", "image", "today", "saving", "choice")),
            "summary": _some(mapping(status.get("summary")), ("choice",)),
            "conditions": _ready_conditions(status),
        },
    }


def site_of_plan(resource: Resource) -> str:
    """Return the name of the EnergySite that prices a plan; "" if none does."""
    return str(mapping(mapping(resource.get("status")).get("cost")).get("site") or "")


def _ready_conditions(status: Resource) -> list[dict[str, Any]]:
    return [
        _some(each, _ADMISSION_CONDITION) for each in mappings(status.get("conditions")) if each.get("type") == "Ready"
    ]


def workload(kind: Kind, resource: Resource) -> Resource:
    """Return a workload of ``kind`` with what ``discovery`` reads: identity, owners and joulecast's annotations, and
    from the pod template images, containers that serve a language model, pull secrets, ServiceAccount and accelerators;
    and with the number of pods that it asks for, of a custom kind also of replicas."""
    kept = _some(resource.get("metadata") or {}, _IDENTITY)
    kept["annotations"] = _our_annotations(resource)
    kept |= _queue(resource)
    named = _in_one_form(kind, resource)
    pod = pods.pod_spec(named)
    template = {
        **served.kept(pod),
        "initContainers": [{"image": each.get("image")} for each in pod.get("initContainers") or ()],
        "imagePullSecrets": pod.get("imagePullSecrets") or (),
        **({"serviceAccountName": pod["serviceAccountName"]} if pod.get("serviceAccountName") else {}),
        **placement.kept(pod),
    }
    counted = _some(named, (pods.PODS, pods.REPLICAS, pods.CARDS))
    declared, limit = _some(named, (DECLARES,)), power_limits.of_pods(named)
    noted = {"metadata": {"annotations": {power_limits.POD_LIMIT: limit}}} if limit else {}
    found = {"kind": kind.kind, "metadata": kept, **pods.with_template(kind.kind, {"spec": template, **noted})}
    return found | declared | counted


def _in_one_form(kind: Kind, resource: Resource) -> Resource:
    """Return a workload with its kind, its pod template where ``pods`` finds it, and the pods that it asks for."""
    if kind.kind in CUSTOM:
        return as_workload(kind, resource)
    named = {**resource, "kind": kind.kind}
    asked = pods.pods_asked_for(named)
    return named if asked is None else {**named, pods.PODS: asked}


def _queue(resource: Resource) -> dict[str, Any]:
    """Return the label of a workload that names its queue, as a part of its metadata."""
    named = _some(labels_of(resource), (QUEUE_LABEL,))
    return {"labels": named} if named else {}


OFFERED: Final[Mapping[str, Callable[[Resource], Resource]]] = {
    CLAIMS.kind: claims.claim,
    CLAIM_TEMPLATES.kind: claims.claim_template,
    DEVICE_CLASSES.kind: claims.device_class,
    RESOURCE_SLICES.kind: claims.resource_slice,
    LOCAL_QUEUES.kind: queues.local_queue,
    CLUSTER_QUEUES.kind: queues.cluster_queue,
    RESOURCE_FLAVORS.kind: queues.flavour,
}
"""What is kept of the kinds that say which accelerators a workload may get."""


def node(resource: Resource) -> Resource:
    """Return a node with its labels, its number of GPUs, its lasting taints, and the addresses that fetchers may not
    connect to."""
    spec, status = mapping(resource.get("spec")), mapping(resource.get("status"))
    devices = {name: count for name, count in (status.get("allocatable") or {}).items() if name.startswith(DEVICES)}
    addresses = [_some(each, ("address",)) for each in mappings(status.get("addresses"))]
    ranges, taints = list(spec.get("podCIDRs") or ()), placement.lasting_taints(resource)
    kept_spec = ({"podCIDRs": ranges} if ranges else {}) | ({"taints": taints} if taints else {})
    kept_status = ({"allocatable": devices} if devices else {}) | ({"addresses": addresses} if addresses else {})
    kept = {"metadata": _some(resource.get("metadata") or {}, ("name", "uid", "resourceVersion", "labels"))}
    return kept | ({"status": kept_status} if kept_status else {}) | ({"spec": kept_spec} if kept_spec else {})


def namespace(resource: Resource) -> Resource:
    """Return a namespace with the label that says whether its workloads are annotated."""
    metadata = mapping(resource.get("metadata"))
    kept = _some(metadata, ("name", "uid", "resourceVersion"))
    return {"metadata": kept | {"labels": _some(mapping(metadata.get("labels")), (WRITTEN_LABEL,))}}


def estimate_links(resource: Resource) -> Iterable[Link]:
    """Yield the links by which an estimate is found: the workload that it targets, or its model's image or address."""
    spec, namespace = mapping(resource.get("spec")), _namespace(resource)
    target, model = mapping(spec.get("targetRef")), model_of(resource)
    if target.get("name"):
        kind = str(target.get("kind") or DEPLOYMENTS.kind)
        yield TARGET + kind, namespace, str(target["name"])
        if discovery.is_made(resource):
            yield MADE + kind, namespace, str(target["name"])
    if model:
        yield MODEL, namespace, model


def plan_links(resource: Resource) -> Iterable[Link]:
    """Yield the link by which a plan is found: the workload that it targets."""
    target = mapping(mapping(resource.get("spec")).get("targetRef"))
    if target.get("name"):
        yield TARGET + str(target.get("kind") or DEPLOYMENTS.kind), _namespace(resource), str(target["name"])


def model_of(estimate: Resource) -> str:
    """Return the image or address of the model that an estimate names; "" if it names none."""
    model = mapping(mapping(estimate.get("spec")).get("model"))
    return reference(str(model.get("image") or model.get("uri") or ""))


def workload_links(resource: Resource) -> Iterable[Link]:
    """Yield the links by which a workload is found: each image or address that may be its model, and the estimate
    that it names."""
    namespace = _namespace(resource)
    for model in discovery.models(resource):
        yield MODEL, namespace, model.reference
    named = annotations_of(resource).get(ESTIMATE, "").strip()
    if named:
        yield NAMED, namespace, named


def _estimate_metadata(resource: Resource) -> dict[str, Any]:
    metadata = mapping(resource.get("metadata"))
    kept = _some(metadata, (*_IDENTITY, *_AGES))
    labels, notes = mapping(metadata.get("labels")), _our_annotations(resource)
    if MANAGED_BY_LABEL in labels:
        kept["labels"] = {MANAGED_BY_LABEL: labels[MANAGED_BY_LABEL]}
    return kept | ({"annotations": notes} if notes else {})


def _our_annotations(resource: Resource) -> dict[str, str]:
    return {key: value for key, value in annotations_of(resource).items() if key.startswith(PREFIX)}


def _namespace(resource: Resource) -> str:
    return str(mapping(resource.get("metadata")).get("namespace") or "")


def _some(whole: Resource, names: Iterable[str]) -> dict[str, Any]:
    return {name: whole[name] for name in names if name in whole}
