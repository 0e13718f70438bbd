"""What no forecast is scored on is counted, each row with its reason."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from joulecast_calibration.evaluate.timed.evaluation import evaluate_timed
from joulecast_calibration.evaluate.timed.unread import INFERENCE, unread
from tests.unit.joulecast_calibration.rows.engines.test_vidur import ENTRY, write


def inference(folder: Path) -> Path:
    (folder / INFERENCE).parent.mkdir(parents=True)
    with (folder / INFERENCE).open("w", newline="", encoding="utf-8") as text:
        writer = csv.writer(text)
        writer.writerow(["kind", "usable"])
        writer.writerows([["diffusion", "yes"], ["diffusion", "yes"], ["llm", "yes"], ["llm", "power"], ["llm", "no"]])
    return folder


def test_every_row_of_measured_inference_is_counted(tmp_path: Path) -> None:
    found = {each.reason.split(":")[0]: each.n for each in unread(inference(tmp_path))}
    assert found == {
        "diffusion": 2,
        "generation in float32 by transformers 4.30": 1,
        "power alone can be trusted": 1,
        "marked unusable by the set's README": 1,
    }


@pytest.mark.parametrize("name", ["vidur_op_latency", "co2_inference"])
def test_the_evaluation_names_what_it_does_not_read(tmp_path: Path, name: str) -> None:
    assert name in {each.set for each in evaluate_timed(inference(write(tmp_path, [ENTRY]))).left_out}


def test_a_folder_without_the_tables_leaves_nothing_out(tmp_path: Path) -> None:
    assert list(unread(tmp_path)) == []
