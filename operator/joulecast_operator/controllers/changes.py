"""Return of an object what decides whether a change of it concerns other objects; None for an absent object; pure."""

from __future__ import annotations

from typing import Any

from joulecast_operator.api.annotations import REST_UNTIL, annotations_of
from joulecast_operator.api.annotations import outputs as outputs_among
from joulecast_operator.api.objects import Resource
from joulecast_operator.workloads import discovery
from joulecast_operator.workloads.pods import CARDS, PODS, REPLICAS


def labels(resource: Resource | None) -> Any:
    """Return the labels of a node or namespace."""
    return ((resource or {}).get("metadata") or {}).get("labels")


def devices(node: Resource | None) -> Any:
    """Return the GPUs of a node."""
    return ((node or {}).get("status") or {}).get("allocatable")


def taints(node: Resource | None) -> Any:
    """Return the taints of a node that keep pods away."""
    return ((node or {}).get("spec") or {}).get("taints")


def inputs(workload: Resource | None) -> tuple[str, str, Any] | None:
    """Return what the forecast of a workload depends on, and which object it is and whose."""
    if workload is None:
        return None
    owners = workload["metadata"].get("ownerReferences")
    return discovery.inputs_hash(workload), workload["metadata"]["uid"], owners


def pods(workload: Resource | None) -> Any:
    """Return how many pods a workload asks for, how many replicas these are, and the GPUs of one."""
    return None if workload is None else tuple(map(workload.get, (PODS, REPLICAS, CARDS)))


def outputs(workload: Resource | None) -> Any:
    """Return the annotations that joulecast writes."""
    return outputs_among(annotations_of(workload)) if workload else None


def rest(controller: Resource | None) -> str | None:
    """Return until when the controller's own Deployment asks it to write nothing."""
    return annotations_of(controller or {}).get(REST_UNTIL)
