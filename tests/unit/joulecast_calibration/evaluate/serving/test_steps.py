"""The step is found again in times that were made with it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from joulecast_calibration.evaluate.serving.latencies import Case, Cases, read_cases
from joulecast_calibration.evaluate.serving.passes import StepSeconds
from joulecast_calibration.evaluate.serving.steps import fit_step
from tests.unit.joulecast_calibration.evaluate.serving import tables

KNOWN = StepSeconds(seconds=1.5e-3, sequence_seconds=2e-5)
MODELS = (
    {"model_path": "Qwen/Qwen3-32B", "gemm_quant_mode": "fp8"},
    {"model_path": "meta-llama/Llama-3.1-70B"},
    {"model_path": "MiniMaxAI/MiniMax-M2.5"},
)


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Cases:
    """Cases of three lineages whose times are made by the law and ``KNOWN``."""
    rows = [model | {"batch_size": f"{size}.0"} for model in MODELS for size in (1, 8, 64)]
    found = read_cases(tables.latencies(tmp_path_factory.mktemp("made"), rows))
    return Cases([told(case, case.parts.between_seconds(KNOWN)) for case in (*found.flowing, *found.queued)])


def told(case: Case, seconds: float) -> Case:
    return replace(case, row=replace(case.row, seconds=seconds, first_seconds=seconds))


def test_a_known_step_is_found(cases: Cases) -> None:
    assert len(cases.flowing) == 9
    found = fit_step([case.row for case in cases.flowing], [case.parts for case in cases.flowing])
    assert found.seconds == pytest.approx(KNOWN.seconds, rel=1e-3)
    assert found.sequence_seconds == pytest.approx(KNOWN.sequence_seconds, rel=1e-3)


def test_a_lineage_has_no_part_in_the_step_that_forecasts_it(cases: Cases) -> None:
    others = [case for case in cases.flowing if case.row.lineage != "Llama 3.1"]
    slow = [told(case, 3 * case.row.seconds) for case in cases.flowing if case.row.lineage == "Llama 3.1"]
    found = Cases([*others, *slow])
    assert found.step_without("Llama 3.1").seconds == pytest.approx(KNOWN.seconds, rel=1e-3)
    assert found.step_without().seconds > 1.1 * KNOWN.seconds


def test_the_interval_of_a_lineage_is_as_wide_as_the_others_were_off(cases: Cases) -> None:
    others = [case for case in cases.flowing if case.row.lineage != "MiniMax"]
    wrong = [told(case, 2 * case.row.seconds) for case in cases.flowing if case.row.lineage == "MiniMax"]
    found = Cases([*others, *wrong])
    assert found.half_width_without("MiniMax") == pytest.approx(0.0, abs=1e-2)
    assert (found.half_width_without("Qwen3-32B") or 0) > 0.3
