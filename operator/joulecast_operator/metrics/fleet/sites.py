"""Declare and collect the metrics of EnergySites."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from prometheus_client.core import GaugeMetricFamily

from joulecast_operator.api.conditions import READY, condition
from joulecast_operator.api.objects import Resource, mapping
from joulecast_operator.metrics.declaration import Metric, identity_of

SITE_FIGURES: Final = (
    Metric(
        name="joulecast_site_price_per_kilowatt_hour",
        kind="gauge",
        labels=("site", "currency"),
        text="Mean price of a kilowatt hour at an EnergySite over the day, in the currency of the label.",
        field="pricePerKilowattHour",
    ),
    Metric(
        name="joulecast_site_carbon_per_kilowatt_hour_grams",
        kind="gauge",
        labels=("site",),
        text="Mean carbon of a kilowatt hour at an EnergySite over the day, in grams of CO2e.",
        field="gramsCo2ePerKilowattHour",
    ),
    Metric(
        name="joulecast_site_power_usage_effectiveness_ratio",
        kind="gauge",
        labels=("site",),
        text="Mean energy of an EnergySite over that of its machines (PUE).",
        field="powerUsageEffectiveness",
    ),
    Metric(
        name="joulecast_site_priced_estimates",
        kind="gauge",
        labels=("site",),
        text="Number of estimates that an EnergySite prices, as its status says.",
        field="estimates",
    ),
    Metric(
        name="joulecast_site_priced_plans",
        kind="gauge",
        labels=("site",),
        text="Number of plans that an EnergySite prices, as its status says.",
        field="plans",
    ),
)

SITE_INFO: Final = Metric(
    name="joulecast_site_info",
    kind="gauge",
    labels=("site", "ready", "reason", "default", "carbon_source"),
    text="Always 1. The labels tell whether an EnergySite is Ready and why not, whether it is the default, and where"
    " its carbon is from.",
)

SITE_METRICS: Final = (*SITE_FIGURES, SITE_INFO)
"""All metrics of sites: one series of each for a site."""


def site_families(sites: Iterable[Resource]) -> Iterator[GaugeMetricFamily]:
    """Yield the families of all sites, from their statuses."""
    families = {metric.name: metric.family() for metric in SITE_METRICS}
    for site in sorted(sites, key=identity_of):
        _, name = identity_of(site)
        status = mapping(site.get("status"))
        for metric in SITE_FIGURES:
            value = status.get(metric.field)
            if isinstance(value, (int, float)):
                further = (str(status.get("currency") or ""),) if "currency" in metric.labels else ()
                families[metric.name].add_metric((name, *further), value)
        families[SITE_INFO.name].add_metric((name, *_facts(status)), 1)
    yield from families.values()


def _facts(status: Resource) -> tuple[str, str, str, str]:
    """Return the values of the labels of ``SITE_INFO`` after the site."""
    ready, default = (condition(status, kind) or {} for kind in (READY, "Default"))
    said = str(ready.get("status") or "Unknown"), str(ready.get("reason") or "")
    return *said, str(default.get("status") or "Unknown"), str(status.get("carbonSource") or "")
