"""Served models are scored where a folder holds their sets."""

from __future__ import annotations

from pathlib import Path

import pytest

from joulecast.errors import MeasurementError
from joulecast_calibration.evaluate.protocol import evaluate
from joulecast_calibration.evaluate.serving import latencies, powers
from joulecast_calibration.evaluate.serving.evaluation import evaluate_served, holds_served
from joulecast_calibration.evaluate.serving.scoring import ALL, OWN, ServedEvaluation
from tests.unit.joulecast_calibration.evaluate.serving import tables
from tests.unit.joulecast_calibration.evaluate.serving.test_steps import MODELS


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> ServedEvaluation:
    folder = tmp_path_factory.mktemp("served")
    tables.latencies(
        folder, [*MODELS, MODELS[0] | {"silicon_ttft_ms": "90000.0", "isl": "2048"}, {"backend": "trtllm"}]
    )
    tables.powers(folder, [{}, {"model": "Llama-3.2-3B", "step_ms": "5.3"}])
    return evaluate_served(folder)


def test_seconds_watts_and_joules_are_apart_and_beside_simple_rules(found: ServedEvaluation) -> None:
    whole = {(line.figure, line.system): line.n for line in found.scores if line.part == ALL}
    assert whole[latencies.BETWEEN, OWN] == whole[latencies.BETWEEN, latencies.PROPORTIONAL] == 3
    assert whole[latencies.QUEUED, OWN] == 1
    assert whole[powers.WATTS, OWN] == whole[powers.SECONDS, OWN] == whole[powers.JOULES, OWN] == 2
    assert whole[powers.JOULES, powers.LIMIT_TIMES_SECONDS] == whole[powers.JOULES, latencies.PROPORTIONAL] == 2


def test_every_group_has_its_bias_and_adds_up(found: ServedEvaluation) -> None:
    own = [line for line in found.scores if (line.figure, line.system) == (latencies.BETWEEN, OWN)]
    lineages = [line.n for line in own if line.part in ("Qwen3-32B", "Llama 3.1", "MiniMax")]
    assert lineages == [1, 1, 1]
    assert all(line.interval_coverage is not None for line in own)


def test_what_was_left_out_is_counted_by_set_and_reason(found: ServedEvaluation) -> None:
    assert [(each.set, each.reason, each.n) for each in found.left_out] == [
        ("aiconfigurator_ops", "served by trtllm", 1)
    ]


def test_a_folder_without_the_sets_has_no_such_scores(tmp_path: Path) -> None:
    assert not holds_served(tmp_path)
    assert evaluate_served(tmp_path) == ServedEvaluation()
    with pytest.raises(MeasurementError):
        evaluate(tmp_path)
