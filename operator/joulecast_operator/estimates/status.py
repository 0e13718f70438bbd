"""What an estimate's status should be, and which event says so: pure functions over resources as plain dicts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from joulecast.defects import REASON
from joulecast_operator.api import bounds
from joulecast_operator.api.annotations import significant
from joulecast_operator.api.estimates import MAXIMUM_RESULTS, MAXIMUM_TOP_LAYERS
from joulecast_operator.api.products import product_named
from joulecast_operator.estimates.outcomes import Failure, Forecast, why_none
from joulecast_operator.estimates.request import Request
from joulecast_operator.workers.cache import key

RESOLVED: Final = "ModelResolved"
PROFILED: Final = "Profiled"
READY: Final = "Ready"
USABLE: Final = "Usable"

Resource = Mapping[str, Any]
Status = dict[str, Any]
Truth = Literal["True", "False", "Unknown"]

_OUTPUTS: Final = (
    "modelDigest", "modelPath", "verification", "estimatedAt", "totals",
    "results", "unsupportedOperators", "summary", "topLayers",
)  # fmt: skip


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


Result = Forecast | Failure | Waiting | Wrong


def settled(estimate: Resource, inputs_hash: str) -> bool:
    """Whether the status already answers exactly this question with numbers."""
    status = estimate.get("status") or {}
    ready = condition(status, READY)
    return bool(ready and ready.get("status") == "True" and status.get("inputsHash") == inputs_hash)


def stands(estimate: Resource, request: Request | None) -> bool:
    """Whether the status holds numbers for this very spec and image, if perhaps by another accelerator profile."""
    status = estimate.get("status") or {}
    same_spec = status.get("observedGeneration") == (estimate.get("metadata") or {}).get("generation")
    return bool(
        request
        and _sound(status)
        and same_spec
        and status.get("image") in [bounds.text(each) for each in request.images]
    )


def _sound(status: Resource) -> bool:
    """Whether there are numbers and none is negative, as profiles priced that an earlier version did not refuse."""
    results = status.get("results") or ()
    return bool(results) and all(row.get("joulesPerBatch", 0) >= 0 for row in results)


def desired_status(estimate: Resource, result: Result, *, request: Request | None, now: datetime) -> Status:
    """The whole status that ``result`` calls for. ``request``: what was asked, None if it could not be."""
    current: Resource = estimate.get("status") or {}
    generation = (estimate.get("metadata") or {}).get("generation")
    kept = stands(estimate, request) and _passes(result)
    image = current["image"] if kept else _image(result, request)
    status: Status = {"observedGeneration": generation, "image": image}
    if request is not None:
        status["inputsHash"] = current.get("inputsHash") if kept else inputs_hash(request)
    if isinstance(result, Forecast):
        status |= _outputs(result, current, now)
    elif kept:
        status |= {name: current[name] for name in _OUTPUTS if name in current}
    elif isinstance(result, Failure) and result.digest:
        status["modelDigest"] = result.digest
    status["conditions"] = [
        condition_of(current, kind, truth, reason, message, generation, now)
        for kind, truth, reason, message in _conditions(result, kept=kept)
    ]
    return {name: value for name, value in status.items() if value is not None}


def same_generation(estimate: Resource) -> Status:
    """The current status, said of the current generation: what changed in the spec decides no number."""
    status = dict(estimate.get("status") or {})
    generation = (estimate.get("metadata") or {}).get("generation")
    status["observedGeneration"] = generation
    status["conditions"] = [found | {"observedGeneration": generation} for found in status.get("conditions") or ()]
    return status


def status_patch(current: Resource | None, desired: Status) -> dict[str, Any]:
    """The merge patch that turns ``current`` into ``desired``; {} where nothing differs."""
    before = current or {}
    changed: dict[str, Any] = {name: value for name, value in desired.items() if before.get(name) != value}
    return changed | {name: None for name in before if name not in desired}


def event_of(current: Resource | None, desired: Status, *, warning: bool = False) -> EventToPost | None:
    """The event that tells of a changed reason of the last condition (Ready, Usable); None where it is unchanged.

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
    """The current status but for the last condition of ``desired``, which says that the API server refused the rest."""
    current: Resource = resource.get("status") or {}
    generation = (resource.get("metadata") or {}).get("generation")
    last = desired["conditions"][-1]["type"]
    message = f"the API server refuses the status, which is tried again at the next sweep: {error}"
    others = [found for found in current.get("conditions") or () if found.get("type") != last]
    refused = condition_of(current, last, "False", "StatusRefused", message, generation, now)
    return {**current, "conditions": [*others, refused]}


def defect_status(resource: Resource, kind: str, message: str, *, now: datetime) -> Status:
    """The current status but for the condition ``kind``, which says that joulecast failed, so that nothing is known."""
    current: Resource = resource.get("status") or {}
    generation = (resource.get("metadata") or {}).get("generation")
    others = [found for found in current.get("conditions") or () if found.get("type") != kind]
    return {
        **current,
        "conditions": [*others, condition_of(current, kind, "Unknown", REASON, message, generation, now)],
    }


def refusal_event(what: str, error: str) -> EventToPost:
    """The event on an object that tells that the API server refuses a write of ``what``."""
    message = f"the API server refuses what joulecast writes, which is tried again at the next sweep: {error}"
    return EventToPost(kind="Warning", reason=f"{what}Refused", message=bounds.message(message))


def profile_status(
    profile: Resource, result: Wrong | Waiting | Mapping[str, Any], *, digest: str | None, now: datetime
) -> Status:
    """The status of an AcceleratorEnergyProfile: facts of one in use, or why it is none, or why that is not known."""
    generation = (profile.get("metadata") or {}).get("generation")
    current = profile.get("status") or {}
    status: Status = {"observedGeneration": generation}
    if isinstance(result, (Wrong, Waiting)):
        truth: Truth = "False" if isinstance(result, Wrong) else "Unknown"
        reason, message = result.reason, result.message
    else:
        truth, reason = "True", "Valid"
        message = f"forecasts for {product_named(profile['spec']['product'])} are made with this profile"
        status |= {"digest": digest, **_profile_facts(result)}
    status["conditions"] = [condition_of(current, USABLE, truth, reason, message, generation, now)]
    return {name: value for name, value in status.items() if value is not None}


def inputs_hash(request: Request) -> str:
    """Hash of all that decides the numbers, and of what asks to look again."""
    return f"{request.hash}-{key(request.refresh)[:8]}" if request.refresh else request.hash


def condition(status: Resource, kind: str) -> Resource | None:
    return next((found for found in status.get("conditions") or () if found.get("type") == kind), None)


def timestamp(now: datetime) -> str:
    """RFC 3339 in UTC, to the second, as Kubernetes writes times."""
    return now.strftime("%Y-%m-%dT%H:%M:%SZ")


def model_title(image: str, path: str | None) -> str:
    """An image without its registry, for a column: "models/resnet50:1"."""
    head, _, rest = image.partition("/")
    named = rest if rest and ("." in head or ":" in head or head == "localhost") else image
    short = named.partition("@")[0]
    return f"{short}//{path}" if path else short


def _image(result: Result, request: Request | None) -> str | None:
    """The image that the result speaks of."""
    found = result.image if isinstance(result, (Forecast, Failure)) else None
    image = found or (request.image if request else None)
    return bounds.text(image) if image else None


def _passes(result: Result) -> bool:
    """Whether ``result`` says nothing against numbers that are there: a registry is away, a new look is under way."""
    return isinstance(result, Waiting) or (isinstance(result, Failure) and result.transient)


def _conditions(result: Result, *, kept: bool) -> Sequence[tuple[str, Truth, str, str]]:
    if isinstance(result, Forecast):
        return _conditions_of_forecast(result)
    if isinstance(result, Failure):
        return _conditions_of_failure(result, kept=kept)
    truth: Truth = "Unknown" if isinstance(result, Waiting) else "False"
    if kept:
        ready: tuple[str, Truth, str, str] = (READY, "True", "Estimated", "the last forecast stands: " + result.message)
    else:
        ready = (READY, truth, result.reason, result.message)
    waits = "waits for what the condition Ready names"
    return ((RESOLVED, "Unknown", result.reason, waits), (PROFILED, "Unknown", result.reason, waits), ready)


def _conditions_of_forecast(result: Forecast) -> Sequence[tuple[str, Truth, str, str]]:
    number = len(result.results)
    message = f"{number} forecast{'s' if number != 1 else ''}"
    if result.unavailable:
        why = why_none(result.unavailable)
        message += f"; no forecast for {len(result.unavailable)} of the accelerators: {why}"
    profiled = "every operator is counted or costs nothing"
    if result.unsupported:
        named = ", ".join(map(bounds.name, result.unsupported))
        profiled = f"operators without a rule, whose cost is missing: {named}"
    return (
        (RESOLVED, "True", "Resolved", f"read {result.path} of {result.digest}"),
        (PROFILED, "True", "PartlyProfiled" if result.unsupported else "Profiled", profiled),
        (READY, "True", "Estimated", message),
    )


def _conditions_of_failure(result: Failure, *, kept: bool) -> Sequence[tuple[str, Truth, str, str]]:
    truth: Truth = "Unknown" if result.transient else "False"
    again = "; it is tried again with growing pauses" if result.transient and "again" not in result.message else ""
    message = result.message + again
    ready: tuple[str, Truth, str, str] = (READY, truth, result.reason, message)
    if kept:
        ready = (
            READY,
            "True",
            "Estimated",
            f"the last forecast stands although the model cannot be looked up now: {message}",
        )
    resolved: tuple[str, Truth, str, str] = (RESOLVED, "True", "Resolved", f"the image is {result.digest}")
    profiled: tuple[str, Truth, str, str] = (PROFILED, "True", "Profiled", "the model's rows are counted")
    if result.stage == "resolve":
        resolved = (RESOLVED, truth, result.reason, message)
        profiled = (PROFILED, "Unknown", "NotResolved", "waits for the model")
    elif result.stage == "profile":
        profiled = (PROFILED, truth, result.reason, message)
    return resolved, profiled, ready


def condition_of(
    current: Resource, kind: str, truth: Truth, reason: str, message: str, generation: int | None, now: datetime
) -> dict[str, Any]:
    """A condition of a status; its time moves with its truth alone."""
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


def _outputs(result: Forecast, current: Resource, now: datetime) -> Status:
    results = [dict(row) for row in result.results[:MAXIMUM_RESULTS]]
    status: Status = {
        "modelDigest": result.digest,
        "modelPath": bounds.text(result.path),
        "verification": result.verification,
        "totals": {_camel(name): value for name, value in result.totals.items()},
        "results": results,
        "unsupportedOperators": [bounds.name(each) for each in result.unsupported[: bounds.LISTED]] or None,
        "summary": _summary(results[0], bounds.text(model_title(result.image, None))),
        "topLayers": [
            {**layer, "name": bounds.name(layer["name"]), "opType": bounds.name(layer["opType"])}
            for layer in result.top_layers[:MAXIMUM_TOP_LAYERS]
        ],
    }
    unchanged = all(current.get(name) == status[name] for name in ("modelDigest", "results"))
    status["estimatedAt"] = current["estimatedAt"] if unchanged and "estimatedAt" in current else timestamp(now)
    return status


def _summary(row: Mapping[str, Any], model: str) -> dict[str, str]:
    lower, upper = (significant(row[name]) for name in ("joulesPerBatchLower", "joulesPerBatchUpper"))
    percent = math.floor(row["coverage"] * 1000) / 10  # 99.96 % must not read as everything
    return {
        "model": model,
        "accelerator": str(row["accelerator"]),
        "batchSize": str(row["batchSize"]),
        "joules": f"{significant(row['joulesPerBatch'])} J",
        "interval": f"{lower}–{upper} J",
        "coverage": f"{percent:g} %",
        "origin": str(row["origin"]),
    }


def _profile_facts(facts: Mapping[str, Any]) -> Status:
    error = facts.get("held_out_error")
    shown = "unknown" if error is None else f"{significant(100 * error)} %"
    return {
        "heldOutError": error,
        "calibratedAt": facts.get("calibrated_at"),
        "summary": {"origin": str(facts["origin"]), "error": shown},
    }


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(word.title() for word in rest)
