"""Who is held out with whom."""

from __future__ import annotations

from collections import Counter

import pytest

from joulecast_calibration.evaluate import families as module
from joulecast_calibration.evaluate.families import families, shared_work
from tests.unit.energy import data
from tests.unit.joulecast_calibration.evaluate.forecasts import ROWS


def test_different_networks_are_families_of_their_own() -> None:
    assert set(families(ROWS)) == {"GPT-2", "ResNet", "MobileViT"}


def test_lineages_that_do_most_of_their_work_in_the_same_layers_are_one(monkeypatch: pytest.MonkeyPatch) -> None:
    gpt2, opt, bert = (data.row(name, "", 32, 1, 900.0) for name in ("gpt2model", "optmodel", "bertmodel"))
    work = {gpt2: Counter(a=60, b=40), opt: Counter(a=60, c=40), bert: Counter(a=40, d=60)}
    monkeypatch.setattr(module, "_work", work.__getitem__)
    assert families([gpt2, opt, bert]) == ("GPT-2 + OPT", "GPT-2 + OPT", "BERT")
    monkeypatch.setattr(module, "_work", lambda row: work[row] if row is not bert else Counter(c=60, d=40))
    assert set(families([gpt2, opt, bert])) == {"GPT-2 + OPT"} | {"BERT"}


def test_work_is_shared_configuration_by_configuration() -> None:
    assert shared_work(Counter(a=60, b=40), Counter(a=30, c=70)) == 0.3
    assert shared_work(Counter(a=10), Counter(a=30, c=70)) == 1  # a part of the larger one
