"""Test how the figures of an EnergySite are read from its spec and its ConfigMap, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from joulecast.site import Site
from joulecast_operator.api.conditions import Wrong
from joulecast_operator.api.sites.site import SiteSpec
from joulecast_operator.sites.figures import lacks_figures, site_of, spec_of
from tests.unit.joulecast_operator.samples.sites import site

HOURS = " ".join(str(hour / 100) for hour in range(24))


def spec(**fields: Any) -> SiteSpec:
    found = spec_of(site(**fields))
    assert isinstance(found, SiteSpec)
    return found


def read(data: dict[str, Any] | None = None, **fields: Any) -> Site:
    found = site_of("here", spec(**fields), data)
    assert isinstance(found, Site), found
    return found


def refused(data: dict[str, Any] | None = None, **fields: Any) -> Wrong:
    found = site_of("here", spec(**fields), data)
    assert isinstance(found, Wrong)
    return found


def test_figures_of_a_spec_are_integers_or_decimal_texts() -> None:
    found = read()
    assert (found.name, found.currency, found.carbon_source) == ("here", "EUR", "the operator's contract")
    assert found.price_per_kilowatt_hour == (0.25,)
    assert found.power_usage_effectiveness == (1.2,)
    assert found.grams_co2e_per_kilowatt_hour == (400.0,)


def test_the_figures_of_a_config_map_go_before_those_of_the_spec() -> None:
    found = read({"pricePerKilowattHour": HOURS, "unrelated": "x"})
    assert found.price_per_kilowatt_hour == tuple(hour / 100 for hour in range(24))
    assert found.power_usage_effectiveness == (1.2,)


@pytest.mark.parametrize("text", ["0.1, 0.2\n0.3 " + "1 " * 21, "0.1,0.2,0.3" + ",1" * 21 + "\n"])
def test_numbers_of_a_config_map_are_separated_by_spaces_commas_or_line_ends(text: str) -> None:
    found = read({"pricePerKilowattHour": text}, currency="EUR", configMapRef={"name": "prices"})
    assert found.price_per_kilowatt_hour == (0.1, 0.2, 0.3, *[1.0] * 21)


@pytest.mark.parametrize("text", ["", "cheap", "0.1 0,2x", "1e3", "nan", "inf", "1 " * 2000])
def test_a_text_that_is_no_number_is_named(text: str) -> None:
    found = refused({"pricePerKilowattHour": text}, currency="EUR", configMapRef={"name": "prices"})
    assert found.reason == "InvalidSite"
    assert found.message.startswith("key 'pricePerKilowattHour' of ConfigMap 'prices' is ")
    assert len(found.message) < 200


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"pricePerKilowattHour": "1 2 3"}, "pricePerKilowattHour has 3 values: give 1, or 24, one an hour"),
        ({"powerUsageEffectiveness": "0.9"}, "powerUsageEffectiveness is 0.9: give a number from 1 to 10"),
        ({"gramsCo2ePerKilowattHour": "-1"}, "gramsCo2ePerKilowattHour is -1.0: give a number from 0 to 2000"),
    ],
)
def test_what_no_site_has_is_told_by_the_fields_of_the_spec(data: dict[str, Any], said: str) -> None:
    found = refused(data)
    assert (found.reason, found.message) == ("InvalidSite", f"site 'here': {said}")


def test_a_price_without_a_currency_is_refused() -> None:
    found = refused({"pricePerKilowattHour": "0.2"}, zone="DEU", configMapRef={"name": "prices"})
    assert "give spec.currency" in found.message


def test_a_currency_waits_for_the_price_of_the_config_map() -> None:
    found = read({"gramsCo2ePerKilowattHour": "300"}, currency="EUR", configMapRef={"name": "prices"})
    assert found.currency is found.price_per_kilowatt_hour is None


def test_the_carbon_of_a_zone_is_codecarbons_unless_a_figure_is_given() -> None:
    pytest.importorskip("codecarbon")
    assert str(read(zone="FRA").carbon_source).startswith("codecarbon ")
    given = read({"gramsCo2ePerKilowattHour": "50"}, zone="FRA", configMapRef={"name": "carbon"})
    assert (given.grams_co2e_per_kilowatt_hour, given.carbon_source) == ((50.0,), None)
    assert refused(zone="XXX").message.startswith("unknown zone 'XXX': give a country")


def test_a_spec_of_another_schema_is_refused_by_its_field() -> None:
    found = spec_of(site(pricePerKilowattHour=["0.1"], currency=5))
    assert isinstance(found, Wrong)
    assert found.message.startswith("spec.currency: ")


def test_a_config_map_without_any_of_the_keys_has_no_figures() -> None:
    assert lacks_figures({"price": "0.1"})
    assert lacks_figures({})
    assert not lacks_figures({"gramsCo2ePerKilowattHour": "1"})
