"""Read NVIDIA's NIMService; pure.

Sources: k8s-nim-operator/api/apps/v1alpha1/{nimservice,common}_types.go.
"""

from __future__ import annotations

from joulecast_operator.api.objects import Resource, mapping, mappings
from joulecast_operator.workloads.custom.reading import CustomWorkload, cards_of, count, text


def nim_service(service: Resource) -> CustomWorkload:
    """Return what a NIMService asks for: one container, whose variables may name the model."""
    spec = mapping(service.get("spec"))
    image, name = mapping(spec.get("image")), text(mapping(service.get("metadata")), "name")
    container = {
        "name": f"{name}-ctr",  # as the operator names it
        "image": f"{text(image, 'repository')}:{text(image, 'tag')}",
        "command": spec.get("command") or ["nim"],
        **{field: spec[field] for field in ("args", "env", "resources") if spec.get(field)},
    }
    secrets = image.get("pullSecrets")
    names = [each for each in secrets if isinstance(each, str)] if isinstance(secrets, list) else []
    pod = {
        "containers": [container],
        "imagePullSecrets": [{"name": each} for each in names],
        **{field: spec[field] for field in ("nodeSelector", "affinity", "tolerations") if spec.get(field)},
    }
    claimed = mappings(spec.get("draResources"))
    pod |= {"resourceClaims": claimed} if claimed else {}
    notes, replicas, nodes = mapping(spec.get("annotations")), _replicas(spec), _nodes(spec)
    cards = cards_of(pod, pod, nodes - 1)
    return CustomWorkload(pod=pod, pods=replicas * nodes, replicas=replicas, cards=cards, annotations=notes)


def _replicas(spec: Resource) -> int:
    """Return the desired number of replicas, the least of an autoscaled one."""
    scale = mapping(spec.get("scale"))
    if scale.get("enabled") is True:
        return max(count(mapping(scale.get("hpa")), "minReplicas"), 1)
    return count(spec, "replicas")


def _nodes(spec: Resource) -> int:
    """Return the number of pods that share a model."""
    several = mapping(spec.get("multiNode"))
    return max(count(several, "size", count(mapping(several.get("parallelism")), "pipeline")), 1)
