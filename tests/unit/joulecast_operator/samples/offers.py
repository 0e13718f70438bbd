"""Make the objects that say which accelerators a workload may get: resource claims, and Kueue's queues."""

from __future__ import annotations

from typing import Any

from joulecast_operator.api.kinds import (
    CLAIM_TEMPLATES,
    CLAIMS,
    CLUSTER_QUEUES,
    DEVICE_CLASSES,
    LOCAL_QUEUES,
    RESOURCE_FLAVORS,
    RESOURCE_SLICES,
    Kind,
)

DRIVER = "gpu.nvidia.com"
OF_CLASS = "device.driver == 'gpu.nvidia.com' && device.attributes['gpu.nvidia.com'].type == 'gpu'"
"""The selector of the DeviceClass that NVIDIA's driver installs."""


def product_is(name: str) -> str:
    return f"device.attributes['gpu.nvidia.com'].productName == '{name}'"


def named(kind: Kind, name: str, spec: dict[str, Any], namespace: str = "shop") -> dict[str, Any]:
    """Return an object of ``kind``, as it is applied."""
    metadata = {"name": name} | ({"namespace": namespace} if kind.namespaced else {})
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, "spec": spec}


def selectors(*expressions: str) -> list[dict[str, Any]]:
    return [{"cel": {"expression": each}} for each in expressions]


def device_class(*expressions: str, name: str = DRIVER) -> dict[str, Any]:
    return named(DEVICE_CLASSES, name, {"selectors": selectors(*(expressions or (OF_CLASS,)))})


def requests(*expressions: str, of: str = DRIVER) -> dict[str, Any]:
    """Return the spec of a claim with one request."""
    exactly = {"deviceClassName": of, "allocationMode": "ExactCount", "count": 1, "selectors": selectors(*expressions)}
    return {"devices": {"requests": [{"name": "gpu", "exactly": exactly}]}}


def claim(*expressions: str, name: str = "card", namespace: str = "shop") -> dict[str, Any]:
    return named(CLAIMS, name, requests(*expressions), namespace)


def claim_template(*expressions: str, name: str = "cards", namespace: str = "shop") -> dict[str, Any]:
    return named(CLAIM_TEMPLATES, name, {"spec": requests(*expressions)}, namespace)


def resource_slice(node: str, product: str, *, kind: str = "gpu", number: int = 8) -> dict[str, Any]:
    """Return the ResourceSlice of a node, as NVIDIA's driver publishes it."""
    common = {
        "type": {"string": kind},
        "productName": {"string": product},
        "architecture": {"string": "Hopper"},
        "cudaComputeCapability": {"version": "9.0.0"},
    }
    devices = [
        {"name": f"gpu-{index}", "attributes": common | {"uuid": {"string": f"GPU-{node}-{index}"}},
         "capacity": {"memory": {"value": "80Gi"}}}
        for index in range(number)
    ]  # fmt: skip
    pool = {"name": node, "generation": 1, "resourceSliceCount": 1}
    return named(RESOURCE_SLICES, f"{node}-gpu", {"driver": DRIVER, "nodeName": node, "pool": pool, "devices": devices})


def by_template(name: str = "cards") -> dict[str, Any]:
    """Return the part of a pod's spec that claims a card by a template."""
    return {"resourceClaims": [{"name": "gpu", "resourceClaimTemplateName": name}]}


def by_claim(name: str = "card") -> dict[str, Any]:
    return {"resourceClaims": [{"name": "gpu", "resourceClaimName": name}]}


def local_queue(name: str = "team", cluster_queue: str = "all", namespace: str = "shop") -> dict[str, Any]:
    return named(LOCAL_QUEUES, name, {"clusterQueue": cluster_queue}, namespace)


def cluster_queue(*flavours: str, name: str = "all", covered: str = "nvidia.com/gpu") -> dict[str, Any]:
    quotas = [
        {"name": each, "resources": [{"name": covered, "nominalQuota": "8"}, {"name": "cpu", "nominalQuota": "9"}]}
        for each in flavours
    ]
    groups = [{"coveredResources": [covered, "cpu"], "flavors": quotas}]
    return named(CLUSTER_QUEUES, name, {"namespaceSelector": {}, "resourceGroups": groups})


def flavour(name: str, labels: dict[str, str], **spec: Any) -> dict[str, Any]:
    return named(RESOURCE_FLAVORS, name, {"nodeLabels": labels} | spec)
