"""Make the conditions of every status, the reasons why a result is missing, and the events that report a change.

Pure functions over resources as plain dicts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from pydantic import ValidationError

from joulecast.defects import REASON
from joulecast_operator.api import bounds
from joulecast_operator.api.objects import Resource

RESOLVED: Final = "ModelResolved"
PROFILED: Final = "Profiled"
READY: Final = "Ready"
USABLE: Final = "Usable"
"""Types of conditions."""

Status = dict[str, Any]
"""The status of an object, with its fields in camelCase."""

Truth = Literal["True", "False", "Unknown"]
"""The status of a condition."""

ConditionRow = tuple[str, Truth, str, str]
"""A condition: its type, status, reason and message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """The result is not known yet, but may follow without a change of the object.

    - ``reason``: reason of the condition.
    - ``message``: what is awaited, and what can be done.
    """

    reason: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrong:
    """There is no result until somebody changes the object or what it refers to.

    - ``reason``: reason of the condition.
    - ``message``: what is wrong and how to correct it.
    """

    reason: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EventToPost:
    """A Kubernetes event to post on an object.

    - ``kind``: the event's type; ``Warning`` where somebody should act.
    - ``reason``: the event's reason, in CamelCase.
    - ``message``: the event's text.
    """

    kind: Literal["Normal", "Warning"]
    reason: str
    message: str


def invalid_spec(error: ValidationError, way_out: str) -> Wrong:
    """Return that an object does not fit its definition, by the first problem; it may be older than the present CRD.

    ``way_out``: what to do about it.
    """
    problem = error.errors(include_url=False)[0]
    place = ".".join(map(str, problem["loc"]))
    return Wrong(reason="InvalidSpec", message=f"{place}: {problem['msg']}; {way_out}")


def status_patch(current: Resource | None, desired: Status) -> dict[str, Any]:
    """Return the merge patch that turns ``current`` into ``desired``; {} if nothing differs."""
    before = current or {}
    changed: dict[str, Any] = {
        name: _replacing(before.get(name), value) for name, value in desired.items() if before.get(name) != value
    }
    return changed | {name: None for name in before if name not in desired}


def _replacing(before: Any, value: Any) -> Any:
    """Return ``value`` for a merge patch, with null for each field that only ``before`` has, which would else stay."""
    if not isinstance(before, Mapping) or not isinstance(value, Mapping):
        return value
    replaced = {name: _replacing(before.get(name), each) for name, each in value.items()}
    return replaced | {name: None for name in before if name not in value}


def event_of(current: Resource | None, desired: Status, *, warning: bool = False) -> EventToPost | None:
    """Return an event if the reason of the last condition (Ready, Usable) changed, else None.

    ``warning``: make it a Warning although the condition is not False, because somebody should act.
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
    """Return the current status, whose last condition, of the type in ``desired``, says that the status was refused."""
    current: Resource = resource.get("status") or {}
    generation = (resource.get("metadata") or {}).get("generation")
    last = desired["conditions"][-1]["type"]
    message = f"the API server refused the status, which is sent again at the next sweep: {error}"
    others = [found for found in current.get("conditions") or () if found.get("type") != last]
    refused = condition_of(current, last, "False", "StatusRefused", message, generation, now)
    return {**current, "conditions": [*others, refused]}


def defect_status(resource: Resource, kind: str, message: str, *, now: datetime) -> Status:
    """Return the current status with the condition ``kind`` set to Unknown because joulecast itself failed."""
    current: Resource = resource.get("status") or {}
    generation = (resource.get("metadata") or {}).get("generation")
    others = [found for found in current.get("conditions") or () if found.get("type") != kind]
    return {
        **current,
        "conditions": [*others, condition_of(current, kind, "Unknown", REASON, message, generation, now)],
    }


def refusal_event(what: str, error: str) -> EventToPost:
    """Return the event that reports that the API server refused a write of ``what``."""
    message = f"the API server refused what joulecast writes, which is sent again at the next sweep: {error}"
    return EventToPost(kind="Warning", reason=f"{what}Refused", message=bounds.message(message))


def condition(status: Resource, kind: str) -> Resource | None:
    """Return the condition of type ``kind``; None if the status has none."""
    return next((found for found in status.get("conditions") or () if found.get("type") == kind), None)


def timestamp(now: datetime) -> str:
    """Format a time as Kubernetes does: RFC 3339 in UTC, to the second."""
    return now.strftime("%Y-%m-%dT%H:%M:%SZ")


def condition_of(
    current: Resource, kind: str, truth: Truth, reason: str, message: str, generation: int | None, now: datetime
) -> dict[str, Any]:
    """Return a condition for a status. Its ``lastTransitionTime`` changes only if the condition's status changes."""
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


def conditions_of(resource: Resource, rows: Iterable[ConditionRow], *, now: datetime) -> list[dict[str, Any]]:
    """Return the conditions of ``rows`` for the present generation of an object; one keeps the time of its last change
    of status."""
    current: Resource = resource.get("status") or {}
    generation = (resource.get("metadata") or {}).get("generation")
    return [
        condition_of(current, kind, truth, reason, message, generation, now) for kind, truth, reason, message in rows
    ]
