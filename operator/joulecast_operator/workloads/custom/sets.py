"""Read LeaderWorkerSets; pure. Source: lws/api/leaderworkerset/v1/leaderworkerset_types.go."""

from __future__ import annotations

from joulecast_operator.api.annotations import annotations_of
from joulecast_operator.api.objects import Resource, mapping
from joulecast_operator.workloads import placement
from joulecast_operator.workloads.custom.reading import CustomWorkload, count


def leader_worker_set(workload: Resource) -> CustomWorkload:
    """Return what a LeaderWorkerSet asks for: its leaders serve the model, on the cards of all pods of a group."""
    spec = mapping(workload.get("spec"))
    group = mapping(spec.get("leaderWorkerTemplate"))
    worker = mapping(group.get("workerTemplate"))
    leader = mapping(group.get("leaderTemplate")) or worker
    size, pods = count(group, "size"), [mapping(each.get("spec")) for each in (leader, worker)]
    with_gpus = [pod for pod in pods if placement.devices(pod)] or pods
    return CustomWorkload(
        pod={**pods[0], **placement.either(with_gpus)},
        pods=count(spec, "replicas") * size,
        annotations=annotations_of(leader),
    )
