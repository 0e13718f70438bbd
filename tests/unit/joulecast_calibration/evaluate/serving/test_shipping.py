"""The step and the intervals of served models go into the table of coefficients, and nothing else changes there."""

from __future__ import annotations

import json
import math
from importlib.resources import files
from pathlib import Path

import pytest

from joulecast import schema
from joulecast.energy.engines.coefficients import Engine, ServedInterval, Step
from joulecast.errors import MeasurementError
from joulecast_calibration.cli.fit import command
from joulecast_calibration.evaluate.serving.shipping import fit_served, with_served
from tests.unit.joulecast_calibration.evaluate.serving import tables
from tests.unit.joulecast_calibration.evaluate.serving.test_steps import MODELS

STEP = Step(seconds=1e-3, sequence_seconds=2e-5, origin="made up")
INTERVAL = ServedInterval(seconds=0.25, watts=0.125, joules=0.5, origin="made up")


@pytest.fixture
def shipped() -> str:
    return files("joulecast.energy.engines").joinpath("coefficients.json").read_text("utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tables.latencies(tmp_path, [model | {"batch_size": f"{size}.0"} for model in MODELS for size in (1, 64)])
    return tables.powers(tmp_path, [{}, {"model": "Llama-3.2-3B", "step_ms": "5.0"}])


def test_the_rest_of_the_table_is_kept(shipped: str) -> None:
    before, after = json.loads(shipped), json.loads(with_served(shipped, STEP, INTERVAL))
    engine = after["engines"]["vllm"]
    found = schema.read(Engine, engine)
    assert (found.step, found.interval) == (STEP, INTERVAL)
    for document in (before, after):
        document["engines"]["vllm"] |= {"step": None, "interval": None}
    assert before == after


@pytest.mark.parametrize("text", ["not JSON", "[]", '{"engines": {}}'])
def test_what_is_no_table_is_refused(text: str) -> None:
    with pytest.raises(MeasurementError, match="no table of engines' coefficients"):
        with_served(text, STEP, INTERVAL)


def test_joules_are_as_uncertain_as_seconds_and_watts_together(folder: Path) -> None:
    step, interval = fit_served(folder)
    assert "6 times between tokens of 3 lineages" in step.origin
    assert interval.joules == pytest.approx(math.hypot(interval.seconds, interval.watts))


def test_a_folder_without_watts_says_what_is_lacking(tmp_path: Path) -> None:
    with pytest.raises(MeasurementError, match="lacks times between tokens or watts"):
        fit_served(tables.latencies(tmp_path, MODELS))


def test_the_command_writes_into_the_table(
    folder: Path, shipped: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "coefficients.json"
    table.write_text(shipped, "utf-8")
    command(table, data=folder, served=True)
    assert json.loads(table.read_text("utf-8"))["engines"]["vllm"]["interval"]["watts"] > 0
    assert "6 times between tokens of 3 lineages" in capsys.readouterr().out
