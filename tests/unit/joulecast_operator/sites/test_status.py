"""Test what the status of an EnergySite says."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from joulecast.site import Site
from joulecast_operator.api.conditions import Waiting, Wrong
from joulecast_operator.api.sites.site import SiteStatus
from joulecast_operator.sites.choice import SiteState
from joulecast_operator.sites.status import site_status
from tests.unit.joulecast_operator.samples.sites import site

NOW = datetime(2026, 1, 2, tzinfo=UTC)
HERE = Site(
    name="falkenstein",
    price_per_kilowatt_hour=tuple(hour / 100 for hour in range(24)),
    currency="EUR",
    grams_co2e_per_kilowatt_hour=(363.0,),
    carbon_source="the contract",
)


def said(state: SiteState, defaults: Sequence[str] = ()) -> dict[str, Any]:
    return site_status(site(), state, defaults=defaults, priced={"estimates": 3, "plans": 2}, now=NOW)


def conditions(found: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {each["type"]: (each["status"], each["reason"]) for each in found["conditions"]}


def test_the_figures_in_use_are_shown_with_their_units() -> None:
    found = said(HERE, ["falkenstein"])
    assert found["summary"] == {
        "price": "0.115 (0–0.23) EUR/kWh",
        "powerUsageEffectiveness": "1",
        "carbon": "363 gCO2e/kWh",
    }
    assert (found["pricePerKilowattHour"], found["currency"]) == (0.115, "EUR")
    assert (found["estimates"], found["plans"]) == (3, 2)
    assert conditions(found) == {"Default": ("True", "Default"), "Ready": ("True", "Valid")}
    parsed = SiteStatus.model_validate(found).model_dump(mode="json", by_alias=True, exclude_none=True)
    assert parsed == found


def test_a_site_without_usable_figures_shows_none() -> None:
    found = said(Wrong(reason="ConfigMapNotFound", message="there is no ConfigMap"))
    assert not {"summary", "pricePerKilowattHour", "gramsCo2ePerKilowattHour"} & found.keys()
    assert conditions(found)["Ready"] == ("False", "ConfigMapNotFound")
    waiting = said(Waiting(reason="ConfigMapUnread", message="later"))
    assert conditions(waiting)["Ready"] == ("Unknown", "ConfigMapUnread")


def test_each_of_two_defaults_names_the_other() -> None:
    found = said(HERE, ["falkenstein", "oslo"])
    default, _ = found["conditions"]
    assert (default["status"], default["reason"]) == ("False", "SeveralDefaultSites")
    assert default["message"].startswith("oslo says spec.default too")
    assert conditions(said(HERE, ["oslo"]))["Default"] == ("False", "NotDefault")
