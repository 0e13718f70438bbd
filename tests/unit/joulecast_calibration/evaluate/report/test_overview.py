"""The picture of an evaluation draws the medians that the tables have."""

from __future__ import annotations

from pathlib import Path

import pytest

from joulecast_calibration.evaluate.cardscores import ALL, CARD, JOULES, SECONDS, CardScore, CardsEvaluation
from joulecast_calibration.evaluate.contenders import SYSTEMS
from joulecast_calibration.evaluate.evaluation import ARCHITECTURE, Evaluation, Score
from joulecast_calibration.evaluate.report.overview import medians, overview

pytest.importorskip("matplotlib")
ROOT = Path(__file__).parents[5]


def score(name: str, system: str, median: float, split: str = ARCHITECTURE, task: str = ALL) -> Score:
    return Score(
        set=name, split=split, system=system, task=task, n=3, mean_ape=median, median_ape=median, max_ape=median,
        min_ape=0.0, interval_coverage=0.9, interval_half_width=10.0,
    )  # fmt: skip


def left_out(name: str, system: str, median: float, quantity: str = JOULES) -> CardScore:
    return CardScore(
        set=name, card="NVIDIA-L4", fitted_on="b", system=system, quantity=quantity, part=ALL, n=3, median_ape=median,
        mean_ape=median, max_ape=median, bias=0.0,
    )  # fmt: skip


@pytest.fixture
def found() -> Evaluation:
    lines = [score("a", system, 10.0 + number) for number, system in enumerate(SYSTEMS)]
    cards = [left_out("a", system, 50.0 + number) for number, system in enumerate(SYSTEMS)]
    others = [score("a", SYSTEMS[0], 99.0, task="vision"), score("a", SYSTEMS[0], 98.0, split="in-sample")]
    seconds = left_out("a", SYSTEMS[0], 97.0, quantity=SECONDS)
    alone = score("no card of it was left out", SYSTEMS[0], 96.0)
    return Evaluation(
        results=(*lines, *others, alone), forecasts=(), unscored=(), cards=CardsEvaluation(scores=(*cards, seconds))
    )


def test_medians_are_of_all_rows_of_sets_whose_card_was_left_out(found: Evaluation) -> None:
    shown = medians(found)
    assert shown[ARCHITECTURE] == {"a": {system: 10.0 + number for number, system in enumerate(SYSTEMS)}}
    assert shown[CARD] == {"a": {system: 50.0 + number for number, system in enumerate(SYSTEMS)}}


def test_the_picture_has_a_number_over_each_bar(found: Evaluation) -> None:
    drawn = overview(found)
    assert drawn.startswith("<svg")
    assert all(f">{number}<" in drawn for number in (*range(10, 10 + len(SYSTEMS)), *range(50, 50 + len(SYSTEMS))))
    assert "joulecast" in drawn and "five published systems" in drawn


def test_the_picture_of_the_readme_has_the_medians_of_the_accuracy_page() -> None:
    drawn = (ROOT / "docs" / "images" / "accuracy.svg").read_text("utf-8")
    page = (ROOT / "docs" / "accuracy.md").read_text("utf-8")
    wanted = [line.split("|")[4] for line in page.splitlines() if f"{CARD}, median error" in line]
    assert wanted
    assert all(f">{float(each.strip().rstrip(' %')):.0f}<" in drawn for each in wanted)
