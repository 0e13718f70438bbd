"""Explain from pods and events why a calibration's pod does not start or has failed, and what to do; pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from joulecast_operator.api.objects import Resource

REFUSED: Final = "FailedCreate"
RETRYING: Final = "Retrying"

_PULL: Final = "correct spec.image, or name the registry's Secret in spec.imagePullSecrets"
_OBJECTS: Final = "make what it names, or correct the spec"
_WAITING: Final = {  # the kubelet's reason; the reason shown, one where the kubelet alternates between two; what to do
    "ErrImagePull": ("ImagePullBackOff", _PULL),
    "ImagePullBackOff": ("ImagePullBackOff", _PULL),
    "RegistryUnavailable": ("ImagePullBackOff", _PULL),
    "SignatureValidationFailed": ("ImagePullBackOff", _PULL),
    "ErrImageNeverPull": ("ErrImageNeverPull", _PULL),
    "InvalidImageName": ("InvalidImageName", _PULL),
    "CreateContainerConfigError": ("CreateContainerConfigError", _OBJECTS),
    "CreateContainerError": ("CreateContainerError", "the node's container runtime says why"),
}
_UNSCHEDULABLE: Final = (  # part of the scheduler's message; what to do
    ("untolerated taint", "add a toleration to spec.tolerations to use tainted nodes"),
    ("Insufficient nvidia.com/gpu", "it starts when a GPU is free"),
    ("Insufficient cpu", "request less in spec.resources"),
    ("Insufficient memory", "request less in spec.resources"),
    ("persistentvolumeclaim", "check the claim of spec.storage"),
    ("PersistentVolumes", "check the claim of spec.storage"),
    ("node affinity/selector", "the nodes of this product are gone or share their GPUs now"),
)
_CREATION: Final = (  # part of the message by which admission refuses a pod; what to do
    ("exceeded quota", "raise the quota or free some of it"),
    ("must specify", "give these in spec.resources"),
    ("PodSecurity", "the pods meet the standard `restricted`, and the namespace demands something else"),
    ("PriorityClass", "correct spec.priorityClassName"),
    ("maximum", "the namespace's LimitRange allows less: request less in spec.resources"),
    ("memory limit", "the namespace's LimitRange sets a lower limit: give limits in spec.resources"),
    ("cpu limit", "the namespace's LimitRange sets a lower limit: give limits in spec.resources"),
)
_LINE_CHARACTERS: Final = 300  # of the last line that a container printed


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """Why a pod does not run.

    - ``reason``: reason of the condition.
    - ``message``: what is wrong, and at its end what to do.
    """

    reason: str
    message: str


def of_pods(pods: Iterable[Resource]) -> Diagnosis | None:
    """Return why the Job has no running container, as far as its pods tell; None if one runs or nothing is known."""
    known = sorted(pods, key=_created)
    if any(_phase(pod) == "Running" for pod in known):
        return None
    for pod in known:
        if _phase(pod) == "Pending" and (found := _pending(pod)):
            return found
    if known and all(_phase(pod) == "Failed" for pod in known):
        return Diagnosis(reason=RETRYING, message=f"{end_of(known)}; the Job tries again")
    return None


def of_creation(events: Iterable[Resource], pods: Iterable[Resource]) -> Diagnosis | None:
    """Return why the Job has no pod, if the last pod that it tried to create was refused; else None."""
    refused = [event for event in events if event.get("reason") == REFUSED]
    newest = max(refused, key=_time, default=None)
    if newest is None or any(_created(pod) > _time(newest) or _phase(pod) in ("Pending", "Running") for pod in pods):
        return None
    text = str(newest.get("message") or "")
    return Diagnosis(
        reason=REFUSED, message=f"the Job may not create a pod: {text}; {_advice(text, _CREATION) or _ADMIN_DECIDES}"
    )


def of_events(pod: Resource, events: Iterable[Resource]) -> Diagnosis | None:
    """Return the newest warning about a container that is being created (volumes, runtime class, network), or None."""
    newest = max(events, key=_time, default=None)
    if newest is None:
        return None
    message = f"pod {pod['metadata']['name']} is not started by its node: {newest.get('message')}"
    return Diagnosis(reason=str(newest.get("reason") or "PodNotStarted"), message=message)


def creating(pods: Iterable[Resource]) -> Resource | None:
    """Return the first pod that is scheduled to a node but has no running container; None if there is none."""
    for pod in pods:
        scheduled = any(
            each.get("type") == "PodScheduled" and each.get("status") == "True" for each in _conditions(pod)
        )
        if _phase(pod) == "Pending" and scheduled:
            return pod
    return None


def end_of(pods: Sequence[Resource]) -> str:
    """Return how the Job's last failed pod ended, with the last line that it printed; "" if none failed."""
    ended = sorted((pod for pod in pods if _phase(pod) == "Failed"), key=_created)
    if not ended:
        return ""
    pod = ended[-1]
    status = pod.get("status") or {}
    said = [str(status[name]) for name in ("reason", "message") if status.get(name)]
    for container in status.get("containerStatuses") or ():
        said += _terminated((container.get("state") or {}).get("terminated") or {})
    return f"pod {pod['metadata']['name']} failed" + (f": {', '.join(said)}" if said else "")


_ADMIN_DECIDES: Final = "ask the namespace's admin (ResourceQuota, LimitRange, Pod Security, webhooks)"


def _terminated(state: Resource) -> list[str]:
    if not state:
        return []
    lines = str(state.get("message") or "").split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    killed = " (give more memory in spec.resources)" if state.get("reason") == "OOMKilled" else ""
    said = f"{state.get('reason') or 'ended'} with exit code {state.get('exitCode')}{killed}"
    return [said, *([f"last line: {last[-_LINE_CHARACTERS:]}"] if last else [])]


def _pending(pod: Resource) -> Diagnosis | None:
    """Return why a pod is pending, from the scheduler's condition or the kubelet's waiting state; None if unknown."""
    name = pod["metadata"]["name"]
    for each in _conditions(pod):
        if each.get("type") == "PodScheduled" and each.get("status") == "False":
            text = str(each.get("message") or each.get("reason") or "")
            advice = _advice(text, _UNSCHEDULABLE) or "it starts when a node fits"
            return Diagnosis(
                reason=str(each.get("reason") or "Unschedulable"), message=f"pod {name} waits: {text}; {advice}"
            )
    for container in (pod.get("status") or {}).get("containerStatuses") or ():
        state = (container.get("state") or {}).get("waiting") or {}
        if state.get("reason") in _WAITING:
            reason, advice = _WAITING[state["reason"]]
            said = ": ".join(str(part) for part in (state["reason"], state.get("message")) if part)
            return Diagnosis(reason=reason, message=f"pod {name} waits: {said}; {advice}")
    return None


def _advice(text: str, table: Iterable[tuple[str, str]]) -> str:
    return "; ".join(dict.fromkeys(advice for part, advice in table if part in text))


def _conditions(pod: Resource) -> Iterable[Resource]:
    return (pod.get("status") or {}).get("conditions") or ()


def _phase(pod: Resource) -> str:
    return str((pod.get("status") or {}).get("phase") or "")


def _created(pod: Resource) -> str:
    return str((pod.get("metadata") or {}).get("creationTimestamp") or "")


def _time(event: Resource) -> str:
    """Return when an event was last seen. Newer components write this into other fields than older ones."""
    series = (event.get("series") or {}).get("lastObservedTime")
    metadata = event.get("metadata") or {}
    found = series or event.get("lastTimestamp") or event.get("eventTime") or metadata.get("creationTimestamp")
    return str(found or "")[:19]  # to the second, because only some events have microseconds
