"""Test the series of EnergySites."""

from __future__ import annotations

from joulecast_operator.metrics.fleet.sites import SITE_FIGURES, SITE_INFO, site_families
from tests.unit.joulecast_operator.samples.scrapes import scrape
from tests.unit.joulecast_operator.samples.sites import STATUS, site


def test_a_site_has_one_series_of_each_figure_and_an_info() -> None:
    found = {name: (dict(labels), value) for (name, labels), value in scrape(sites=(site(status=STATUS),)).items()}
    assert {metric.name: found[metric.name] for metric in SITE_FIGURES} == {
        "joulecast_site_price_per_kilowatt_hour": ({"site": "falkenstein", "currency": "EUR"}, 0.21),
        "joulecast_site_carbon_per_kilowatt_hour_grams": ({"site": "falkenstein"}, 363.0),
        "joulecast_site_power_usage_effectiveness_ratio": ({"site": "falkenstein"}, 1.15),
        "joulecast_site_priced_estimates": ({"site": "falkenstein"}, 4.0),
        "joulecast_site_priced_plans": ({"site": "falkenstein"}, 2.0),
    }
    labels, one = found[SITE_INFO.name]
    assert (one, labels["ready"], labels["default"]) == (1.0, "True", "True")
    assert labels["carbon_source"] == "codecarbon 3: Germany, 2023"


def test_a_site_without_figures_has_its_info_alone() -> None:
    families = site_families([site()])
    assert {family.name for family in families if family.samples} == {SITE_INFO.name}
