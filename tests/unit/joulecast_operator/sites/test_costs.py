"""Test what the status of an estimate says about the cost of its first result."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from joulecast.site import Site
from joulecast_operator.api.conditions import Waiting, Wrong
from joulecast_operator.api.estimates import EstimateStatus
from joulecast_operator.sites.choice import SiteState
from joulecast_operator.sites.costs import COST, COSTED, cost_of, with_cost
from tests.unit.joulecast_operator.samples import estimates as samples

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LATER = datetime(2026, 1, 3, tzinfo=UTC)
HERE = Site(
    name="here",
    price_per_kilowatt_hour=(0.25,),
    currency="EUR",
    power_usage_effectiveness=(1.2,),
    grams_co2e_per_kilowatt_hour=(400.0,),
    carbon_source="the contract",
)
GONE = Wrong(reason="SiteNotFound", message="there is no EnergySite 'here'")


def status(**changes: Any) -> dict[str, Any]:
    ready = {"type": "Ready", "status": "True", "reason": "Estimated", "message": ""}
    found = {"results": [samples.row(joules=3.6)], "summary": {"joules": "3.6 J/batch"}, "conditions": [ready]}
    return found | changes


def costed(state: SiteState | None, *, current: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    return with_cost(samples.estimate(status=current), status(**changes), state, now=NOW if current is None else LATER)


def conditions(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {each["type"]: each for each in found["conditions"]}


def test_the_cost_of_an_inference_is_that_of_its_share_of_the_batch() -> None:
    found = costed(HERE)
    cost = found[COST]
    kilowatt_hours = 3.6 / 32 / 3.6e6 * 1.2
    assert (cost["site"], cost["per"], cost["currency"]) == ("here", "inference", "EUR")
    assert (cost["kilowatts"], cost["powerOf"]) == (pytest.approx(0.36), "oneReplica")
    assert cost["kilowattHours"] == pytest.approx(kilowatt_hours, rel=1e-5)
    assert cost["money"]["mean"] == cost["money"]["highest"] == pytest.approx(0.25 * kilowatt_hours, rel=1e-5)
    assert cost["moneyPerHour"]["mean"] == pytest.approx(0.3 * 1.2 * 0.25)
    assert cost["moneyPerMonth"] == pytest.approx(0.3 * 1.2 * 0.25 * 730.5, rel=1e-5)
    assert cost["gramsCo2ePerHour"]["mean"] == pytest.approx(0.3 * 1.2 * 400)
    assert cost["carbonSource"] == "the contract"
    assert found["summary"]["cost"] == "0.00000938 EUR/1,000 inferences"
    assert found["summary"]["carbon"] == "0.015 gCO2e/1,000 inferences"
    assert found["summary"]["site"] == "here"
    assert list(conditions(found)) == [COSTED, "Ready"]
    assert conditions(found)[COSTED]["message"] == "costs are those at EnergySite here"


@pytest.mark.parametrize(
    ("phase", "per", "joules"),
    [("request", "request", 3.1), ("prefill", "input_token", 0.001), ("decode", "output_token", 0.012)],
)
def test_a_language_model_costs_by_request_or_token(phase: str, per: str, joules: float) -> None:
    found = cost_of(HERE, samples.generation(phase=phase))
    assert found is not None
    assert found.per == per
    assert found.kilowatt_hours == pytest.approx(joules / 3.6e6 * 1.2)


def test_an_hour_is_of_all_pods_where_their_power_is_known() -> None:
    target = {"kind": "Deployment", "name": "web", "pods": 4, "averagePowerWatts": 1000.0}
    cost = costed(HERE, target=target)[COST]
    assert (cost["kilowatts"], cost["powerOf"]) == (1.2, "target")
    assert cost["moneyPerHour"]["mean"] == pytest.approx(0.3)
    assert cost["money"] == costed(HERE)[COST]["money"]


def test_a_result_without_energy_costs_nothing_that_is_known() -> None:
    assert COST not in costed(HERE, results=[{"phase": "request", "accelerator": "NVIDIA-H200"}])
    assert COST not in costed(HERE, results=[{"phase": "later", "joulesPerBatch": 1.0}])


def test_every_field_is_one_of_the_schema() -> None:
    cost = costed(HERE)[COST]
    parsed = EstimateStatus.model_validate({COST: cost}).model_dump(mode="json", by_alias=True, exclude_none=True)
    assert json.loads(json.dumps(parsed[COST])) == cost


def test_a_site_without_a_price_has_no_money_and_one_without_carbon_no_grams() -> None:
    found = costed(Site(name="dark", grams_co2e_per_kilowatt_hour=(1.0,)))
    assert not [name for name in found[COST] if name.startswith(("money", "currency"))]
    assert "cost" not in found["summary"]
    found = costed(Site(name="cheap", price_per_kilowatt_hour=(0.1,), currency="USD"))
    assert not [name for name in found[COST] if name.startswith(("grams", "carbon"))]


def test_an_estimate_that_no_site_concerns_and_one_without_results_are_as_before() -> None:
    assert costed(None) == status()
    pending = status(results=None)
    assert with_cost(samples.estimate(), pending, HERE, now=NOW) == pending
    assert with_cost(samples.estimate(), pending, GONE, now=NOW) == pending


def test_a_site_that_is_gone_takes_its_figures_with_it_and_is_told() -> None:
    before = costed(HERE)
    found = with_cost(samples.estimate(status=before), dict(before), GONE, now=LATER)
    assert COST not in found
    assert found["summary"] == status()["summary"]
    said = conditions(found)[COSTED]
    assert (said["status"], said["reason"]) == ("False", "SiteNotFound")
    assert said["lastTransitionTime"] == "2026-01-03T00:00:00Z"


def test_the_same_figures_give_the_same_status_so_that_nothing_is_written() -> None:
    before = costed(HERE)
    assert with_cost(samples.estimate(status=before), dict(before), HERE, now=LATER) == before


def test_while_a_site_cannot_be_read_the_cost_of_the_same_results_stays() -> None:
    before = costed(HERE)
    waiting = Waiting(reason="ConfigMapUnread", message="later")
    assert costed(waiting, current=before) == before
    other = costed(waiting, current=before, results=[samples.row(joules=7.0)])
    assert COST not in other
    assert COSTED not in conditions(other)
