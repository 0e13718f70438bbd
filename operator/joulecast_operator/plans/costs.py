"""Compute what the choice of a plan costs at a site, and what it saves of today's cost in a month; pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from joulecast.site import Site, SiteCost, cost_at
from joulecast.units import round_significant
from joulecast_operator.api.annotations import significant
from joulecast_operator.api.conditions import Status
from joulecast_operator.api.objects import Resource, mapping
from joulecast_operator.plans.status import UNIT_NAMES
from joulecast_operator.sites.costed import Pricing, Told
from joulecast_operator.sites.costs import amounts, common, texts

_PRICED: Final = ("choice", "leaders", "today")
_ENDS: Final = {"": "percent", "Lower": "percentLower", "Upper": "percentUpper"}
"""The fields of ``status.saving`` with the saving and the ends of its interval, by how a field of each ends."""
_DIGITS: Final = 6


def _answer(status: Status) -> dict[str, Any]:
    """Return the settings whose cost is told, with what their joules are counted by; {} if there is none."""
    found = {name: status[name] for name in (*_PRICED, "saving", "countedBy") if status.get(name)}
    return found if "countedBy" in found and any(name in found for name in _PRICED) else {}


def _told(site: Site, plan: Resource, status: Status) -> Told:
    rated = mapping(plan.get("spec")).get("requestsPerSecond") is not None
    per = UNIT_NAMES[status["countedBy"]]
    single = {name: _cost(site, per, status[name]) for name in ("choice", "today") if status.get(name)}
    leaders = [_cost(site, per, row) for row in status.get("leaders") or ()]
    found = common(site, [*single.values(), *leaders][0]) | {"powerOf": "allReplicas" if rated else "oneReplica"}
    found |= {name: amounts(cost) for name, cost in single.items()}
    if leaders:
        found["leaders"] = [amounts(cost) for cost in leaders]
    summary = texts(single["choice"]) if "choice" in single else {}
    saved = _saved(site, status, rated=rated)
    if saved:
        found["savesPerMonth"] = saved
        summary["savesPerMonth"] = saved_text(saved, site.currency)
    return Told(document=found, summary=summary)


PLANS: Final = Pricing(answer=_answer, told=_told)
"""How plans are priced: the choice, or those that may be it, beside how the model runs now."""


def saved_text(saved: Mapping[str, Any], currency: str | None) -> str:
    """Return what is saved in a month as text, with the ends of its interval: ``12 EUR (9 to 15), 4 kgCO2e (3 to 5)``.

    ``saved``: ``status.cost.savesPerMonth``.
    """
    of = {"money": (currency, 1.0), "gramsCo2e": ("kgCO2e", 1e-3)}
    told = []
    for name, (unit, times) in of.items():
        if name in saved:
            value, lower, upper = (significant(times * float(saved[name + end])) for end in _ENDS)
            told.append(f"{value} {unit} ({lower} to {upper})")
    return ", ".join(told)


def _cost(site: Site, per: str, row: Mapping[str, Any]) -> SiteCost:
    return cost_at(site, per, float(row["joules"]), float(row["averagePowerWatts"]))


def _saved(site: Site, status: Status, *, rated: bool) -> dict[str, float]:
    """Return what the choice saves of today's cost in a month; {} where the intervals do not tell which costs less."""
    if not all(status.get(name) for name in ("choice", "today", "saving")):
        return {}
    watts = _saved_watts(status["choice"], status["today"], status["saving"], rated=rated)
    if watts is None or watts[1] <= 0 <= watts[2]:
        return {}
    months = [cost_at(site, "", 0.0, each) for each in watts]
    money, grams = [each.money_per_month for each in months], [each.grams_co2e_per_month for each in months]
    return _with_ends("money", money) | _with_ends("gramsCo2e", grams)


def _saved_watts(
    choice: Mapping[str, Any], today: Mapping[str, Any], saving: Mapping[str, Any], *, rated: bool
) -> tuple[float, float, float] | None:
    """Return the mean power that the choice saves for the work that today's setting does, and the ends of its interval.

    At a rate both do the same work, so their powers are compared. Without one, today's setting is busy all the time,
    and the choice would do as much by its joules. The interval is that of the saving, which is of the ratio of joules.
    """
    if min(float(choice["joules"]), float(today["joules"]), float(today["averagePowerWatts"])) <= 0:
        return None
    joules = float(choice["joules"]) / float(today["joules"])
    ratio = float(choice["averagePowerWatts"]) / float(today["averagePowerWatts"]) if rated else joules
    lower, upper = (ratio * (1 - float(saving[_ENDS[end]]) / 100) / joules for end in ("Lower", "Upper"))
    value, low, high = (float(today["averagePowerWatts"]) * (1 - each) for each in (ratio, lower, upper))
    return value, low, high


def _with_ends(name: str, values: list[float | None]) -> dict[str, float]:
    """Return an amount and the ends of its interval as fields; {} where the site has no such figure.

    At a negative price the lower end of energy is the upper one of money.
    """
    known = [round_significant(each, _DIGITS) for each in values if each is not None]
    if not known:
        return {}
    value, *ends = known
    return {name: value, f"{name}Lower": min(ends), f"{name}Upper": max(ends)}
