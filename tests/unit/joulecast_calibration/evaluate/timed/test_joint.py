"""The joint law as a law of seconds: what it reads, and that it forecasts every row."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from joulecast_calibration.evaluate.timed.evaluation import cards_of, of_its_chip, without_card
from joulecast_calibration.evaluate.timed.joint import JointLaw
from joulecast_calibration.evaluate.timed.laws import CardRows
from tests.unit.energy import data
from tests.unit.joulecast_calibration.fit.across.test_timed import rows_of


@pytest.fixture(scope="module")
def law(tmp_path_factory: pytest.TempPathFactory) -> JointLaw:
    return JointLaw(folder=data.write(tmp_path_factory.mktemp("data")))


@pytest.fixture(scope="module")
def cards() -> tuple[CardRows, ...]:
    rows = [row for card in ("RTX-3090", "RTX-4090") for row in rows_of(card, 12, seconds=0.1)]
    return cards_of(rows)[0]


def test_no_seconds_of_a_left_out_card_are_read(law: JointLaw, cards: tuple[CardRows, ...]) -> None:
    asked, other = cards
    blank = replace(asked.timed, table=replace(asked.timed.table, seconds=np.full(asked.timed.table.size, np.nan)))
    rows = tuple(replace(row, seconds=float("nan")) for row in blank.rows)
    erased = CardRows(sheet=asked.sheet, timed=replace(blank, rows=rows), families=asked.families)
    found = without_card(law, cards, asked)
    assert np.isfinite(found).all()
    assert np.array_equal(without_card(law, (erased, other), erased), found)


def test_rows_of_other_cards_move_the_forecast(law: JointLaw, cards: tuple[CardRows, ...]) -> None:
    asked, other = cards
    slower = tuple(replace(row, seconds=3 * row.seconds) for row in other.timed.rows)
    moved = CardRows(sheet=other.sheet, timed=replace(other.timed, rows=slower), families=other.families)
    assert (without_card(law, (asked, moved), asked) > without_card(law, cards, asked)).mean() > 0.9


def test_cards_of_one_chip_are_found_by_their_data_sheets() -> None:
    rows = [row for card in ("RTX-5090", "RTX-3090", "RTX-PRO-6000-Blackwell-Max-Q") for row in rows_of(card, 4)]
    found = {card.sheet.key: card for card in cards_of(rows)[0]}
    alike = of_its_chip(tuple(found.values()), found["RTX-5090"])
    assert [card.sheet.key for card in alike] == ["RTX-PRO-6000-Blackwell-Max-Q"]
    assert not of_its_chip(tuple(found.values()), found["RTX-3090"])
