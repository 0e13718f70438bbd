"""Compute the status of an EnergyPlan; pure functions over resources as plain dicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from joulecast_operator.api import bounds
from joulecast_operator.api.annotations import significant
from joulecast_operator.api.conditions import (
    PROFILED,
    READY,
    RESOLVED,
    ConditionRow,
    EventToPost,
    Status,
    condition,
    conditions_of,
    timestamp,
)
from joulecast_operator.api.objects import Resource, mapping
from joulecast_operator.estimates.outcomes import Failure, Planned
from joulecast_operator.estimates.request import ForecastRequest
from joulecast_operator.estimates.status import (
    Kept,
    Unanswered,
    conditions_without,
    inputs_hash,
    model_title,
    passes,
)

CHOSEN: Final = "Chosen"
UNDECIDED: Final = "Undecided"
NOTHING: Final = "NothingKeepsSlo"
CUT: Final = "Cut"
"""Reasons of the condition Ready of a plan that was made: it has a choice; the intervals tell none; no candidate keeps
what is asked; it is one of cuts."""

PlanState = Planned | Unanswered
"""What the status of a plan shows: a plan, or why there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """What joules are counted by: its name in a resource, and in words."""

    field: str
    words: str


UNITS: Final = {
    "inference": Unit(field="Inference", words="inference"),
    "request": Unit(field="Request", words="request"),
    "output_token": Unit(field="OutputToken", words="output token"),
}
"""What joules of a plan are counted by, as the library names it."""

UNIT_NAMES: Final = {unit.field: name for name, unit in UNITS.items()}
"""The name in ``UNITS`` of each unit, by its name in a resource."""

_LISTS: Final = {"leaders": "leaders", "runnersUp": "runners_up"}
_LIMITS: Final = ("ProfilerTimeout", "ProfilerOutOfMemory")
_NAMED: Final = 3  # reasons of exclusion that a message names
_OUTPUTS: Final = (
    "modelDigest", "modelPath", "plannedAt", "countedBy", "choice", "today", "saving", "leaders", "runnersUp",
    "deciding", "candidates", "excluded", "notes", "split", "summary",
)  # fmt: skip
_WORDS: Final = "words"  # of a row: its setting as text, which a status does not hold


def keeps_plan(plan: Resource, request: ForecastRequest | None) -> bool:
    """Tell whether the status has a plan for the present spec and image, though maybe by an older profile."""
    status = mapping(plan.get("status"))
    same_spec = status.get("observedGeneration") == mapping(plan.get("metadata")).get("generation")
    images = [bounds.text(each) for each in request.images] if request else []
    return bool(status.get("summary")) and same_spec and status.get("image") in images


def desired_status(plan: Resource, result: PlanState, *, request: ForecastRequest | None, now: datetime) -> Status:
    """Return the complete status for ``result``. ``request``: the request that was made; None if none could be made."""
    result = _advised(result)
    current: Resource = plan.get("status") or {}
    generation = mapping(plan.get("metadata")).get("generation")
    kept = _kept(plan, request) if passes(result) else None
    image = result.image if isinstance(result, (Planned, Failure)) else None
    shown = image or (request.image if request else None)
    status: Status = {"observedGeneration": generation, "image": bounds.text(shown) if shown else None}
    if request is not None:
        status["inputsHash"] = current.get("inputsHash") if kept else inputs_hash(request)
    if isinstance(result, Planned):
        status |= _outputs(result, current, now)
    elif kept:
        status |= {name: current[name] for name in _OUTPUTS if name in current}
    elif isinstance(result, Failure) and result.digest:
        status["modelDigest"] = result.digest
    rows = _made(result) if isinstance(result, Planned) else conditions_without(result, kept=kept)
    status["conditions"] = conditions_of(plan, rows, now=now)
    return {name: value for name, value in status.items() if value is not None}


def _advised(result: PlanState) -> PlanState:
    """Return ``result``, of a job that reached a limit with one more way out than a forecast has."""
    if not isinstance(result, Failure) or result.reason not in _LIMITS:
        return result
    return replace(result, message=f"{result.message}; or name fewer settings in spec.candidates")


def changed_choice(before: Resource, after: Resource) -> EventToPost | None:
    """Return the event that tells another choice than the one before; None where it is the same or one is missing.

    That there is a choice at all, or none any more, is told by the reason of Ready.
    """
    both = all(status.get("choice") or status.get("split") for status in (before, after))
    old, new = (mapping(status.get("summary")).get("choice") for status in (before, after))
    if not both or old == new:
        return None
    return EventToPost(kind="Normal", reason="ChoiceChanged", message=f"{new} takes the place of {old}")


def _kept(plan: Resource, request: ForecastRequest | None) -> Kept | None:
    """Return the plan that stands where a look-up fails; None if there is none that is Ready."""
    ready = condition(mapping(plan.get("status")), READY)
    if not keeps_plan(plan, request) or ready is None or ready.get("status") != "True":
        return None
    return Kept(reason=str(ready["reason"]), what="plan")


def _outputs(result: Planned, current: Resource, now: datetime) -> Status:
    answer = result.answer
    cuts = answer.get("split")
    status: Status = {
        "modelDigest": result.digest,
        "modelPath": bounds.text(result.path) or None,
        **({"split": cuts} if cuts else _choice(answer)),
        "notes": answer["notes"] or None,
        "summary": {"model": bounds.text(model_title(result.image, None)), **(_cut(answer) if cuts else _told(answer))},
    }
    same = all(current.get(name) == status.get(name) for name in _OUTPUTS if name not in ("plannedAt", "summary"))
    unchanged = same and status["summary"].items() <= mapping(current.get("summary")).items()  # which has costs, too
    status["plannedAt"] = current["plannedAt"] if unchanged and "plannedAt" in current else timestamp(now)
    return status


def _choice(answer: Mapping[str, Any]) -> Status:
    rows = {name: [_row(each) for each in answer[source]] for name, source in _LISTS.items() if answer[source]}
    single = {name: _row(answer[name]) for name in ("choice", "today") if answer[name]}
    return {
        "countedBy": UNITS[answer["unit"]].field,
        **single,
        "saving": answer["saving"],
        **rows,
        "deciding": answer["deciding"] or None,
        "candidates": answer["candidates"],
        "excluded": answer["excluded"],
    }


def _row(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != _WORDS}


def _told(answer: Mapping[str, Any]) -> dict[str, str]:
    """Return the columns of a plan with or without a choice."""
    chosen = answer["choice"]
    if chosen is None:
        return {"choice": "undecided" if answer["leaders"] else "none"} | _saves(answer)
    unit = UNITS[answer["unit"]].words
    lower, upper = significant(chosen["joulesLower"]), significant(chosen["joulesUpper"])
    found = {"choice": chosen[_WORDS], "joules": f"{significant(chosen['joules'])} J/{unit} ({lower}–{upper})"}
    if answer["rated"]:
        found |= {"replicas": str(chosen["replicas"]), "watts": f"{significant(chosen['averagePowerWatts'])} W"}
    return found | _saves(answer)


def _saves(answer: Mapping[str, Any]) -> dict[str, str]:
    saving, today, chosen = answer["saving"], answer["today"], answer["choice"]
    if saving is None:
        return {}
    if chosen is not None and today[_WORDS] == chosen[_WORDS]:
        return {"saves": "runs so now"}
    percent, lower, upper = (round(saving[name]) for name in ("percent", "percentLower", "percentUpper"))
    return {"saves": f"{percent} % ({lower} to {upper})"}


def _cut(answer: Mapping[str, Any]) -> dict[str, str]:
    """Return the columns of cuts: the one of the fewest joules."""
    return {"choice": answer["words"], "joules": f"{significant(answer['split']['byJoules']['joules'])} J/batch"}


def _made(result: Planned) -> Sequence[ConditionRow]:
    resolved = f"the model is {f'{result.path} in ' if result.path else ''}{result.digest}"
    return (
        (RESOLVED, "True", "Resolved", resolved),
        (PROFILED, "True", "Profiled", "the model's operators were counted"),
        _ready(result.answer),
    )


def _ready(answer: Mapping[str, Any]) -> ConditionRow:
    said = [answer["reason"], *answer["notes"]]
    if "split" in answer:
        return READY, "True", CUT if answer["told"] else UNDECIDED, "; ".join(said)
    if answer["choice"]:
        return READY, "True", CHOSEN, f"{answer['choice'][_WORDS]}: {'; '.join(said)}"
    if answer["leaders"]:
        narrower = "an EnergyCalibration of an accelerator narrows all of its intervals" if answer["deciding"] else ""
        return READY, "True", UNDECIDED, "; ".join(filter(None, [*said, narrower]))
    why = answer["excluded"]["examples"][:_NAMED]
    return READY, "False", NOTHING, "; ".join([*said, *why, "relax spec.slo, or allow more in spec.candidates"])
