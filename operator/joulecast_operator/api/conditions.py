"""The vocabulary of every status: its conditions, the reasons why there is no answer, and the events that tell of it.

Pure functions over resources as plain dicts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from joulecast.defects import REASON
from joulecast_operator.api import bounds
from joulecast_operator.api.objects import Resource

RESOLVED: Final = "ModelResolved"
PROFILED: Final = "Profiled"
READY: Final = "Ready"
USABLE: Final = "Usable"

Status = dict[str, Any]
Truth = Literal["True", "False", "Unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Nothing is known yet: why, and what to wait for or do."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrong:
    """The resource itself, or what it names, must be changed."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EventToPost:
    """One event on a resource."""

    kind: Literal["Normal", "Warning"]
    reason: str
    message: str


def status_patch(current: Resource | None, desired: Status) -> dict[str, Any]:
    """Return the merge patch that turns ``current`` into ``desired``; {} where nothing differs."""
    before = current or {}
    changed: dict[str, Any] = {name: value for name, value in desired.items() if before.get(name) != value}
    return changed | {name: None for name in before if name not in desired}


def event_of(current: Resource | None, desired: Status, *, warning: bool = False) -> EventToPost | None:
    """Return an event if the reason of the last condition (Ready, Usable) changed, else None.

    ``warning``: somebody should see to it, although the condition is not False.
    """
    after = (desired.get("conditions") or [None])[-1]
    if after is None:
        return None
    before = condition(current or {}, after["type"])
    if before is not None and before.get("reason") == after["reason"]:
        return None
    kind: Literal["Normal", "Warning"] = "Warning" if warning or after["status"] == "False" else "Normal"
    return EventToPost(kind=kind, reason=after["reason"], message=after["message"])


def refused_status(resource: Resource, desired: Status | Mapping[str, Any], error: str, *, now: datetime) -> Status:
    """Return the current status with the last condition of ``desired`` set to: the API server refused the status."""
    current: Resource = resource.get("status") or {}
    generation = (resource.get("metadata") or {}).get("generation")
    last = desired["conditions"][-1]["type"]
    message = f"the API server refuses the status, which is tried again at the next sweep: {error}"
    others = [found for found in current.get("conditions") or () if found.get("type") != last]
    refused = condition_of(current, last, "False", "StatusRefused", message, generation, now)
    return {**current, "conditions": [*others, refused]}


def defect_status(resource: Resource, kind: str, message: str, *, now: datetime) -> Status:
    """Return the current status with the condition ``kind`` set to Unknown because of a defect of joulecast."""
    current: Resource = resource.get("status") or {}
    generation = (resource.get("metadata") or {}).get("generation")
    others = [found for found in current.get("conditions") or () if found.get("type") != kind]
    return {
        **current,
        "conditions": [*others, condition_of(current, kind, "Unknown", REASON, message, generation, now)],
    }


def refusal_event(what: str, error: str) -> EventToPost:
    """Return the event that reports a write of ``what`` that the API server refused."""
    message = f"the API server refuses what joulecast writes, which is tried again at the next sweep: {error}"
    return EventToPost(kind="Warning", reason=f"{what}Refused", message=bounds.message(message))


def condition(status: Resource, kind: str) -> Resource | None:
    """Return the condition of type ``kind``, None where the status has none."""
    return next((found for found in status.get("conditions") or () if found.get("type") == kind), None)


def timestamp(now: datetime) -> str:
    """Format a time as Kubernetes does: RFC 3339 in UTC, to the second."""
    return now.strftime("%Y-%m-%dT%H:%M:%SZ")


def condition_of(
    current: Resource, kind: str, truth: Truth, reason: str, message: str, generation: int | None, now: datetime
) -> dict[str, Any]:
    """Return a condition for a status; ``lastTransitionTime`` changes only if its status changes."""
    before = condition(current, kind)
    moved = before is None or before.get("status") != truth
    found: dict[str, Any] = {
        "type": kind,
        "status": truth,
        "reason": reason,
        "message": bounds.message(message),
        "lastTransitionTime": timestamp(now) if moved or before is None else before["lastTransitionTime"],
    }
    return found if generation is None else found | {"observedGeneration": generation}
