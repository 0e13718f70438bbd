"""Costs and carbon at a site: arithmetic by hand, by hour, and what is refused."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import pytest

from joulecast import site as sites
from joulecast.errors import DocumentError, WorkloadError
from joulecast.site import Site, cost_at, cost_document, site_document, zone_carbon


def made(**fields: object) -> Site:
    return Site.of_document({"name": "here", **fields})


def test_a_kilowatt_hour_costs_its_price_and_emits_its_carbon_times_the_cooling() -> None:
    here = made(
        price_per_kilowatt_hour=0.25, currency="EUR", power_usage_effectiveness=1.2, grams_co2e_per_kilowatt_hour=400
    )
    found = cost_at(here, "request", 3.6e6, 500.0)
    assert (found.site, found.per, found.currency) == ("here", "request", "EUR")
    assert found.money is not None
    assert found.money_per_hour is not None
    assert found.grams_co2e is not None
    assert found.kilowatt_hours == pytest.approx(1.2)
    assert found.kilowatts == pytest.approx(0.6)
    assert found.money.mean == found.money.lowest == found.money.highest == pytest.approx(0.3)
    assert found.money_per_hour.mean == pytest.approx(0.15)
    assert found.money_per_month == pytest.approx(0.15 * 730.5)
    assert found.grams_co2e.mean == pytest.approx(480)
    assert found.grams_co2e_per_month == pytest.approx(240 * 730.5)


def test_hours_of_price_and_cooling_are_multiplied_hour_by_hour() -> None:
    """Dear hours that need no cooling: the mean of the products is not the product of the means."""
    here = made(
        price_per_kilowatt_hour=[1.0] * 12 + [3.0] * 12, currency="EUR", power_usage_effectiveness=[2] * 12 + [1] * 12
    )
    found = cost_at(here, "inference", 3.6e6, 1000.0)
    assert found.money is not None
    assert (found.money.mean, found.money.lowest, found.money.highest) == pytest.approx((2.5, 2.0, 3.0))
    assert found.kilowatt_hours == pytest.approx(1.5)


def test_what_a_site_does_not_tell_is_none() -> None:
    found = cost_at(made(), "inference", 1.0, 1.0)
    assert found.money is found.money_per_month is found.grams_co2e is found.currency is None
    assert cost_document(found)["kilowatts"] == 0.001
    assert site_document(made())["power_usage_effectiveness"] == 1.0


def test_a_zone_is_codecarbons_and_says_so() -> None:
    pytest.importorskip("codecarbon")
    here = made(zone="fra")
    assert here.carbon_source is not None
    assert here.carbon_source.startswith(f"codecarbon {version('codecarbon')}: France, 20")
    assert here.grams_co2e_per_kilowatt_hour is not None
    (grams,) = here.grams_co2e_per_kilowatt_hour
    assert 10 < grams < 150
    assert Site.of_document({"zone": "DEU"}).name == "DEU"


def test_a_figure_given_wins_over_the_zone() -> None:
    assert made(zone="DEU", grams_co2e_per_kilowatt_hour=30).grams_co2e_per_kilowatt_hour == (30.0,)


def test_a_zone_without_codecarbon_or_of_no_country_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(WorkloadError, match="unknown zone 'XX'"):
        zone_carbon("XX")
    monkeypatch.setattr(sites, "_PACKAGE", "a_package_that_is_not_installed")
    sites._countries.cache_clear()
    try:
        with pytest.raises(WorkloadError, match="pip install codecarbon, or give grams") as refused:
            zone_carbon("DEU")
        assert refused.value.reason == "MissingDependency"
    finally:
        sites._countries.cache_clear()


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"price_per_kilowatt_hour": 1}, "price_per_kilowatt_hour and currency, or neither"),
        ({"currency": "EUR"}, "price_per_kilowatt_hour and currency, or neither"),
        ({"power_usage_effectiveness": 0.9}, "power_usage_effectiveness is 0.9: give a number from 1 to 10"),
        ({"grams_co2e_per_kilowatt_hour": [1, 2]}, "has 2 values: give 1, or 24"),
        ({"grams_co2e_per_kilowatt_hour": float("nan")}, "give a number from 0 to 2000"),
        ({"grams_co2e_per_kilowatt_hour": "much"}, "is 'much': give a number, or 24 of them"),
        ({"name": ""}, "a site has no name"),
        ({"name": 3}, "name of a site is 3: give a text"),
        ({"price": 3}, "a site has no field 'price'"),
    ],
)
def test_a_site_that_cannot_be_is_refused_by_field(fields: dict[str, object], said: str) -> None:
    with pytest.raises(WorkloadError, match=said):
        made(**fields)


def test_a_file_is_a_site_by_its_own_name(tmp_path: Path) -> None:
    file = tmp_path / "hall.yaml"
    file.write_text("price_per_kilowatt_hour: 0.2\ncurrency: EUR\n")
    assert Site.from_file(file) == Site(name="hall", price_per_kilowatt_hour=(0.2,), currency="EUR")
    file.write_text("[1, 2")
    with pytest.raises(DocumentError, match="cannot be read as a site"):
        Site.from_file(file)
    file.write_text("- 1")
    with pytest.raises(DocumentError, match="does not describe a site"):
        Site.from_file(file)
