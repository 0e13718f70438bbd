"""Scores on rows of ``joulecast measure``, of a simulated card."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from joulecast.api.documents import header
from joulecast.energy.profile import SIMULATED_ALLOWED
from joulecast.errors import MeasurementError
from joulecast_calibration.evaluate import own as of_journals
from joulecast_calibration.evaluate.contenders import SYSTEMS
from joulecast_calibration.evaluate.evaluation import (
    ARCHITECTURE,
    FAMILY,
    IN_SAMPLE,
    LAYER_FITTED,
    LOOSE,
    SPLITS,
    TRANSFERRED,
    VISION_TRAINED,
    ZERO_SHOT,
    Evaluation,
    Score,
)
from joulecast_calibration.evaluate.protocol import evaluate
from joulecast_calibration.evaluate.report.document import as_html
from joulecast_calibration.evaluate.report.page import as_page
from joulecast_calibration.evaluate.report.tables import as_json, as_table
from joulecast_calibration.evaluate.systems.catalogue import LAYER_WISE
from joulecast_calibration.fit.profiles import FittedRows
from joulecast_calibration.suite.lineage import TASKS, zero_shot_names
from tests.unit.api.test_documents import validate

pytestmark = pytest.mark.slow

NAME = "bench simulated"


def line(found: Evaluation, split: str, system: str = "physical", task: str = "all", *, of: str = NAME) -> Score:
    (score,) = [s for s in found.results if (s.set, s.split, s.system, s.task) == (of, split, system, task)]
    return score


def test_every_system_is_scored_on_the_same_rows(found: Evaluation, fitted: FittedRows) -> None:
    networks = int(fitted.table.is_network.sum())
    for split in (FAMILY, ARCHITECTURE, IN_SAMPLE):
        for system in SYSTEMS:
            assert line(found, split, system).n == networks
            assert sum(line(found, split, system, task).n for task in TASKS) == networks
    assert {score.split for score in found.results} == set(SPLITS)
    assert {score.system for score in found.results} == set(SYSTEMS)


def test_the_headline_is_what_the_fit_says_of_itself(found: Evaluation, fitted: FittedRows) -> None:
    own, said = line(found, FAMILY), fitted.profile.held_out
    assert own.median_ape == pytest.approx(100 * said["median_ape"])
    assert own.mean_ape == pytest.approx(100 * said["mean_ape"])
    assert own.interval_coverage == pytest.approx(said["interval_coverage"])
    assert line(found, FAMILY, task="audio").max_ape == pytest.approx(100 * said["audio_max_ape"])
    unseen = line(found, FAMILY, of=f"{NAME} {ZERO_SHOT}")
    assert unseen.median_ape == pytest.approx(100 * said["unseen_llms_median_ape"])


def test_the_studies_stand_beside_the_splits(found: Evaluation) -> None:
    assert line(found, FAMILY, of=f"{NAME} {LOOSE}").n == line(found, FAMILY).n
    for system in SYSTEMS:
        assert line(found, FAMILY, system, of=f"{NAME} {VISION_TRAINED}").n == line(found, FAMILY).n
        for name in zero_shot_names():
            assert line(found, FAMILY, system, of=f"{NAME} {ZERO_SHOT} {name}").n >= 1
    layer_wise = {score.system for score in found.results if score.set == f"{NAME} {LAYER_FITTED}"}
    assert layer_wise == LAYER_WISE
    assert line(found, TRANSFERRED).interval_half_width > line(found, FAMILY).interval_half_width


def test_layers_tell_errors_by_op_type_and_by_their_number(found: Evaluation) -> None:
    own = [each for each in found.op_types if each.system == "physical"]
    assert {each.system for each in found.op_types} == {"physical", *LAYER_WISE}
    assert len({each.op_type for each in own}) > 20
    (layers,) = [each.layers for each in found.measured]
    assert layers - 60 < sum(each.n for each in own) <= layers
    assert [step.layers for step in found.learning] == [0, 15, 50, 150]
    assert found.learning[-1].median_ape < found.learning[0].median_ape


def test_what_is_not_scored_is_named_and_counted(found: Evaluation) -> None:
    said = {(entry.set, entry.split): entry for entry in found.unscored}
    assert said["bench", "all"].n == 1
    assert said["bench", "all"].reason.startswith("lines that cannot be read as rows")
    assert (NAME, TRANSFERRED) not in said


def test_every_target_of_measured_rows_has_a_state(found: Evaluation) -> None:
    document = json.loads(as_json(found))
    states = {entry["target"]: entry["state"] for entry in document["targets"] if entry["set"] == NAME}
    assert len(states) == 9 + 3 + 1 + 6
    assert set(states.values()) <= {"met", "missed"}
    assert states["leave-family-out, audio: largest error"] == "met"


def test_documents_say_that_nothing_was_measured(found: Evaluation) -> None:
    document = json.loads(as_json(found))
    validate(header("evaluation") | document)
    assert document["simulated"] is True
    assert all(entry["set"].startswith(NAME) for entry in document["results"])
    assert [entry["simulated"] for entry in document["measured"]] == [True]
    assert as_table(found).startswith("SIMULATED: no hardware stands behind bench simulated.")


def test_the_terminal_is_spared_hundreds_of_architectures(found: Evaluation) -> None:
    table = as_table(found)
    assert not re.search(r"leave-family-out +\w+ +bench simulated (hf|timm|torchvision):", table)
    assert table.count("calibrated on") == 4
    assert table.count("\ntarget: bench simulated") == 19
    assert len(table.splitlines()) < 250


@pytest.mark.slow
def test_the_report_shows_what_layers_tell_and_warns(found: Evaluation) -> None:
    report = as_html(found)
    figures = set(re.findall(r'<figure id="bench simulated:([^"]*)"', report))
    assert {"distribution", "architectures", "batches", "op-types", "learning", "training", "zero-shot"} <= figures
    assert "<title>Accuracy of joulecast, simulated</title>" in report
    assert report.index('<p class="simulated">SIMULATED: no hardware') < report.index("<table>")
    strict, loose = report.index("<h4>strict</h4>"), report.index("<h4>loose</h4>")
    assert strict < loose
    assert "No layers were measured" not in report
    assert report.count("<summary>physical, every architecture</summary>") == 1


def test_no_page_is_written_from_them(found: Evaluation, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MeasurementError, match="cannot be written from simulated rows"):
        as_page(found)
    monkeypatch.setenv(SIMULATED_ALLOWED, "1")
    monkeypatch.setattr(of_journals, "table_of", lambda *_, **__: pytest.fail("fitted first"))
    with pytest.raises(MeasurementError, match="cannot be written from simulated rows"):
        evaluate(folder, measured_only=True)


def test_the_page_of_rows_of_hardware_has_every_part(found: Evaluation) -> None:
    (own,) = found.measured
    page = as_page(replace(found, measured=(replace(own, simulated=False),)))
    for wanted in (
        "Rows measured by this project are told apart", f"Measured by this project on {own.accelerator}",
        "### Targets", "The headline, strict", "\nloose: ", "\nfitted on layers: ", "\nzero-shot: ",
        "### Errors by op type", "### Errors against the number of calibration layers", "### Noise and families",
        f"{own.families} families are held out in turn",
    ):  # fmt: skip
        assert wanted in page, wanted
    assert "No joules measured by this project" not in page
    assert "Targets on rows measured by this project" not in page
    parts = page.partition("### physical, leave-family-out")[2].partition("\n### ")[0]
    assert parts.count("| all | ") > 20
    assert parts.count("| hf:") + parts.count("| timm:") + parts.count("| torchvision:") == 20


def test_without_leave_they_are_counted_and_nothing_else(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SIMULATED_ALLOWED, raising=False)
    alone = evaluate(folder)
    assert (alone.results, alone.measured) == ((), ())
    (entry,) = [entry for entry in alone.unscored if "nothing was measured" in entry.reason]
    lines = (folder / "bench").glob("*.jsonl")
    kinds = [json.loads(line)["kind"] for path in lines if path.stem != "torn" for line in path.open()]
    assert (entry.set, entry.n) == ("bench", sum(kind in ("layer", "network") for kind in kinds))
    assert json.loads(as_json(alone))["simulated"] is False
