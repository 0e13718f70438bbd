"""What the commands show in a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from joulecast.cli.output import show
from joulecast_operator.api.annotations import FOR_ACCELERATOR
from joulecast_operator.kubectl.comparison import Change, Note, compared
from joulecast_operator.kubectl.explanation import explained, standing_of_estimate
from joulecast_operator.kubectl.ranking import ranked
from joulecast_operator.kubectl.standing import Estimates, Standing, standing_of
from joulecast_operator.kubectl.tables import (
    comparison_tables,
    count,
    energy,
    explanation_tables,
    power,
    ranking_tables,
)
from tests.unit.joulecast_operator.samples.workloads import A100, H200, estimate, generation, row, workload


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


def shown(capsys: pytest.CaptureFixture[str], renderables: Sequence[Any]) -> list[str]:
    """The lines that are printed, any run of blanks as one."""
    show(list(renderables), color=False)
    return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines() if line.strip()]


def standing(name: str, found: dict[str, Any] | None, rate: int | None = None, sentence: str = "") -> Standing:
    held = {"spec": {"workload": {} if rate is None else {"requestsPerSecond": rate}}}
    state = "Failed" if found is None else "Ready"
    return Standing(
        kind="Job",
        namespace="shop",
        name=name,
        state=state,
        sentence=sentence,
        pods=2,
        replicas=2,
        estimate=held,
        row=found,
    )


def test_figures_have_their_units_and_what_is_not_known_a_dash() -> None:
    assert energy(standing("a", row()).figure) == "13.2 mJ/inference"
    assert energy(standing("a", generation(joules=3.1)).figure) == "3.1 J/request"
    assert (power(1234.5), power(None), count(0.5), count(None)) == ("1.23 kW", "–", "0.5", "–")
    assert energy(None) == "–"


def test_top_shows_workloads_sums_and_what_has_no_forecast(capsys: pytest.CaptureFixture[str]) -> None:
    ranking = ranked(
        [
            standing("chat", generation(idlePowerWatts=0.0), 10),
            standing("cat", row(A100)),
            standing("odd", None, sentence="no \x1b[2J"),
        ],
        {"DaemonSet": "you may not"},
    )
    lines = shown(capsys, ranking_tables(ranking, with_namespaces=True))
    assert "shop job/chat 2 2 × NVIDIA-H100-80GB-HBM3 3.1 J/request 10 requests/s 62 W 2.2 kW transferred" in lines
    assert f"shop job/cat 2 {A100} 13.2 mJ/inference – – 682 W public" in lines
    assert "in all: 62 W at their load (1 of 2 workloads), 2.88 kW while all of 4 pods are busy" in lines
    assert f"{A100} 1 2 – 682 W" in lines
    assert "shop job/odd Failed no \\x1b[2J" in lines
    assert lines[-1] == "DaemonSets are left out: you may not"


def test_top_says_that_no_rate_is_known_and_that_there_is_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(capsys, ranking_tables(ranked([standing("a", row())], {}), with_namespaces=False))
    assert "in all: 682 W while all of 2 pods are busy; no estimate says how busy they are" in lines
    assert not any("shop" in each for each in lines)
    assert shown(capsys, ranking_tables(ranked([], {}), with_namespaces=False)) == ["no workloads"]


def test_explain_shows_layers_reasons_and_other_results(capsys: pytest.CaptureFixture[str]) -> None:
    held = estimate(rows=[row() | {"intervalLevel": 0.9, "intervalReasons": ["another runtime"]}, row(A100)])
    held["status"] |= {
        "image": "r.example/m:1",
        "summary": {"accelerator": H200, "batchSize": "32", "site": "hall", "cost": "0.002 EUR/1,000", "carbon": "3 g"},
        "topLayers": [{"name": "/Conv", "opType": "Conv", "joules": 0.2, "share": 0.5}],
    }
    named = workload("Deployment", annotations={FOR_ACCELERATOR: H200})
    found = explained(standing_of(named, Estimates([held]), "shop"))
    lines = shown(capsys, explanation_tables(found, named))
    assert "object deployment/web in shop" in lines
    assert "estimate detector" in lines
    assert f"asked by annotations for-accelerator {H200}" in lines
    assert "rests on public: published measurements of this accelerator's energy" in lines
    assert any(each.startswith("/Conv Conv 0.2 J 50 %") for each in lines)
    assert any(each.startswith("all others, and pauses between kernels 50 %") for each in lines)
    assert "costs 0.002 EUR/1,000, 3 g at hall" in lines
    assert "interval: holds the true value in 90 % of cases" in lines
    assert "· another runtime" in lines
    assert any(each.startswith(f"{A100} batch of 32 0.421 J/batch 0.392–0.463 J 341 public") for each in lines)


def test_explain_shows_the_layers_of_the_result_that_it_explains(capsys: pytest.CaptureFixture[str]) -> None:
    held = estimate(rows=[row(), row(A100) | {"topLayers": [{"name": "/Gemm", "share": 0.25}], "intervalReasons": []}])
    named = workload("Deployment", annotations={FOR_ACCELERATOR: A100})
    lines = shown(capsys, explanation_tables(explained(standing_of(named, Estimates([held]), "shop")), named))
    assert any(each.startswith("/Gemm 0.105 J 25 %") for each in lines)
    assert any(each.startswith("all others, and pauses between kernels 75 %") for each in lines)
    assert "Layers that spend most" in lines
    assert not any("op type" in each or "first result" in each for each in lines)
    itself = standing_of_estimate(held, state="Ready", message="2 forecasts")
    lines = shown(capsys, explanation_tables(explained(itself, {"accelerator": (A100,)}), None))
    assert f"explained the result for accelerator {A100}, in place of the one that applies" in lines
    assert any(each.startswith("/Gemm 0.105 J 25 %") for each in lines)
    held["status"]["results"][1] = generation(A100) | {"topLayers": [{"name": "lm_head", "share": 0.25}]}
    lines = shown(capsys, explanation_tables(explained(standing_of(named, Estimates([held]), "shop")), named))
    assert any(each.startswith("lm_head – 25 %") for each in lines)


def test_explain_shows_phases_of_a_request_and_says_what_an_old_status_lacks(
    capsys: pytest.CaptureFixture[str],
) -> None:
    held = estimate(rows=[generation(joules=3.072)])
    found = explained(standing_of_estimate(held, state="Ready", message="1 forecast"))
    lines = shown(capsys, explanation_tables(found, None))
    assert any(each.startswith("prefill 512 0.307 J 10 %") for each in lines)
    assert any(each.startswith("decode 256 2.76 J 90 %") for each in lines)
    assert "the status does not say what widens it: it was written by an older release" in lines


def test_explain_shows_conditions_that_are_not_met(capsys: pytest.CaptureFixture[str]) -> None:
    held = estimate(ready="False", rows=[])
    held["status"]["conditions"][0] |= {"reason": "NoModel", "message": "there is none"}
    found = explained(standing_of_estimate(held, state="Failed", message="there is none"))
    assert "Ready: NoModel: there is none" in shown(capsys, explanation_tables(found, None))


def test_diff_shows_now_and_then_and_what_is_not_known(capsys: pytest.CaptureFixture[str]) -> None:
    web = {"kind": "Job", "namespace": "shop", "name": "web"}
    found = compared(
        [
            Change(**web, before=standing("web", row()), after=standing("web", row(A100, joules=0.84246))),
            Change(**web, before=standing("web", row()), after=standing("web", None, sentence="being made")),
            Change(**web, refusal="it is invalid"),
            Change(**web, after=standing("web", None, sentence="being made"), untried="new; not tried"),
        ],
        ["Service"],
        [Note(kind="EnergyPlan", namespace="shop", name="web", outcome="new", sentence="it says more then")],
    )
    lines = shown(capsys, comparison_tables(found))
    assert f"shop job/web changed 13.2 mJ/inference 26.3 mJ/inference +100 % 2 682 W {H200} → {A100}" in lines
    assert "while all pods are busy: 682 W now, 682 W then" in lines
    assert "job/web in shop: being made" in lines
    assert "job/web in shop: it is invalid" in lines
    assert "job/web in shop: new; not tried; being made" in lines
    assert "energyplan/web in shop: it says more then" in lines
    assert lines[-1] == "without a forecast, by their kind: 1 Service"
