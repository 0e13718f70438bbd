"""Declare and collect the metrics of what forecasts cost and emit at the sites that price them."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from prometheus_client.core import GaugeMetricFamily

from joulecast_operator.api.objects import Resource, mapping
from joulecast_operator.metrics.declaration import Metric, finite
from joulecast_operator.metrics.exposition import LargeFamily, Point, label_text

_OBJECT: Final = ("namespace", "estimate", "site")

COST: Final = Metric(
    name="joulecast_predicted_cost",
    kind="gauge",
    labels=(*_OBJECT, "currency", "per"),
    text="Predicted mean cost of one inference, request or token (the label per) at the estimate's site, in the"
    " currency of the label.",
)
HOURLY_COST: Final = Metric(
    name="joulecast_predicted_cost_per_hour",
    kind="gauge",
    labels=(*_OBJECT, "currency"),
    text="Predicted mean cost of an hour of the forecast's power at the estimate's site, in the currency of the label.",
)
CARBON: Final = Metric(
    name="joulecast_predicted_carbon_grams",
    kind="gauge",
    labels=(*_OBJECT, "per"),
    text="Predicted mean carbon of one inference, request or token (the label per) at the estimate's site, in grams of"
    " CO2e.",
)
HOURLY_CARBON: Final = Metric(
    name="joulecast_predicted_carbon_per_hour_grams",
    kind="gauge",
    labels=_OBJECT,
    text="Predicted mean carbon of an hour of the forecast's power at the estimate's site, in grams of CO2e.",
)
COSTS: Final = (COST, HOURLY_COST, CARBON, HOURLY_CARBON)
"""All metrics of costs: at most one series of each for an estimate."""


class ServedCost(NamedTuple):
    """What an estimate costs as it is served.

    - ``labels``: values of the labels ``namespace``, ``estimate`` and ``site``.
    - ``currency``, ``per``: values of these labels.
    - ``values``: the value for each of ``COSTS``; None where there is none.
    """

    labels: tuple[str, str, str]
    currency: str
    per: str
    values: tuple[float | None, ...]

    @property
    def site(self) -> str:
        """Return the name of the site."""
        return self.labels[2]


def served_cost(namespace: str, estimate: str, status: Resource) -> ServedCost | None:
    """Return the cost in the status of a Ready estimate as it is served; None if the status has none."""
    cost = mapping(status.get("cost"))
    if not cost.get("site"):
        return None
    amounts = (
        mapping(cost.get(each)).get("mean") for each in ("money", "moneyPerHour", "gramsCo2e", "gramsCo2ePerHour")
    )
    labels = sys.intern(namespace), sys.intern(estimate), sys.intern(str(cost["site"]))
    currency, per = sys.intern(str(cost.get("currency") or "")), sys.intern(str(cost.get("per") or ""))
    return ServedCost(labels=labels, currency=currency, per=per, values=tuple(map(finite, amounts)))


def cost_families(costs: Iterable[ServedCost]) -> Iterator[GaugeMetricFamily]:
    """Yield the families of all costs."""
    points: dict[str, list[Point]] = {metric.name: [] for metric in COSTS}
    for cost in costs:
        further = {"currency": cost.currency, "per": cost.per}
        for metric, value in zip(COSTS, cost.values, strict=True):
            if value is not None:
                labels = (*cost.labels, *(further[name] for name in metric.labels[len(_OBJECT) :]))
                points[metric.name].append((labels, label_text(metric.labels, labels), value))
    for metric in COSTS:
        yield LargeFamily(metric.name, metric.text, metric.labels, points[metric.name])
