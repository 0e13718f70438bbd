"""Compute what the first result of an estimate costs at a site, and put it into the estimate's status; pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from joulecast.site import Site, SiteCost, cost_at, cost_document
from joulecast_operator.api.annotations import significant
from joulecast_operator.api.conditions import Status, Waiting, Wrong, condition, condition_of
from joulecast_operator.api.objects import Resource, camel, mapping
from joulecast_operator.sites.choice import SiteState

COSTED: Final = "Costed"
"""Type of the condition that says whether the status has the cost of the first result."""

COST: Final = "cost"
"""The field of a status that has it."""

_SUMMARY: Final = ("site", "cost", "carbon")
_MANY: Final = 1000  # inferences, requests or tokens that the columns are of: one of them costs too little to read


def with_cost(estimate: Resource, desired: Status, state: SiteState | None, *, now: datetime) -> Status:
    """Return the ``desired`` status with what its first result costs. ``state``: the estimate's site.

    A status without results, and one that no site concerns, has neither a cost nor a condition about it. While a site
    cannot be read, the present cost stays.
    """
    results = desired.get("results")
    if isinstance(state, Waiting):
        return _kept(estimate, desired) if results else _without(desired)
    plain = _without(desired)
    if not results or state is None:
        return plain
    if isinstance(state, Wrong):
        return _with_condition(estimate, plain, state, now)
    of_all = mapping(plain.get("target")).get("averagePowerWatts")
    cost = cost_of(state, results[0], of_all)
    if cost is None:
        return plain
    summary = {**mapping(plain.get("summary")), **_summary(state, cost)}
    status = {**plain, COST: _document(state, cost, of_all), "summary": summary}
    return _with_condition(estimate, status, None, now, site=state.name)


def cost_of(site: Site, row: Mapping[str, Any], watts: float | None = None) -> SiteCost | None:
    """Return what a result costs at ``site``, an hour and a month included: of ``watts``, or of one replica that always
    runs if that is None. None if the result has no energy."""
    energy = unit_energy(row)
    if energy is None:
        return None
    per, joules = energy
    return cost_at(site, per, joules, float(row.get("averagePowerWatts") or 0.0) if watts is None else watts)


def unit_energy(row: Mapping[str, Any]) -> tuple[str, float] | None:
    """Return what stands for a result, by its phase, and the joules of one of it; None if the result lacks them."""
    phase = row.get("phase") or "forward"
    per, field = OF_PHASE.get(phase, ("", ""))
    joules = row.get(field)
    if not isinstance(joules, (int, float)):
        return None
    return per, float(joules) / (int(row.get("batchSize") or 1) if phase == "forward" else 1)


OF_PHASE: Final = {
    "forward": ("inference", "joulesPerBatch"),
    "prefill": ("input_token", "joulesPerInputToken"),
    "decode": ("output_token", "joulesPerOutputToken"),
    "request": ("request", "joulesPerRequest"),
}
"""What stands for a result, by its phase, and the field with the joules of one of it, or of a batch."""


def _document(site: Site, cost: SiteCost, watts: float | None) -> dict[str, Any]:
    found = {camel(name): value for name, value in cost_document(cost).items() if value is not None}
    found |= {"per": camel(cost.per), "powerOf": "oneReplica" if watts is None else "target"}
    if site.carbon_source and cost.grams_co2e is not None:
        found["carbonSource"] = site.carbon_source
    return found


def _summary(site: Site, cost: SiteCost) -> dict[str, str]:
    many = f"{_MANY:,} {cost.per.replace('_', ' ')}s"
    found = {"site": site.name}
    if cost.money is not None:
        found["cost"] = f"{significant(_MANY * cost.money.mean)} {cost.currency}/{many}"
    if cost.grams_co2e is not None:
        found["carbon"] = f"{significant(_MANY * cost.grams_co2e.mean)} gCO2e/{many}"
    return found


def _without(desired: Status) -> Status:
    """Return a status without what an earlier site gave it."""
    status = {name: value for name, value in desired.items() if name != COST}
    if "summary" in status:
        status["summary"] = {name: value for name, value in status["summary"].items() if name not in _SUMMARY}
    if "conditions" in status:
        status["conditions"] = [each for each in status["conditions"] if each.get("type") != COSTED]
    return status


def _kept(estimate: Resource, desired: Status) -> Status:
    """Return the ``desired`` status with the cost of the present one, if its results are the same."""
    current = mapping(estimate.get("status"))
    costed = condition(current, COSTED)
    if current.get("results") != desired.get("results") or costed is None:
        return _without(desired)
    summary = {name: value for name, value in mapping(current.get("summary")).items() if name in _SUMMARY}
    status = _without(desired)
    kept = {COST: current[COST]} if COST in current else {}
    status["conditions"] = [*status["conditions"][:-1], costed, *status["conditions"][-1:]]
    return {**status, **kept, "summary": {**mapping(status.get("summary")), **summary}}


def _with_condition(
    estimate: Resource, status: Status, wrong: Wrong | None, now: datetime, *, site: str = ""
) -> Status:
    """Return the status with the condition before the last one, which is Ready."""
    current = mapping(estimate.get("status"))
    generation = mapping(estimate.get("metadata")).get("generation")
    if wrong is None:
        said = condition_of(current, COSTED, "True", COSTED, f"costs are those at EnergySite {site}", generation, now)
    else:
        said = condition_of(current, COSTED, "False", wrong.reason, wrong.message, generation, now)
    *others, ready = status["conditions"]
    return {**status, "conditions": [*others, said, ready]}
