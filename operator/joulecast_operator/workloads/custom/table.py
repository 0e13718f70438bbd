"""The table of the custom kinds of workloads, and their objects in the form of a built-in workload; pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from joulecast_operator.api.kinds import (
    INFERENCE_SERVICES,
    LEADER_WORKER_SETS,
    LLM_INFERENCE_SERVICES,
    NIM_SERVICES,
    RAY_SERVICES,
    Kind,
)
from joulecast_operator.api.objects import Resource
from joulecast_operator.workloads.containers import declaring
from joulecast_operator.workloads.custom.kserve import inference_service, llm_inference_service
from joulecast_operator.workloads.custom.nim import nim_service
from joulecast_operator.workloads.custom.ray import ray_service
from joulecast_operator.workloads.custom.reading import CustomWorkload
from joulecast_operator.workloads.custom.sets import leader_worker_set

READERS: Final[Mapping[str, Callable[[Resource], CustomWorkload]]] = {
    INFERENCE_SERVICES.kind: inference_service,
    LLM_INFERENCE_SERVICES.kind: llm_inference_service,
    RAY_SERVICES.kind: ray_service,
    LEADER_WORKER_SETS.kind: leader_worker_set,
    NIM_SERVICES.kind: nim_service,
}
"""What reads an object of each custom kind, by its name in manifests."""


def as_workload(kind: Kind, resource: Resource) -> tuple[dict[str, Any], int | None]:
    """Return an object of a custom kind with its pod template where a Deployment has it, and the pods that it asks for.

    What a field of its own says of the model is kept beside the template.
    """
    found = READERS[kind.kind](resource)
    template = {"spec": found.pod, "metadata": {"annotations": dict(found.annotations or {})}}
    workload = {"kind": kind.kind, "metadata": resource.get("metadata") or {}, "spec": {"template": template}}
    return workload | declaring(found.model, found.problem), found.pods
