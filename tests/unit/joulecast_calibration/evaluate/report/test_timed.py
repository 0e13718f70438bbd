from __future__ import annotations

import json

from joulecast_calibration.evaluate.evaluation import Evaluation
from joulecast_calibration.evaluate.report.page import as_page
from joulecast_calibration.evaluate.report.tables import as_json, as_table
from joulecast_calibration.evaluate.report.timed import TITLE, timed_targets
from joulecast_calibration.evaluate.serving.scoring import ALL, LeftOut, ServedEvaluation, ServedScore
from joulecast_calibration.evaluate.timed.evaluation import CARD_OUT, FAMILY_OUT, NAMES
from joulecast_calibration.evaluate.timed.laws import BY_KIND


def _score(name: str, figure: str, part: str, median: float) -> ServedScore:
    return ServedScore(
        set=name, figure=figure, system=BY_KIND, part=part, n=9, median_ape=median, mean_ape=9.0, max_ape=20.0, bias=1.0
    )


FOUND = ServedEvaluation(
    scores=(
        _score(NAMES["timm"], FAMILY_OUT, ALL, 7.9),
        _score(NAMES["timm"], CARD_OUT, ALL, 12.1),
        _score(NAMES["dle"], CARD_OUT, ALL, 30.0),
        _score(NAMES["dle"], CARD_OUT, "fp32", 14.0),
    ),
    left_out=(LeftOut(set=NAMES["timm"], reason="compiled by dynamo, whose kernels no law prices", n=5),),
)


def test_targets_are_of_the_law_that_is_fitted_and_each_says_whether_it_is_met() -> None:
    assert [(name, each.wanted, each.state) for name, each in timed_targets(FOUND)] == [
        (NAMES["timm"], "≤ 8 %", "met"),
        (NAMES["timm"], "≤ 12 %", "missed"),
        (NAMES["dle"], "≤ 15 %", "met"),
    ]


def test_page_terminal_and_json_show_them() -> None:
    found = Evaluation(results=(), unscored=(), timed=FOUND)
    assert TITLE in as_page(found)
    assert "compiled by dynamo" in as_page(found)
    assert FAMILY_OUT in as_table(found)
    document = json.loads(as_json(found))
    assert len(document["timed"]) == 4
    assert {"seconds"} == {entry["split"] for entry in document["unscored"]}
