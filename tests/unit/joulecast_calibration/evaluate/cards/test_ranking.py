"""Which of two cards is named, and what a wrong name costs."""

from __future__ import annotations

import numpy as np
import pytest

from joulecast_calibration.evaluate.cards.ranking import RankedSet, rankings
from joulecast_calibration.evaluate.cardscores import NEVER_ASKED, RankingScore
from tests.unit.energy import data

ROWS = tuple(data.row("gpt2model", "gpt2", 32, batch, 900.0) for batch in (1, 2, 4))


def ranked(name: str, truth: list[float], forecast: list[float], card: str = "", rows: int = 3) -> RankedSet:
    return RankedSet(
        name=name,
        card=card or name,
        rows=ROWS[:rows],
        truth=np.array(truth),
        forecasts={"law": np.array(forecast)},
    )


def scored(*sets: RankedSet) -> dict[str, RankingScore]:
    return {each.by: each for each in rankings(sets)}


def test_regret_is_what_the_named_card_costs_above_the_cheaper_one() -> None:
    found = scored(ranked("one", [1.0, 2.0, 4.0], [1.0, 2.0, 9.0]), ranked("other", [2.0, 1.0, 5.0], [3.0, 3.0, 8.0]))
    law = found["law"]
    assert (law.cards, law.n) == ("one, other", 3)
    assert law.right == pytest.approx(1 / 3)  # the second and the third are named wrongly
    assert law.mean_regret == pytest.approx(100 * (0 + 1.0 + 0.25) / 3)
    assert law.total_regret == pytest.approx(100 * (8.0 / 6.0 - 1))
    assert law.regret_joules == pytest.approx(2 / 3)
    assert found[NEVER_ASKED].right == pytest.approx(2 / 3)


def test_rows_pair_where_network_and_workload_are_the_same_whatever_their_clocks() -> None:
    one = ranked("one", [1.0], [1.0], rows=1)
    clocks = tuple(data.row("gpt2model", "gpt2", 32, 1, clock) for clock in (600.0, 1200.0))
    other = RankedSet(
        name="other", card="other", rows=clocks, truth=np.array([2.0, 3.0]), forecasts={"law": np.array([2.0, 0.5])}
    )
    assert (scored(one, other)["law"].n, scored(one, other)["law"].right) == (2, 0.5)
    assert scored(one, RankedSet(name="b", card="b", rows=ROWS[1:2], truth=np.ones(1), forecasts={})) == {}


def test_two_sets_of_one_card_are_not_ranked() -> None:
    assert scored(ranked("one", [1.0], [1.0], "A", 1), ranked("other", [1.0], [1.0], "A", 1)) == {}


def test_a_forecast_of_one_card_alone_ranks_nothing() -> None:
    one = ranked("one", [1.0], [1.0], rows=1)
    other = RankedSet(name="other", card="other", rows=ROWS[:1], truth=np.array([2.0]), forecasts={})
    assert set(scored(one, other)) == {NEVER_ASKED}
