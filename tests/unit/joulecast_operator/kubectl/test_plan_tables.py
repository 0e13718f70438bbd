"""What `kubectl joulecast plan` shows in a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from joulecast.cli.output import show
from joulecast_operator.kubectl.plan_tables import list_tables, plan_tables
from joulecast_operator.kubectl.plans import plan_of
from tests.unit.joulecast_operator.kubectl.test_plans import plan
from tests.unit.joulecast_operator.samples.workloads import A100, H200


def setting(accelerator: str = H200, *, joules: float = 0.0132, **more: Any) -> dict[str, Any]:
    return {
        "accelerator": accelerator, "runtime": "torch-eager", "precision": "default", "batchSize": 64,
        "tensorParallel": 1, "replicas": 2, "cards": 2, "joules": joules, "joulesLower": 0.9 * joules,
        "joulesUpper": 1.1 * joules, "latencySeconds": 0.012, "averagePowerWatts": 345.6, "origin": "public",
        "intervalLevel": 0.9,
    } | more  # fmt: skip


def lines(capsys: pytest.CaptureFixture[str], renderables: Sequence[Any]) -> list[str]:
    show(list(renderables), color=False)
    return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines() if line.strip()]


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


def test_a_choice_is_shown_against_today_and_runners_up(capsys: pytest.CaptureFixture[str]) -> None:
    status = {
        "choice": setting(powerLimitWatts=200.0),
        "runnersUp": [setting(A100, joules=0.02)],
        "today": setting(joules=0.04, batchSize=1),
        "saving": {"percent": 67.0, "percentLower": 60.0, "percentUpper": 72.5, "worthwhile": True},
        "excluded": {"memory": 3, "slo": 2, "profile": 0, "degree": 0, "examples": ["NVIDIA-L4: too small"]},
        "notes": ["the power limit is not known"],
    }
    shown = lines(capsys, plan_tables(plan_of(plan(status=status))))
    assert f"choice {H200} batch of 64, at 200 W default 2 2 13.2 mJ (11.9–14.5) 12 ms 346 public" in shown
    assert any(each.startswith(f"runner-up {A100} batch of 64 default 2 2 20 mJ") for each in shown)
    assert any(each.startswith(f"today {H200} batch of 1 default") for each in shown)
    assert "Chosen: batch of 64" in shown
    assert "the choice saves 67 % (60 to 72.5 %) of today's joules" in shown
    assert "excluded: 3 do not fit the memory" in shown
    assert "· NVIDIA-L4: too small" in shown
    assert shown[-1] == "the power limit is not known"


def test_a_choice_that_keeps_more_than_today_says_how_much_more_it_needs(capsys: pytest.CaptureFixture[str]) -> None:
    saving = {"percent": -20.0, "percentLower": -30.0, "percentUpper": -10.0, "worthwhile": False}
    status = {"choice": setting(), "today": setting(batchSize=1), "saving": saving}
    shown = lines(capsys, plan_tables(plan_of(plan(status=status))))
    assert "the choice needs 20 % (10 to 30 %) more than today's joules" in shown


def test_what_the_intervals_do_not_tell_apart_is_shown_with_what_would_decide(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rivals = [setting(), setting(A100, joules=0.014)]
    status = {
        "leaders": rivals,
        "runnersUp": [rivals[1], setting(joules=0.03, batchSize=None, concurrency=8, tensorParallel=4)],
        "deciding": [{"accelerator": H200, "settings": ["batch size 64"]}],
    }
    shown = lines(capsys, plan_tables(plan_of(plan(status=status))))
    assert sum(each.startswith("not told apart") for each in shown) == 2
    assert sum(each.startswith("runner-up") for each in shown) == 1, "a rival is not shown twice"
    assert any("8 at once, on 4" in each for each in shown)
    assert f"would decide: joules measured on {H200} (batch size 64)" in shown


def test_cuts_are_shown_with_both_machines_and_the_link(capsys: pytest.CaptureFixture[str]) -> None:
    cut = {
        "after": "/pool", "joules": 0.5, "joulesLower": 0.4, "joulesUpper": 0.6, "seconds": 0.01, "firstJoules": 0.2,
        "secondJoules": 0.2, "linkJoules": 0.1, "linkBytes": 2048,
    }  # fmt: skip
    shown = lines(capsys, plan_tables(plan_of(plan(status={"split": {"batchSize": 4, "byJoules": cut}}))))
    assert "Cuts, batch size 4" in shown
    assert "fewest joules /pool 0.5 J (0.4–0.6) 10 ms 0.2 J 0.2 J 0.1 J 2 KiB" in shown


AMOUNTS = {
    "kilowattHours": 1e-7, "kilowatts": 0.4, "money": {"mean": 2e-5, "lowest": 1e-5, "highest": 3e-5},
    "moneyPerHour": {"mean": 0.08, "lowest": 0.08, "highest": 0.08}, "moneyPerMonth": 58.4,
}  # fmt: skip


def test_costs_are_shown_with_what_a_month_saves(capsys: pytest.CaptureFixture[str]) -> None:
    cost = {
        "site": "here", "per": "outputToken", "currency": "EUR", "powerOf": "allReplicas", "carbonSource": "a contract",
        "choice": AMOUNTS, "today": AMOUNTS, "savesPerMonth": {"money": 30.0, "moneyLower": 20.0, "moneyUpper": 41.0},
    }  # fmt: skip
    shown = lines(capsys, plan_tables(plan_of(plan(status={"choice": setting(), "cost": cost}))))
    assert "at here (hours and months of all replicas at the rate asked; carbon by a contract):" in shown
    text = (
        "0.0001 Wh per output token; 0.02 EUR per 1,000 output tokens (0.01 to 0.03 by hour), 0.08 EUR an hour,"
        " 58.4 EUR a month"
    )
    assert [f"choice: {text}", f"today: {text}"] == [each for each in shown if each.startswith(("choice: ", "today: "))]
    assert "in a month the choice saves 30 EUR (20 to 41) for the work of today's setting" in shown


def test_each_that_is_not_told_apart_is_shown_with_its_cost(capsys: pytest.CaptureFixture[str]) -> None:
    cost = {
        "site": "here",
        "per": "inference",
        "currency": "EUR",
        "powerOf": "oneReplica",
        "leaders": [AMOUNTS, AMOUNTS],
    }
    status = {"leaders": [setting(), setting(A100)], "cost": cost}
    shown = lines(capsys, plan_tables(plan_of(plan(status=status))))
    assert "at here (hours and months of one replica that is busy all the time):" in shown
    assert sum(each.startswith((f"{H200}, batch of 64: ", f"{A100}, batch of 64: ")) for each in shown) == 2


def test_why_there_is_no_cost_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    costed = {"type": "Costed", "status": "False", "reason": "SiteNotFound", "message": "there is no EnergySite 'x'"}
    shown = lines(capsys, plan_tables(plan_of(plan(status={"conditions": [costed]}))))
    assert "no cost, SiteNotFound: there is no EnergySite 'x'" in shown


def test_a_list_has_a_row_a_plan(capsys: pytest.CaptureFixture[str]) -> None:
    plans = [plan_of(plan(status={"summary": {"choice": H200, "joules": "0.01 J/inference", "saves": "67 %"}}))]
    shown = lines(capsys, list_tables(plans, with_namespaces=True))
    assert f"shop web deployment/web {H200} 0.01 J/inference 67 % Chosen" in shown
    assert not any("in a month" in each for each in shown)
    assert lines(capsys, list_tables([], with_namespaces=False)) == ["no plans"]


def test_a_list_has_what_a_month_saves_where_a_plan_is_priced(capsys: pytest.CaptureFixture[str]) -> None:
    plans = [
        plan_of(plan(name, status={"summary": {"choice": H200, **more}}))
        for name, more in (("web", {"saves": "67 %", "savesPerMonth": "30 EUR (20 to 41)"}), ("other", {}))
    ]
    shown = lines(capsys, list_tables(plans, with_namespaces=False))
    assert f"web deployment/web {H200} 67 % 30 EUR (20 to 41) Chosen" in shown
    assert f"other deployment/other {H200} Chosen" in shown
