"""Test the series of what forecasts cost."""

from __future__ import annotations

from typing import Any

from joulecast_operator.metrics.estimates import shown
from joulecast_operator.metrics.fleet.costs import COSTS, cost_families, served_cost
from tests.unit.joulecast_operator.samples.scrapes import scrape
from tests.unit.joulecast_operator.samples.sites import COST
from tests.unit.joulecast_operator.samples.workloads import estimate


def priced(name: str = "detector", *, ready: str = "True", **changes: Any) -> dict[str, Any]:
    found = estimate(name, ready=ready)
    found["status"]["cost"] = {key: value for key, value in (COST | changes).items() if value is not None}
    return found


def test_a_priced_estimate_has_one_series_of_each_with_its_site_and_currency() -> None:
    found = {name: (dict(labels), value) for (name, labels), value in scrape(priced(), all_results=True).items()}
    own = {"namespace": "shop", "estimate": "detector", "site": "here"}
    assert {metric.name: found[metric.name] for metric in COSTS} == {
        "joulecast_predicted_cost": (own | {"currency": "EUR", "per": "inference"}, 2e-6),
        "joulecast_predicted_cost_per_hour": (own | {"currency": "EUR"}, 0.1),
        "joulecast_predicted_carbon_grams": (own | {"per": "inference"}, 0.003),
        "joulecast_predicted_carbon_per_hour_grams": (own, 120.0),
    }


def test_what_is_not_known_and_what_is_not_ready_has_no_series() -> None:
    rows = [shown(each)[0].cost for each in (priced(money=None, moneyPerHour=None), priced("late", ready="Unknown"))]
    assert rows[1] is shown(estimate())[0].cost is None
    assert rows[0] is not None
    found = {family.name: len(family.samples) for family in cost_families(rows[:1])}
    assert list(found.values()) == [0, 0, 1, 1]

    assert served_cost("shop", "x", {}) is None
