"""Test the series of plans."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from joulecast_operator.estimates.outcomes import Planned
from joulecast_operator.metrics.plans import PLANS
from joulecast_operator.plans.status import desired_status
from tests.unit.joulecast_operator.samples.estimates import REQUEST
from tests.unit.joulecast_operator.samples.plans import H200, plan, planned
from tests.unit.joulecast_operator.samples.scrapes import names, scrape

LABELS = {"namespace": "shop", "plan": "detector", "workload": ""}


def made(result: Planned) -> dict[str, Any]:
    return plan(status=desired_status(plan(), result, request=REQUEST, now=datetime(2026, 1, 1, tzinfo=UTC)))


def test_a_plan_has_what_it_chooses_saves_and_draws() -> None:
    found = scrape(plans=(made(planned()),))
    told = {"accelerator": H200, "choice": f"{H200}, batch size 8", "counted_by": "Inference", "reason": "Chosen"}
    assert found["joulecast_plan_info", frozenset((LABELS | told).items())] == 1
    assert found["joulecast_plan_saving_ratio", frozenset(LABELS.items())] == pytest.approx(0.333)
    assert found["joulecast_plan_power_watts", frozenset((LABELS | {"accelerator": H200}).items())] == 300


def test_without_a_choice_or_a_today_there_is_neither_power_nor_a_saving() -> None:
    for each in (plan(), made(planned(choice=None, saving=None, today=None))):
        assert names(scrape(plans=(each,))) == {"joulecast_plan_info"}
    assert len(PLANS) == 5


def test_a_priced_plan_has_what_it_saves_in_a_month_in_money_and_carbon() -> None:
    priced = made(planned())
    saves = {"money": 12.5, "moneyLower": 9.0, "moneyUpper": 15.0}
    priced["status"]["cost"] = {"site": "here", "currency": "EUR", "savesPerMonth": saves | {"gramsCo2e": 4000.0}}
    found = scrape(plans=(priced,))
    own = LABELS | {"site": "here"}
    assert found["joulecast_plan_saved_cost_per_month", frozenset((own | {"currency": "EUR"}).items())] == 12.5
    assert found["joulecast_plan_saved_carbon_per_month_grams", frozenset(own.items())] == 4000
    del priced["status"]["cost"]["savesPerMonth"]["money"]
    assert "joulecast_plan_saved_cost_per_month" not in names(scrape(plans=(priced,)))
