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
from joulecast_operator.workloads.pods import CARDS, PODS, REPLICAS

READERS: Final[Mapping[str, Callable[[Resource], CustomWorkload]]] = {
    INFERENCE_SERVICES.kind: inference_service,
    LLM_INFERENCE_SERVICES.kind: llm_inference_service,
    RAY_SERVICES.kind: ray_service,
    LEADER_WORKER_SETS.kind: leader_worker_set,
    NIM_SERVICES.kind: nim_service,
}
"""What reads an object of each custom kind, by its name in manifests."""


def as_workload(kind: Kind, resource: Resource) -> dict[str, Any]:
    """Return an object of a custom kind with its pod template where a Deployment has it.

    Beside it stand the pods and replicas that it asks for, and what fields of its own say of the model and its cards.
    """
    found = READERS[kind.kind](resource)
    template = {"spec": found.pod, "metadata": {"annotations": dict(found.annotations or {})}}
    counted = {PODS: found.pods, REPLICAS: found.replicas, CARDS: found.cards}
    return {
        "kind": kind.kind,
        "metadata": resource.get("metadata") or {},
        "spec": {"template": template},
        **{name: number for name, number in counted.items() if number is not None},
        **declaring(
            model=found.model,
            problem=found.problem,
            accelerator_type=found.accelerator_type,
            unread=found.unread,
        ),
    }
