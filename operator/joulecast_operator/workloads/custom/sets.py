"""Read LeaderWorkerSets; pure.

Sources: lws/api/leaderworkerset/v1/leaderworkerset_types.go, and how vLLM and SGLang run in docs/examples of the same
repository: on all pods of a group, started by the leader alone or by a command in every pod.
"""

from __future__ import annotations

from joulecast_operator.api.annotations import annotations_of
from joulecast_operator.api.objects import Resource, mapping
from joulecast_operator.workloads import placement
from joulecast_operator.workloads.custom.reading import CustomWorkload, cards_of, count
from joulecast_operator.workloads.engines.served import served_models


def leader_worker_set(workload: Resource) -> CustomWorkload:
    """Return what a LeaderWorkerSet asks for: its leaders serve the model, on the cards of all pods of a group."""
    spec = mapping(workload.get("spec"))
    group = mapping(spec.get("leaderWorkerTemplate"))
    worker = mapping(group.get("workerTemplate"))
    leader = mapping(group.get("leaderTemplate")) or worker
    first, other = mapping(leader.get("spec")), mapping(worker.get("spec"))
    with_gpus = [pod for pod in (first, other) if placement.devices(pod)] or [first, other]
    size, groups = count(group, "size"), count(spec, "replicas")
    sharing = _sharing(first, other, size)
    return CustomWorkload(
        pod={**first, **placement.either(with_gpus)},
        pods=groups * size,
        replicas=None if sharing is None else groups * (size // sharing),
        cards=None if sharing is None else cards_of(first, other, sharing - 1),
        annotations=annotations_of(leader),
    )


def _sharing(leader: Resource, worker: Resource, size: int) -> int | None:
    """Return how many pods of a group share one model: all of them, or one where each serves a model of its own.

    Each serves its own if it starts an engine that joins no other and runs on the cards of its pod. None where it is
    not known how many cards that engine or its pod has.
    """
    engines = [next(iter(served_models(pod)), None) for pod in (leader, worker)]
    if size <= 1 or any(engine is None or engine.is_spread for engine in engines):
        return max(size, 1)
    needed, held = engines[0].cards if engines[0] else None, cards_of(leader, leader, 0)
    if needed is None or held is None:
        return None
    return 1 if needed <= held else size
