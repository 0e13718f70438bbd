"""Test what the first result of an estimate costs."""

from __future__ import annotations

import json

import pytest

from joulecast.site import Site
from joulecast_operator.api.estimates import EstimateStatus
from joulecast_operator.sites.costed import COST
from joulecast_operator.sites.costs import cost_of
from tests.unit.joulecast_operator.samples import estimates as samples
from tests.unit.joulecast_operator.samples.costs import HERE, costed


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
