"""Compute the status of an EnergySite; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from joulecast.site import Hourly, Site
from joulecast.units import round_significant
from joulecast_operator.api.annotations import significant
from joulecast_operator.api.conditions import READY, ConditionRow, Status, Truth, Wrong, conditions_of
from joulecast_operator.api.objects import Resource, mapping
from joulecast_operator.sites.choice import SEVERAL_DEFAULTS, SiteState

DEFAULT: Final = "Default"
"""Type of the condition that says whether the site prices what names none."""

_DIGITS: Final = 6


def site_status(
    site: Resource, state: SiteState, *, defaults: Sequence[str], priced: Mapping[str, int], now: datetime
) -> Status:
    """Return the status. ``defaults``: the names of all sites that say that they are the default. ``priced``: how
    many objects this one prices, by the field that tells it."""
    metadata = mapping(site.get("metadata"))
    rows = _default(str(metadata.get("name")), defaults), _ready(state)
    status: Status = {"observedGeneration": metadata.get("generation"), **priced}
    if isinstance(state, Site):
        status |= _figures(state)
    status["conditions"] = conditions_of(site, rows, now=now)
    return {name: value for name, value in status.items() if value is not None}


def _default(name: str, defaults: Sequence[str]) -> ConditionRow:
    if name not in defaults:
        return DEFAULT, "False", "NotDefault", "the site prices the estimates and plans that name it in spec.siteName"
    if len(defaults) == 1:
        return DEFAULT, "True", "Default", "the site prices the estimates and plans that name no other"
    others = ", ".join(each for each in defaults if each != name)
    return (
        DEFAULT,
        "False",
        SEVERAL_DEFAULTS,
        f"{others} says spec.default too, so none prices what names no site: leave it to one",
    )


def _ready(state: SiteState) -> ConditionRow:
    if isinstance(state, Site):
        return READY, "True", "Valid", "estimates and plans are priced by these figures"
    truth: Truth = "False" if isinstance(state, Wrong) else "Unknown"
    return READY, truth, state.reason, state.message


def _figures(site: Site) -> Status:
    price, carbon = site.price_per_kilowatt_hour, site.grams_co2e_per_kilowatt_hour
    effectiveness = site.power_usage_effectiveness
    summary = {"powerUsageEffectiveness": _text(effectiveness)}
    figures: Status = {"powerUsageEffectiveness": _mean(effectiveness)}
    if price is not None:
        figures |= {"pricePerKilowattHour": _mean(price), "currency": site.currency}
        summary["price"] = f"{_text(price)} {site.currency}/kWh"
    if carbon is not None:
        figures |= {"gramsCo2ePerKilowattHour": _mean(carbon), "carbonSource": site.carbon_source}
        summary["carbon"] = f"{_text(carbon)} gCO2e/kWh"
    return figures | {"summary": summary}


def _mean(values: Hourly) -> float:
    return round_significant(sum(values) / len(values), _DIGITS)


def _text(values: Hourly) -> str:
    """Return the mean, and of a value for each hour the lowest and the highest."""
    mean = significant(sum(values) / len(values))
    return mean if len(values) == 1 else f"{mean} ({significant(min(values))}–{significant(max(values))})"
