"""Scoring forecasts on measured sets."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from joulecast.errors import MeasurementError
from joulecast_calibration.evaluate.cardscores import NEVER_ASKED, OWN_ROWS
from joulecast_calibration.evaluate.contenders import SYSTEMS
from joulecast_calibration.evaluate.evaluation import (
    SPLITS,
    Evaluation,
    Score,
    ScoredForecasts,
    half_widths_percent,
    scores,
)
from joulecast_calibration.evaluate.protocol import evaluate
from joulecast_calibration.evaluate.report.page import as_page
from joulecast_calibration.evaluate.report.tables import as_json, as_table
from joulecast_calibration.rows.networks import read_set
from tests.unit.energy import data


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return data.write(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def found(folder: Path) -> Evaluation:
    return evaluate(folder)


def line(found: Evaluation, split: str, of: str = "a_set", task: str = "all", *, system: str = "physical") -> Score:
    wanted = split, of, task, system
    (score,) = [s for s in found.results if (s.split, s.set, s.task, s.system) == wanted]
    return score


def test_every_split_is_scored_on_all_rows(found: Evaluation) -> None:
    for split in SPLITS:
        assert line(found, split).n == 12
        assert line(found, split, task="vision").n == 8
        assert line(found, split, task="nlp").n == 4
        assert line(found, split, "a_set macro").n == 3
        assert line(found, split, "a_set gpt2model").n == 4


def test_every_system_is_scored_beside_physical(found: Evaluation) -> None:
    for split in ("leave-family-out", "leave-architecture-out", "in-sample"):
        assert [s.system for s in found.results if (s.set, s.split, s.task) == ("a_set", split, "all")] == [*SYSTEMS]
    assert found.unscored == ()


@pytest.mark.slow
def test_sets_of_two_cards_are_forecast_with_each_card_left_out(tmp_path: Path) -> None:
    both = evaluate(data.write(data.write(tmp_path), "b_set", "H100-80GB-HBM3"))
    whole = [each for each in both.cards.scores if each.part == "all" and each.quantity == "joules"]
    assert {(each.set, each.fitted_on) for each in whole} == {("a_set", "b_set"), ("b_set", "a_set")}
    assert {each.system for each in whole} >= set(SYSTEMS)
    assert {each.by for each in both.cards.rankings} >= {OWN_ROWS, "physical, card left out", NEVER_ASKED}
    page = as_page(both)
    for title in (
        "## Cards that were left out",
        "### a_set left out",
        "### b_set left out",
        "## Which card is cheaper",
    ):
        assert f"\n{title}\n" in page
    document = json.loads(as_json(both))
    assert len(document["cards"]) == len(both.cards.scores)
    assert len(document["rankings"]) == len(both.cards.rankings)
    assert any("card left out" in target["target"] for target in document["targets"])


def test_transferred_saw_no_joule_of_the_card(found: Evaluation) -> None:
    assert line(found, "transferred").median_ape == pytest.approx(100 * (1 - 1 / data.FACTOR), rel=1e-6)


@pytest.mark.slow
def test_other_columns_do_not_reach_a_forecast(found: Evaluation, tmp_path: Path) -> None:
    folder = data.write(tmp_path)
    data.edit(folder, dict.fromkeys(data.IRRELEVANT, "nan"))
    assert evaluate(folder).results == found.results


@pytest.mark.slow
def test_joules_of_the_card_do_not_reach_a_transferred_forecast(found: Evaluation, tmp_path: Path) -> None:
    folder = data.write(tmp_path)
    data.edit(folder, {"energy_j_per_forward": "1.0", "time_ms_per_forward": "nan"}, {"model": "gpt2model"})
    changed = evaluate(folder)
    for name in ("resnet101", "mobilevitmodel"):
        assert line(changed, "transferred", f"a_set {name}") == line(found, "transferred", f"a_set {name}")


def test_what_cannot_be_scored_is_named_and_counted(tmp_path: Path) -> None:
    folder = data.write(tmp_path)
    data.edit(folder, {"model": "unheard"}, {"model": "gpt2model"})
    changed = evaluate(folder)
    reasons = {(entry.split, entry.reason): entry.n for entry in changed.unscored}
    assert reasons["all", "no graph of unheard gpt2"] == 4
    assert reasons["leave-architecture-out", "fewer than three architectures"] == 8
    assert reasons["leave-family-out", "fewer than three architectures"] == 8
    assert line(changed, "transferred").n == 8


def test_a_card_whose_limits_nobody_knows_is_named(tmp_path: Path) -> None:
    folder = data.write(tmp_path)
    data.edit(folder, {"gpu": "Abacus"})
    changed = evaluate(folder)
    assert changed.results == ()
    assert [(entry.reason, entry.n) for entry in changed.unscored] == [("Abacus: its limits are not known", 12)]


def test_a_short_name_of_several_cards_is_said_to_be_one_of_them(tmp_path: Path) -> None:
    folder = data.write(tmp_path)
    data.edit(folder, {"gpu": "A100"})
    (entry,) = evaluate(folder).unscored
    assert entry.reason.startswith("'A100' could be NVIDIA-A100-PCIE-40GB (250 W, 1410 MHz), NVIDIA-A100-80GB-PCIe (")
    assert entry.reason.endswith(": name one in column gpu, or its power limit in column power_limit_watts")


def test_a_short_name_is_told_by_the_power_limit_that_stands_beside_it(tmp_path: Path) -> None:
    (own,) = read_set(data.write(tmp_path) / "a_set")
    assert own.gpu == data.PRODUCT
    data.edit(tmp_path, {"gpu": "A100", "power_limit_watts": "250"})
    (told,) = read_set(tmp_path / "a_set")
    assert told.gpu == data.PRODUCT
    data.edit(tmp_path, {"energy_j_per_forward": "90", "time_ms_per_forward": "250", "power_limit_watts": ""})
    (drawn,) = read_set(tmp_path / "a_set")
    assert drawn.gpu == "A100", "360 W rule two of four out"


def test_json_rows_have_the_agreed_fields(found: Evaluation) -> None:
    document = json.loads(as_json(found))
    assert {tuple(entry) for entry in document["results"]} == {
        (
            "set", "split", "system", "task", "n", "mean_ape", "median_ape", "max_ape", "min_ape",
            "interval_coverage", "interval_half_width",
        )
    }  # fmt: skip
    assert all(0 <= entry["interval_coverage"] <= 1 for entry in document["results"])


def test_rows_table_and_page_hold_every_score(found: Evaluation) -> None:
    lines = json.loads(as_json(found))["results"]
    assert len(lines) == len(found.results)
    assert list(lines[0]) == [field.name for field in fields(Score)]
    table = as_table(found)
    assert all(table.count(f" {system} ") >= 2 for system in SYSTEMS)
    page = as_page(found)
    assert page.count("| macro | all |") == 3
    assert "leave-family-out: the same, for every architecture is a family of its own." in page
    assert "No joule and no watt of this card" in page
    for system in SYSTEMS:
        assert page.count(f"| {system} ") >= 2
    wanted = page.partition("## Targets on rows measured by this project")[2].partition("\n## ")[0]
    assert wanted.count("| no rows |") == 9 + 1 + 1 + 6
    assert "No joules measured by this project stand behind these figures yet" in page


@pytest.mark.parametrize("columns", ["model,config\nx,y\n", "", "nonsense"])
def test_a_file_without_the_columns_is_one_sentence(columns: str, tmp_path: Path) -> None:
    broken(tmp_path, columns)
    with pytest.raises(MeasurementError, match=r"^odd/model_energy.csv lacks the columns [^\n]*$"):
        evaluate(tmp_path)


def test_a_file_that_is_no_text_is_one_sentence(tmp_path: Path) -> None:
    broken(tmp_path, "")
    (tmp_path / "odd" / "model_energy.csv").write_bytes(b"gpu,model\n\xff\xfe,\n")
    with pytest.raises(MeasurementError, match=r"^odd/model_energy.csv cannot be read as a table of text"):
        evaluate(tmp_path)


@pytest.mark.slow
def test_a_file_without_the_columns_does_not_hide_the_others(found: Evaluation, tmp_path: Path) -> None:
    broken(data.write(tmp_path), "model,config\nx,y\n")
    both = evaluate(tmp_path)
    assert both.results == found.results
    assert [(entry.n, entry.split) for entry in both.unscored if entry.set == "odd"] == [(1, "all")]


def broken(folder: Path, text: str) -> None:
    (folder / "odd").mkdir()
    (folder / "odd" / "model_energy.csv").write_text(text)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"batch": ""}, "batch missing"),
        ({"batch": "many"}, "batch many"),
        ({"sm_clock_locked_mhz": "-900"}, "sm_clock_locked_mhz -900"),
        ({"seq": ""}, "no seq"),
        ({"energy_j_per_forward": "lots"}, "no joules"),
        ({"precision": "int8"}, "precision int8"),
    ],
)
def test_a_row_that_makes_no_sense_is_counted(change: dict[str, str], reason: str, tmp_path: Path) -> None:
    folder = data.write(tmp_path)
    data.edit(folder, change, {"model": "gpt2model"})
    (found,) = read_set(folder / "a_set")
    assert (found.unscored, len(found.rows)) == (((reason, 4),), 8)


def test_an_empty_folder_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(MeasurementError, match="holds no folder"):
        evaluate(tmp_path)


def test_scores_are_what_their_names_say() -> None:
    rows = tuple(data.row("gpt2model", "gpt2", 32, 1, 900.0) for _ in range(4))
    forecasts = ScoredForecasts(
        set="s",
        split="transferred",
        system="physical",
        rows=rows,
        joules=np.array([1.0, 1.1, 0.5, 2.0]),
        truth=np.ones(4),
        log_half_width=np.full(4, 0.1),
    )
    pooled = next(scores(forecasts))
    assert (pooled.mean_ape, pooled.median_ape) == pytest.approx((40.0, 30.0))
    assert (pooled.max_ape, pooled.min_ape) == pytest.approx((100.0, 0.0))
    assert pooled.interval_coverage == 0.5
    assert pooled.interval_half_width == pytest.approx(float(half_widths_percent(np.array([0.1]))[0]))
