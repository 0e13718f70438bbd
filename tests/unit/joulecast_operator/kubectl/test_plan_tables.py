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


def test_a_list_has_a_row_a_plan(capsys: pytest.CaptureFixture[str]) -> None:
    plans = [plan_of(plan(status={"summary": {"choice": H200, "joules": "0.01 J/inference", "saves": "67 %"}}))]
    shown = lines(capsys, list_tables(plans, with_namespaces=True))
    assert f"shop web deployment/web {H200} 0.01 J/inference 67 % Chosen" in shown
    assert lines(capsys, list_tables([], with_namespaces=False)) == ["no plans"]
