"""Read the figures of an EnergySite from its spec and its ConfigMap; pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import ValidationError

from joulecast.errors import WorkloadError
from joulecast.site import Site
from joulecast_operator.api.conditions import Wrong, invalid_spec
from joulecast_operator.api.objects import Resource
from joulecast_operator.api.sites.site import EnergySite, SiteSpec

FIGURES: Final = {
    "pricePerKilowattHour": "price_per_kilowatt_hour",
    "powerUsageEffectiveness": "power_usage_effectiveness",
    "gramsCo2ePerKilowattHour": "grams_co2e_per_kilowatt_hour",
}
"""The fields of a spec, and keys of a ConfigMap, that hold figures, with the field of a ``Site`` that each one is."""

_NUMBER: Final = re.compile(r"-?[0-9]+([.][0-9]+)?")
_TEXT_CHARACTERS: Final = 1024  # of one key of a ConfigMap: 24 numbers have some 200
_SHOWN: Final = 40  # characters of a text that is no number


def spec_of(site: Resource) -> SiteSpec | Wrong:
    """Return the validated spec. It is validated again, because the object may be older than the present CRD."""
    try:
        return EnergySite.model_validate(site).spec
    except ValidationError as error:
        return invalid_spec(error, "correct the EnergySite")


def site_of(name: str, spec: SiteSpec, data: Mapping[str, Any] | None = None) -> Site | Wrong:
    """Return the site that ``spec`` describes. ``data``: that of its ConfigMap, whose figures go before the spec's."""
    given = {field: getattr(spec, field) for field in FIGURES.values()}
    for key, text in _relevant(data).items():
        numbers = _numbers(str(text))
        if numbers is None:
            return _unreadable(spec, key, str(text))
        given[FIGURES[key]] = numbers
    if given["price_per_kilowatt_hour"] is not None and spec.currency is None:
        return _without_currency(name)
    carbon = {"carbon_source": spec.carbon_source}
    if given["grams_co2e_per_kilowatt_hour"] is None and spec.zone is not None:
        carbon = {"zone": spec.zone}
    currency = spec.currency if given["price_per_kilowatt_hour"] is not None else None
    figures = {field: [float(each) for each in values] for field, values in given.items() if values is not None}
    try:
        return Site.of_document({"name": name, "currency": currency, **carbon, **figures})
    except WorkloadError as error:
        return Wrong(reason=_reason(error), message=_in_fields(str(error)))


def lacks_figures(data: Mapping[str, Any]) -> bool:
    """Tell whether a ConfigMap has none of the keys that a site takes."""
    return not _relevant(data)


def _relevant(data: Mapping[str, Any] | None) -> dict[str, Any]:
    return {key: data[key] for key in FIGURES if key in data} if data else {}


def _numbers(text: str) -> Sequence[float] | None:
    """Return the numbers of a text, separated by spaces, commas or line ends; None if there is anything else."""
    words = text.replace(",", " ").split() if len(text) <= _TEXT_CHARACTERS else []
    return [float(word) for word in words] if words and all(map(_NUMBER.fullmatch, words)) else None


def _unreadable(spec: SiteSpec, key: str, text: str) -> Wrong:
    named = spec.config_map_ref.name if spec.config_map_ref else ""
    return Wrong(
        reason="InvalidSite",
        message=f"key {key!r} of ConfigMap {named!r} is {text[:_SHOWN]!r}: give one number, or 24 separated by spaces,"
        " such as 0.21",
    )


def _without_currency(name: str) -> Wrong:
    return Wrong(
        reason="InvalidSite", message=f"site {name!r} has a price without a currency: give spec.currency, such as EUR"
    )


def _reason(error: WorkloadError) -> str:
    """Return the reason of the condition: a site that describes itself wrongly is named so."""
    return error.reason if error.reason != WorkloadError.default_reason else "InvalidSite"


def _in_fields(message: str) -> str:
    """Replace the names of a ``Site`` in a message by fields of the spec."""
    for field, name in FIGURES.items():
        message = message.replace(name, field)
    return message
