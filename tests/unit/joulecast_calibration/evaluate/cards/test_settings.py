"""Which of two settings of a card is named, and which pairs a plan would tell apart."""

from __future__ import annotations

import numpy as np
import pytest

from joulecast.planning.comparison import SAME_CARD
from joulecast_calibration.evaluate.cards.ranking import RankedSet
from joulecast_calibration.evaluate.cards.settings import setting_rankings
from joulecast_calibration.evaluate.cardscores import OTHER_ARCHITECTURES, OWN_ROWS, USUAL, SettingScore
from tests.unit.energy import data

BATCHES = tuple(data.row("gpt2model", "gpt2", 32, batch, 900.0) for batch in (4, 1, 2))


def scored(asked: RankedSet) -> dict[tuple[str, str], SettingScore]:
    return {(each.setting, each.by): each for each in setting_rankings([asked])}


def test_joules_of_an_inference_are_compared_between_all_batch_sizes() -> None:
    # joules an inference, of batch sizes 4, 1 and 2: measured 1, 4 and 2, forecast 3, 4 and 2
    forecast = np.array([12.0, 4.0, 4.0])
    asked = RankedSet(
        name="one",
        card="A",
        rows=BATCHES,
        truth=np.array([4.0, 4.0, 4.0]),
        forecasts={OWN_ROWS: forecast, "b": forecast},
        log_half_widths={OWN_ROWS: np.full(3, np.log(4 / 3) / (SAME_CARD * np.sqrt(2)) * 1.01)},
    )
    found = scored(asked)
    own = found["batch size", OTHER_ARCHITECTURES]
    assert (own.set, own.n) == ("one", 3)
    assert own.right == pytest.approx(2 / 3)  # 4 against 2 is named wrongly
    assert own.mean_regret == pytest.approx(100 / 3)
    assert own.told_apart == pytest.approx(2 / 3)  # 4 and 3 are not told apart
    assert own.told_apart_right == pytest.approx(1 / 2)
    assert found["batch size", "b"].told_apart is None
    assert found["batch size", USUAL].right == 1.0
    assert ("clock", OTHER_ARCHITECTURES) not in found


def test_rows_that_differ_in_batch_size_and_clock_are_no_pair() -> None:
    rows = tuple(
        data.row("gpt2model", "gpt2", 32, batch, clock) for batch, clock in ((1, 600.0), (2, 900.0), (2, 600.0))
    )
    asked = RankedSet(name="one", card="A", rows=rows, truth=np.array([1.0, 2.0, 3.0]), forecasts={"law": np.ones(3)})
    found = scored(asked)
    assert {key: each.n for key, each in found.items()} == {
        ("batch size", "law"): 1,
        ("batch size", USUAL): 1,
        ("clock", "law"): 1,
        ("clock", USUAL): 1,
    }


def test_equal_settings_and_single_rows_are_not_ranked() -> None:
    twice = RankedSet(name="one", card="A", rows=BATCHES[:1] * 2, truth=np.ones(2), forecasts={"law": np.ones(2)})
    assert scored(twice) == {}
