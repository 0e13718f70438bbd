from __future__ import annotations

import csv
import io
import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from joulecast.errors import JoulecastError, MeasurementError
from joulecast_calibration.cli import evaluate
from joulecast_calibration.evaluate import protocol
from joulecast_calibration.evaluate.cardscores import CardScore, CardsEvaluation, RankingScore
from joulecast_calibration.evaluate.evaluation import Evaluation, Score, Unscored
from tests.unit.api.test_documents import validate

FOUND = Evaluation(
    results=(
        Score(
            set="a-set", split="transferred", system="physical", task="all", n=3, mean_ape=10.0, median_ape=9.123456789,
            max_ape=20.0, min_ape=1.0, interval_coverage=0.9, interval_half_width=25.0,
        ),
    ),
    unscored=(Unscored(set="a-set", split="all", reason="no joules", n=2),),
)  # fmt: skip


@pytest.fixture
def scored(monkeypatch: pytest.MonkeyPatch) -> None:
    """The minutes of fitting are tested where they belong."""
    monkeypatch.setattr(protocol, "evaluate", lambda folder, measured_only: FOUND)


@pytest.mark.usefixtures("scored")
def test_scores_are_a_document(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evaluate.command(tmp_path, output=evaluate.EvaluationFormat.JSON)
    document = json.loads(capsys.readouterr().out)
    validate(document)
    assert document["results"][0]["median_ape"] == 9.12346
    assert document["unscored"] == [{"set": "a-set", "split": "all", "reason": "no joules", "n": 2}]


@pytest.mark.usefixtures("scored")
def test_scores_are_rows_and_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evaluate.command(tmp_path, output=evaluate.EvaluationFormat.CSV)
    (row,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert (row["set"], row["n"]) == ("a-set", "3")
    evaluate.command(tmp_path)
    assert "9.1 %" in capsys.readouterr().out


def test_cards_that_were_left_out_are_in_the_document_and_among_the_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    score = CardScore(
        set="a-set", card="A", fitted_on="b-set", system="TDP × our seconds", quantity="watts", part="all", n=3,
        median_ape=9.0, mean_ape=10.0, max_ape=20.0, bias=-1.0,
    )  # fmt: skip
    pair = RankingScore(
        cards="a-set, b-set", by="physical", n=2, right=0.5, mean_regret=1.0, total_regret=2.0, regret_joules=0.5
    )
    both = replace(FOUND, cards=CardsEvaluation(scores=(score,), rankings=(pair,)))
    monkeypatch.setattr(protocol, "evaluate", lambda folder, measured_only: both)
    evaluate.command(tmp_path, output=evaluate.EvaluationFormat.JSON)
    document = json.loads(capsys.readouterr().out)
    validate(document)
    assert document["cards"][0]["interval_coverage"] is None
    assert document["rankings"][0]["right"] == 0.5
    evaluate.command(tmp_path, output=evaluate.EvaluationFormat.CSV)
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [(row["split"], row["task"]) for row in rows] == [("transferred", "all"), ("card left out", "watts: all")]
    evaluate.command(tmp_path)
    assert "cheaper one named in 50.0 % of 2 pairs" in capsys.readouterr().out


@pytest.mark.usefixtures("scored")
def test_the_page_is_written_when_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evaluate.command(tmp_path, page=tmp_path / "accuracy.md")
    assert (tmp_path / "accuracy.md").read_text().startswith("# Accuracy")


@pytest.mark.slow
@pytest.mark.usefixtures("scored")
def test_the_report_is_html(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evaluate.command(tmp_path, output=evaluate.EvaluationFormat.HTML)
    printed = capsys.readouterr().out
    assert printed.startswith("<!DOCTYPE html>")
    assert "no joules" in printed


def test_where_nothing_is_scored_it_is_said_what_there_is_and_that_it_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    nothing = Evaluation(results=(), unscored=FOUND.unscored)
    monkeypatch.setattr(protocol, "evaluate", lambda folder, measured_only: nothing)
    with pytest.raises(MeasurementError, match=r"nothing in .* could be scored"):
        evaluate.command(tmp_path)
    assert capsys.readouterr().out.splitlines() == [
        "targets on rows measured by this project: no rows",
        "not scored: a-set, all, 2 rows, no joules",
    ]


@pytest.mark.usefixtures("scored")
def test_a_page_asks_for_rows_that_were_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []

    def refuse(folder: Path, measured_only: bool) -> Evaluation:
        asked.append(measured_only)
        return FOUND

    monkeypatch.setattr(protocol, "evaluate", refuse)
    evaluate.command(tmp_path)
    evaluate.command(tmp_path, page=tmp_path / "page.md")
    assert asked == [False, True]


def test_without_matplotlib_the_report_ends_before_it_fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "evaluate", lambda folder, measured_only: pytest.fail("fitted first"))
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(JoulecastError, match=r"joulecast\[report\]"):
        evaluate.command(tmp_path, output=evaluate.EvaluationFormat.HTML)


def test_without_a_folder_it_is_the_checkouts_own_that_is_scored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "estimator" / "joulecast_calibration" / "cli" / "evaluate.py"
    monkeypatch.setattr(evaluate, "__file__", str(place))
    with pytest.raises(MeasurementError, match="not a checkout"):
        evaluate.own_measurements()
    (tmp_path / "pyproject.toml").touch()
    with pytest.raises(MeasurementError, match="holds no measured rows"):
        evaluate.own_measurements()
    rows = tmp_path / "data" / "measurements" / "NVIDIA-H200" / "model_energy.csv"
    rows.parent.mkdir(parents=True)
    rows.touch()
    assert evaluate.own_measurements() == tmp_path / "data" / "measurements"
    rows.rename(rows.with_name("run.jsonl"))
    assert evaluate.own_measurements() == tmp_path / "data" / "measurements"


def test_without_scipy_the_way_to_get_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    with pytest.raises(JoulecastError, match=r"joulecast\[fit\]") as caught:
        evaluate.command(tmp_path)
    assert caught.value.reason == "MissingDependency"
