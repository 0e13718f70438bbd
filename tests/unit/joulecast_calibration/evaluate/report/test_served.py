"""What the page, the report, the document and the terminal tell of served models."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from joulecast_calibration.evaluate.evaluation import Evaluation
from joulecast_calibration.evaluate.report.page import as_page
from joulecast_calibration.evaluate.report.served import TITLE, served_targets
from joulecast_calibration.evaluate.report.tables import as_json, as_table
from joulecast_calibration.evaluate.serving import latencies, powers
from joulecast_calibration.evaluate.serving.scoring import OWN, LeftOut, ServedEvaluation, ServedScore
from tests.unit.joulecast_calibration.evaluate.forecasts import evaluation

LINE = ServedScore(
    set="aiconfigurator_ops", figure=latencies.BETWEEN, system=OWN, part="all", n=7, median_ape=9.0, mean_ape=16.0,
    max_ape=40.0, bias=-3.0, interval_coverage=0.9, interval_half_width=30.0,
)  # fmt: skip
SERVED = ServedEvaluation(
    scores=(LINE, replace(LINE, part="Kimi K2", bias=-12.3), replace(LINE, figure=powers.WATTS, median_ape=20.0)),
    left_out=(LeftOut(set="aiconfigurator_ops", reason="served by trtllm", n=11),),
)


@pytest.fixture(scope="module")
def found() -> Evaluation:
    return replace(evaluation(), served=SERVED)


def test_a_missed_target_is_printed_as_missed_with_what_the_residuals_show(found: Evaluation) -> None:
    page = as_page(found)
    assert f"| {latencies.BETWEEN}: median error | ≤ 10 % | 9.0 % | met by 1.0 points |" in page
    assert f"| {latencies.BETWEEN}: mean error | ≤ 15 % | 16.0 % | **missed** by 1.0 points |" in page
    assert "| Kimi K2 | 7 | 9.0 % | 16.0 % | 40.0 % | -12.3 % | 0.900 | ± 30.0 % |" in page
    assert "| aiconfigurator_ops | 11 | served by trtllm |" in page


def test_the_rest_of_the_page_is_the_same_without_served_models(found: Evaluation) -> None:
    page, plain = as_page(found), as_page(replace(found, served=ServedEvaluation()))
    before, _, section = page.partition(f"\n## {TITLE}\n")
    _, _, after = section.partition("\n## ")
    assert f"{before}\n## {after}" == plain


def test_targets_that_three_models_decide_are_not_guaranteed() -> None:
    ((_, target),) = [each for each in served_targets(SERVED) if powers.WATTS in each[1].name]
    assert "not guaranteed" in target.name
    assert target.state == "missed"


def test_document_and_terminal_tell_the_same(found: Evaluation) -> None:
    document = json.loads(as_json(found))
    assert [line["part"] for line in document["served"]] == ["all", "Kimi K2", "all"]
    assert {"set": "aiconfigurator_ops", "split": "served", "reason": "served by trtllm", "n": 11} in document[
        "unscored"
    ]
    text = as_table(found)
    assert "not scored: aiconfigurator_ops, served, 11 rows, served by trtllm" in text
    assert "Kimi K2" in text
    assert f"{powers.WATTS}: median error (not guaranteed), wanted ≤ 8 %, 20.0 %, missed" in text
