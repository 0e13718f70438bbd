"""Test what the settings of a plan cost at a site, and what the choice saves of today's cost in a month."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from joulecast.site import Site
from joulecast_operator.api.conditions import Waiting, Wrong
from joulecast_operator.api.plans.status import PlanStatus
from joulecast_operator.plans.costs import PLANS
from joulecast_operator.plans.status import desired_status
from joulecast_operator.sites.choice import SiteState
from joulecast_operator.sites.costed import COSTED, with_cost
from tests.unit.joulecast_operator.samples.costs import HERE, conditions
from tests.unit.joulecast_operator.samples.estimates import REQUEST
from tests.unit.joulecast_operator.samples.plans import H200, L40S, plan, planned, setting

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LATER = datetime(2026, 1, 3, tzinfo=UTC)
TODAY = setting(L40S, 0.15, averagePowerWatts=450.0)
MONTH_OF_A_WATT = 1e-3 * 1.2 * 0.25 * 730.5
GONE = Wrong(reason="SiteNotFound", message="there is no EnergySite 'here'")
RATED = {"model": {"image": REQUEST.image}, "requestsPerSecond": "200"}


def told(
    state: SiteState | None = HERE,
    *,
    current: dict[str, Any] | None = None,
    spec: dict[str, Any] = RATED,
    **answer: Any,
) -> dict[str, Any]:
    """Return the status of a plan with its costs. ``current``: the status that it has until then."""
    now = NOW if current is None else LATER
    resource = plan(status=current, **spec)
    desired = desired_status(resource, planned(**{"today": TODAY} | answer), request=REQUEST, now=now)
    found = with_cost(resource, desired, state, pricing=PLANS, now=now)
    parsed = PlanStatus.model_validate(found).model_dump(mode="json", by_alias=True, exclude_unset=True)
    assert parsed.get("cost") == found.get("cost"), "every field is one of the schema"
    return found


def test_choice_and_today_cost_by_inference_and_by_month_of_all_replicas_at_the_rate() -> None:
    found = told()
    cost = found["cost"]
    assert (cost["site"], cost["per"], cost["currency"], cost["carbonSource"]) == (
        "here", "inference", "EUR", "the contract",
    )  # fmt: skip
    assert cost["powerOf"] == "allReplicas"
    assert cost["choice"]["money"]["mean"] == pytest.approx(0.1 / 3.6e6 * 1.2 * 0.25, rel=1e-5)
    assert cost["choice"]["moneyPerMonth"] == pytest.approx(300 * MONTH_OF_A_WATT, rel=1e-5)
    assert cost["today"]["moneyPerMonth"] == pytest.approx(450 * MONTH_OF_A_WATT, rel=1e-5)
    assert cost["today"]["gramsCo2ePerHour"]["mean"] == pytest.approx(450e-3 * 1.2 * 400)
    assert found["summary"]["cost"] == "0.00000833 EUR/1,000 inferences"
    assert found["summary"]["site"] == "here"
    assert list(conditions(found))[-2:] == [COSTED, "Ready"]


def test_a_month_saves_the_difference_of_both_within_the_interval_of_the_saving() -> None:
    found = told()
    saved, cost = found["cost"]["savesPerMonth"], found["cost"]
    assert saved["money"] == pytest.approx(cost["today"]["moneyPerMonth"] - cost["choice"]["moneyPerMonth"], rel=1e-4)
    assert saved["moneyLower"] == pytest.approx(0.21 * cost["today"]["moneyPerMonth"], rel=1e-4)
    assert saved["moneyUpper"] == pytest.approx(0.44 * cost["today"]["moneyPerMonth"], rel=1e-4)
    assert saved["gramsCo2e"] == pytest.approx(saved["money"] / 0.25 * 400, rel=1e-4)
    assert found["summary"]["savesPerMonth"] == "32.9 EUR (20.7 to 43.4), 52.6 kgCO2e (33.1 to 69.4)"


def test_without_a_rate_a_month_is_of_the_work_of_one_replica_of_today() -> None:
    """The choice draws more power, and completes far more: the saving is of joules for the same work."""
    spec = {"model": {"image": REQUEST.image}}
    cost = told(spec=spec, choice=setting(averagePowerWatts=600.0))["cost"]
    assert cost["powerOf"] == "oneReplica"
    assert cost["choice"]["moneyPerMonth"] > cost["today"]["moneyPerMonth"]
    assert cost["savesPerMonth"]["money"] == pytest.approx(cost["today"]["moneyPerMonth"] / 3, rel=1e-4)
    assert cost["savesPerMonth"]["moneyLower"] == pytest.approx(0.21 * cost["today"]["moneyPerMonth"], rel=1e-4)


def test_a_rate_counts_by_power_where_joules_are_those_of_a_token() -> None:
    """Joules of an output token leave out those of the input, which the power of all replicas has."""
    choice, today = setting(averagePowerWatts=400.0), setting(L40S, 0.15, averagePowerWatts=500.0)
    cost = told(unit="output_token", choice=choice, today=today)["cost"]
    assert cost["per"] == "outputToken"
    assert cost["savesPerMonth"]["money"] == pytest.approx(100 * MONTH_OF_A_WATT, rel=1e-4)
    assert cost["savesPerMonth"]["moneyLower"] == pytest.approx((500 - 400 * 0.79 * 1.5) * MONTH_OF_A_WATT, rel=1e-4)


@pytest.mark.parametrize(
    ("percents", "says"), [((3.0, -9.0, 14.0), False), ((0.0, -8.0, 7.0), False), ((-30.0, -45.0, -12.0), True)]
)
def test_a_month_is_told_only_where_the_intervals_tell_which_needs_less(
    percents: tuple[float, float, float], says: bool
) -> None:
    names = "percent", "percentLower", "percentUpper"
    joules = 0.15 * (1 - percents[0] / 100)
    choice = setting(joules=joules, averagePowerWatts=joules * 3000)
    found = told(choice=choice, saving=dict(zip(names, percents, strict=True)) | {"worthwhile": False})
    assert ("savesPerMonth" in found["cost"]) is ("savesPerMonth" in found["summary"]) is says
    assert found["cost"]["today"]
    if says:
        saved = found["cost"]["savesPerMonth"]
        assert saved["moneyLower"] < saved["money"] < saved["moneyUpper"] < 0


def test_without_a_choice_each_that_may_be_it_is_priced_and_nothing_is_said_to_be_saved() -> None:
    leaders = [setting(), setting(L40S, 0.11)]
    found = told(choice=None, leaders=leaders)
    means = [each["money"]["mean"] for each in found["cost"]["leaders"]]
    assert means[1] == pytest.approx(1.1 * means[0], rel=1e-5)
    assert not {"choice", "savesPerMonth"} & found["cost"].keys()
    assert not {"cost", "savesPerMonth"} & found["summary"].keys()
    assert "today" not in told(choice=None, leaders=leaders, today=None, saving=None)["cost"]


def test_a_plan_with_nothing_to_price_has_neither_a_cost_nor_a_condition() -> None:
    nothing = {"choice": None, "runners_up": [], "today": None, "saving": None}
    for state in (HERE, GONE):
        found = told(state, **nothing)
        assert COSTED not in conditions(found)
        assert "cost" not in found


def test_a_site_without_a_price_saves_carbon_alone_and_a_negative_price_turns_the_ends_around() -> None:
    dark = told(Site(name="dark", grams_co2e_per_kilowatt_hour=(100.0,)))
    assert set(dark["cost"]["savesPerMonth"]) == {"gramsCo2e", "gramsCo2eLower", "gramsCo2eUpper"}
    assert dark["summary"]["savesPerMonth"].endswith("kgCO2e (6.9 to 14.5)")
    paid = told(replace(HERE, price_per_kilowatt_hour=(-0.1,)))["cost"]["savesPerMonth"]
    assert paid["moneyLower"] < paid["money"] < paid["moneyUpper"] < 0


def test_the_same_plan_and_figures_are_the_same_status_later() -> None:
    first = told()
    assert told(current=first) == first, "neither a time nor a text changes"


def test_another_price_changes_the_cost_alone_and_a_site_that_is_gone_takes_it_away() -> None:
    first = told()
    dearer = told(replace(HERE, price_per_kilowatt_hour=(0.5,)), current=first)
    assert dearer["cost"]["savesPerMonth"]["money"] == pytest.approx(2 * first["cost"]["savesPerMonth"]["money"])
    assert (dearer["plannedAt"], dearer["choice"]) == (first["plannedAt"], first["choice"])
    gone = told(GONE, current=first)
    assert "cost" not in gone
    assert not {"cost", "carbon", "site", "savesPerMonth"} & gone["summary"].keys()
    assert conditions(gone)[COSTED]["reason"] == "SiteNotFound"
    waiting = Waiting(reason="ConfigMapUnread", message="later")
    assert told(waiting, current=first) == first
    assert "cost" not in told(waiting, current=first, choice=setting(H200, 0.09))
