"""Find out on which nodes Kueue lets a workload run: by the flavours of its queue; pure.

Source: kueue/apis/kueue/v1beta1 and v1beta2, {localqueue,clusterqueue,resourceflavor}_types.go.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

from joulecast_operator.api.kinds import CLUSTER_QUEUES, LOCAL_QUEUES, RESOURCE_FLAVORS
from joulecast_operator.api.objects import Key, Resource, identified, labels_of, mapping, mappings
from joulecast_operator.api.products import GPU
from joulecast_operator.workloads.offers.claims import Objects

QUEUE_LABEL: Final = "kueue.x-k8s.io/queue-name"
_SHOWN: Final = 80  # characters of a tenant's word in a sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class Flavours:
    """What the queue of a workload adds to its pods.

    - ``selectors``: the node labels of each flavour that its GPUs may have, of which Kueue chooses one.
    - ``tolerations``: what the flavours tolerate.
    - ``note``: why there are none although the workload names a queue; "" for nothing.
    """

    selectors: tuple[Resource, ...] = ()
    tolerations: tuple[Resource, ...] = ()
    note: str = ""


def flavours(workload: Resource, asked: Collection[str], objects: Objects) -> Flavours:
    """Return what the queue of a workload adds. ``asked``: the extended resources that its pods ask for."""
    queue = str(labels_of(workload).get(QUEUE_LABEL) or "")
    namespace = str(mapping(workload.get("metadata")).get("namespace") or "")
    if not queue:
        return Flavours()
    local = objects.resource(Key(kind=LOCAL_QUEUES.kind, namespace=namespace, name=queue))
    if local is None:
        return _without(f"LocalQueue {queue[:_SHOWN]!r} in namespace {namespace!r}")
    name = str(local.get("clusterQueue") or "")
    cluster = objects.resource(Key(kind=CLUSTER_QUEUES.kind, namespace="", name=name))
    if cluster is None:
        return _without(f"ClusterQueue {name[:_SHOWN]!r}")
    return _of_groups(mappings(cluster.get("groups")), asked or (GPU,), objects)


def _of_groups(groups: list[Resource], asked: Collection[str], objects: Objects) -> Flavours:
    names = [
        str(name)
        for group in groups
        if set(group.get("resources") or ()) & set(asked)
        for name in group.get("flavours") or ()
    ]
    found = [objects.resource(Key(kind=RESOURCE_FLAVORS.kind, namespace="", name=name)) for name in names]
    missing = next((name for name, flavour in zip(names, found, strict=True) if flavour is None), None)
    if missing is not None:
        return _without(f"ResourceFlavor {missing[:_SHOWN]!r}")
    selectors = tuple(mapping(each.get("labels")) for each in found if each is not None)
    if not any(selectors):
        return Flavours()
    tolerations = tuple(taint for each in found if each is not None for taint in mappings(each.get("tolerations")))
    return Flavours(selectors=selectors, tolerations=tolerations)


def _without(what: str) -> Flavours:
    return Flavours(note=f"Kueue's {what} is not found, so that every node counts")


# -- what is kept of the objects


def local_queue(resource: Resource) -> dict[str, Any]:
    """Return a LocalQueue with the name of its ClusterQueue."""
    return identified(resource, clusterQueue=mapping(resource.get("spec")).get("clusterQueue"))


def cluster_queue(resource: Resource) -> dict[str, Any]:
    """Return a ClusterQueue with the flavours of each group of resources."""
    groups = [
        {
            "resources": [str(each) for each in group.get("coveredResources") or ()],
            "flavours": [str(each.get("name")) for each in mappings(group.get("flavors"))],
        }
        for group in mappings(mapping(resource.get("spec")).get("resourceGroups"))
    ]
    return identified(resource, groups=groups)


def flavour(resource: Resource) -> dict[str, Any]:
    """Return a ResourceFlavor with the labels of its nodes and what its pods tolerate."""
    spec = mapping(resource.get("spec"))
    labels, tolerations = dict(mapping(spec.get("nodeLabels"))), mappings(spec.get("tolerations"))
    return identified(resource, labels=labels, tolerations=tolerations)
