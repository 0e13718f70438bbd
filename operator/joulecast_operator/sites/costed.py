"""Put what an object costs at a site into its status, and say why there is no cost; pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from joulecast.site import Site
from joulecast_operator.api.conditions import ConditionRow, Status, Waiting, Wrong, condition, conditions_of
from joulecast_operator.api.objects import Resource, mapping
from joulecast_operator.sites.choice import SiteState

COSTED: Final = "Costed"
"""Type of the condition that says whether the status has a cost."""

COST: Final = "cost"
"""The field of a status that has it."""

_SUMMARY: Final = ("site", "cost", "carbon", "savesPerMonth")


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A cost as a status tells it.

    - ``document``: the value of ``status.cost``.
    - ``summary``: texts for ``status.summary``.
    """

    document: Mapping[str, Any]
    summary: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pricing:
    """How the statuses of one kind are priced.

    - ``answer``: returns the part of a status whose cost is told; empty where there is none yet.
    - ``told``: returns its cost at a site, of the object and the status; None where its energy is not known.
    """

    answer: Callable[[Status], Any]
    told: Callable[[Site, Resource, Status], Told | None]


def with_cost(
    resource: Resource, desired: Status, state: SiteState | None, *, pricing: Pricing, now: datetime
) -> Status:
    """Return the ``desired`` status of an object with what its answer costs. ``state``: the object's site.

    A status without an answer, and one that no site concerns, has neither a cost nor a condition about it. While a site
    cannot be read, the present cost stays.
    """
    answered = bool(pricing.answer(desired))
    if isinstance(state, Waiting):
        return _kept(resource, desired, pricing) if answered else _without(desired)
    plain = _without(desired)
    if not answered or state is None:
        return plain
    if isinstance(state, Wrong):
        return _with_row(resource, plain, (COSTED, "False", state.reason, state.message), now)
    told = pricing.told(state, resource, plain)
    if told is None:
        return plain
    summary = {**mapping(plain.get("summary")), **told.summary, "site": state.name}
    status = {**plain, COST: told.document, "summary": summary}
    return _with_row(resource, status, (COSTED, "True", COSTED, f"costs are those at EnergySite {state.name}"), now)


def _without(desired: Status) -> Status:
    """Return a status without what an earlier site gave it."""
    status = {name: value for name, value in desired.items() if name != COST}
    if "summary" in status:
        status["summary"] = {name: value for name, value in status["summary"].items() if name not in _SUMMARY}
    if "conditions" in status:
        status["conditions"] = [each for each in status["conditions"] if each.get("type") != COSTED]
    return status


def _kept(resource: Resource, desired: Status, pricing: Pricing) -> Status:
    """Return the ``desired`` status with the cost of the present one, if its answer is the same."""
    current = mapping(resource.get("status"))
    costed = condition(current, COSTED)
    if pricing.answer(dict(current)) != pricing.answer(desired) or costed is None:
        return _without(desired)
    summary = {name: value for name, value in mapping(current.get("summary")).items() if name in _SUMMARY}
    status = _without(desired)
    kept = {COST: current[COST]} if COST in current else {}
    return _with_condition({**status, **kept, "summary": {**mapping(status.get("summary")), **summary}}, costed)


def _with_row(resource: Resource, status: Status, row: ConditionRow, now: datetime) -> Status:
    """Return the status with the condition of ``row``."""
    (said,) = conditions_of(resource, [row], now=now)
    return _with_condition(status, said)


def _with_condition(status: Status, said: Resource) -> Status:
    """Return the status with the condition ``said`` before the last one, which is Ready."""
    present = status["conditions"]
    return {**status, "conditions": [*present[:-1], said, *present[-1:]]}
