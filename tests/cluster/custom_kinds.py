"""CustomResourceDefinitions of custom kinds: real names, versions and subresources, and an open schema."""

from __future__ import annotations

from typing import Any, Final

from joulecast_operator.api.kinds import (
    CLUSTER_QUEUES,
    CUSTOM,
    LEADER_WORKER_SETS,
    LLM_INFERENCE_SERVICES,
    LOCAL_QUEUES,
    RESOURCE_FLAVORS,
    Kind,
)

_OF_KUEUE: Final = (LOCAL_QUEUES, CLUSTER_QUEUES, RESOURCE_FLAVORS)
_VERSIONS: Final = {
    LLM_INFERENCE_SERVICES.kind: ("v1alpha1", "v1alpha2"),
    **{kind.kind: ("v1beta1", "v1beta2") for kind in _OF_KUEUE},
}
_SCALE: Final = {
    "specReplicasPath": ".spec.replicas",
    "statusReplicasPath": ".status.replicas",
    "labelSelectorPath": ".status.hpaPodSelector",
}
_SUBRESOURCES: Final = {LEADER_WORKER_SETS.kind: {"status": {}, "scale": _SCALE}}


def definition(kind: Kind) -> dict[str, Any]:
    """Return the CustomResourceDefinition of a kind, whose objects may have any fields."""
    open_object = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    schema = {"type": "object", "properties": {"spec": open_object, "status": open_object}}
    versions = [
        {
            "name": version,
            "served": True,
            "storage": version == kind.version,
            "schema": {"openAPIV3Schema": schema},
            "subresources": _SUBRESOURCES.get(kind.kind, {"status": {}}),
        }
        for version in _VERSIONS.get(kind.kind, (kind.version,))
    ]
    names = {"plural": kind.plural, "singular": kind.kind.lower(), "kind": kind.kind, "listKind": f"{kind.kind}List"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{kind.plural}.{kind.group}",
            "annotations": {"api-approved.kubernetes.io": "unapproved, a stand-in of a test"},
        },
        "spec": {
            "group": kind.group,
            "scope": "Namespaced" if kind.namespaced else "Cluster",
            "names": names,
            "versions": versions,
        },
    }


DEFINITIONS: Final = {name: definition(kind) for name, kind in CUSTOM.items()}
"""The definition of each custom kind, by its name in manifests."""

KUEUE: Final = tuple(definition(kind) for kind in _OF_KUEUE)
"""The definitions of Kueue's queues and flavours."""
