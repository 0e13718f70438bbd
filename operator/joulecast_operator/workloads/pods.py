"""The table of the kinds of workloads: where each has its pod template, and how many pods it asks for; pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from joulecast_operator.api.annotations import annotations_of
from joulecast_operator.api.kinds import CRON_JOBS, DAEMON_SETS, DEPLOYMENTS, JOBS, STATEFUL_SETS, Kind
from joulecast_operator.api.objects import Resource, mapping, mappings

PODS: Final = "pods"
REPLICAS: Final = "replicas"
CARDS: Final = "acceleratorsOfReplica"
"""Fields of a stored workload: how many pods it asks for at once; and of a custom kind, whose pods may share a model,
how many times these serve it, and the GPUs of one of those. Each is missing where it is not known."""

_ENDED: Final = frozenset({"Complete", "Failed"})
"""Types of the conditions of a Job that has ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadKind:
    """What joulecast knows of a kind of workload.

    - ``kind``: the kind.
    - ``template``: the fields that lead to the pod template.
    - ``pods``: returns how many pods an object asks for at once; None where that is not known.
    """

    kind: Kind
    template: tuple[str, ...]
    pods: Callable[[Resource], int | None]


def _replicas(workload: Resource) -> int | None:
    return _count(mapping(workload.get("spec")), "replicas", default=1)


def _scheduled(daemon_set: Resource) -> int | None:
    """Return on how many nodes the DaemonSet is to run, which its controller counts; None before it has."""
    return _count(mapping(daemon_set.get("status")), "desiredNumberScheduled", default=None)


def _pods_of_job(job: Resource) -> int | None:
    """Return 0 for a Job that has ended, else as many pods as may run at once."""
    conditions = mappings(mapping(job.get("status")).get("conditions"))
    ended = any(each.get("type") in _ENDED and each.get("status") == "True" for each in conditions)
    return 0 if ended else _parallel(mapping(job.get("spec")))


def _pods_of_run(cron_job: Resource) -> int | None:
    """Return the pods of one run at once. Runs may overlap where ``concurrencyPolicy`` is Allow."""
    spec = mapping(cron_job.get("spec"))
    return 0 if spec.get("suspend") else _parallel(mapping(mapping(spec.get("jobTemplate")).get("spec")))


def _parallel(spec: Resource) -> int | None:
    """Return how many pods of a Job with this ``spec`` run at once: none while it is suspended."""
    if spec.get("suspend"):
        return 0
    counts = (_count(spec, "parallelism", default=1), _count(spec, "completions", default=None))
    return min(count for count in counts if count is not None)


def _count(holder: Resource, field: str, *, default: int | None) -> int | None:
    value = holder.get(field)
    return value if isinstance(value, int) and value >= 0 else default


KINDS: Final[Mapping[str, WorkloadKind]] = {
    row.kind.kind: row
    for row in (
        WorkloadKind(kind=DEPLOYMENTS, template=("spec", "template"), pods=_replicas),
        WorkloadKind(kind=STATEFUL_SETS, template=("spec", "template"), pods=_replicas),
        WorkloadKind(kind=DAEMON_SETS, template=("spec", "template"), pods=_scheduled),
        WorkloadKind(kind=JOBS, template=("spec", "template"), pods=_pods_of_job),
        WorkloadKind(kind=CRON_JOBS, template=("spec", "jobTemplate", "spec", "template"), pods=_pods_of_run),
    )
}
"""All kinds of workloads that joulecast knows, by their names in manifests."""


def kind_of(workload: Resource) -> str:
    """Return the name of the workload's kind. An object without a kind is a Deployment."""
    return str(workload.get("kind") or DEPLOYMENTS.kind)


def pod_template(workload: Resource) -> Resource:
    """Return the template of the workload's pods; {} if it has none."""
    *_, template = _within(workload)
    return template


def pod_spec(workload: Resource) -> Resource:
    """Return the spec of the workload's pods; {} if it has none."""
    return mapping(pod_template(workload).get("spec"))


def with_template(kind: str, template: Resource) -> dict[str, Any]:
    """Return the fields of a workload of ``kind`` that lead to its pod ``template``, and nothing else."""
    found: Any = template
    for field in reversed(_path(kind)):
        found = {field: found}
    return dict(found)


def inner_annotations(workload: Resource) -> dict[str, str]:
    """Return the annotations of the pod template, and of the Job template around it, if there is one."""
    return {key: value for each in _within(workload) for key, value in annotations_of(each).items()}


def pods_asked_for(workload: Resource) -> int | None:
    """Return how many pods the workload asks for at once; None where that is not known."""
    row = KINDS.get(kind_of(workload))
    return row.pods(workload) if row else None


def _within(workload: Resource) -> Iterator[Resource]:
    """Yield the fields that lead to the pod template, from the outermost to the template itself."""
    found = workload
    for field in _path(kind_of(workload)):
        found = mapping(found.get(field))
        yield found


def _path(kind: str) -> tuple[str, ...]:
    row = KINDS.get(kind)
    return row.template if row else ("spec", "template")
