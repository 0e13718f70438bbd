"""Compute what the first result of an estimate costs at a site; pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from joulecast.site import Site, SiteCost, cost_at, cost_document
from joulecast_operator.api.annotations import significant
from joulecast_operator.api.conditions import Status
from joulecast_operator.api.objects import Resource, camel, mapping
from joulecast_operator.sites.costed import Pricing, Told

_MANY: Final = 1000  # inferences, requests or tokens that the columns are of: one of them costs too little to read
_COMMON: Final = ("site", "per", "currency")
"""The fields of a cost that are the same of everything that is priced at a site."""


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


def _told(site: Site, _: Resource, status: Status) -> Told | None:
    of_all = mapping(status.get("target")).get("averagePowerWatts")
    cost = cost_of(site, status["results"][0], of_all)
    if cost is None:
        return None
    found = common(site, cost) | amounts(cost) | {"powerOf": "oneReplica" if of_all is None else "target"}
    return Told(document=found, summary=texts(cost))


ESTIMATES: Final = Pricing(answer=lambda status: status.get("results"), told=_told)
"""How estimates are priced: by their first result."""


def common(site: Site, cost: SiteCost) -> dict[str, Any]:
    """Return what is the same of all costs at ``site``: its name, what a cost is per, currency, source of carbon."""
    found: dict[str, Any] = {"site": cost.site, "per": camel(cost.per)}
    if cost.currency is not None:
        found["currency"] = cost.currency
    if site.carbon_source and cost.grams_co2e is not None:
        found["carbonSource"] = site.carbon_source
    return found


def amounts(cost: SiteCost) -> dict[str, Any]:
    """Return energy, money and carbon of a cost as fields of a status."""
    document = cost_document(cost)
    return {camel(name): value for name, value in document.items() if value is not None and name not in _COMMON}


def texts(cost: SiteCost) -> dict[str, str]:
    """Return money and carbon of a cost as texts of a summary."""
    many = f"{_MANY:,} {cost.per.replace('_', ' ')}s"
    found = {}
    if cost.money is not None:
        found["cost"] = f"{significant(_MANY * cost.money.mean)} {cost.currency}/{many}"
    if cost.grams_co2e is not None:
        found["carbon"] = f"{significant(_MANY * cost.grams_co2e.mean)} gCO2e/{many}"
    return found
