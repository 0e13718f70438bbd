"""The forecast of a card without rows: what it rests on, and how wide its interval must be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from joulecast_calibration.fit.across.sets import CardSet, published_sets
from joulecast_calibration.fit.across.transfer import UNTESTED, Unseen, calibration, unseen
from joulecast_calibration.fit.shared import sheet_of
from tests.unit.energy import data


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return data.write(data.write(tmp_path_factory.mktemp("data")), "b_set", "H100-80GB-HBM3")


@pytest.fixture(scope="module")
def sets(folder: Path) -> tuple[CardSet, ...]:
    return published_sets(folder)


@pytest.fixture(scope="module")
def card(folder: Path, sets: tuple[CardSet, ...]) -> Unseen:
    sheet = sheet_of("NVIDIA-L40S")
    assert sheet is not None
    return unseen(folder, sheet, sets)


def test_no_interval_is_narrower_than_its_calibration(card: Unseen, sets: tuple[CardSet, ...]) -> None:
    table, clock = sets[0].table, sets[0].clock_shares
    narrow = replace(card, calibration=np.zeros(3)).log_half_widths(table, clock)
    wide = replace(card, calibration=np.full(3, 3.0))
    assert (narrow > 0).all()
    assert (narrow < 3.0).all()
    assert (wide.log_half_widths(table, clock) == 3.0).all()
    assert wide.interval([table]).log_half_width == pytest.approx(3.0)


def test_an_unknown_host_widens_what_it_launches(card: Unseen, sets: tuple[CardSet, ...]) -> None:
    table, clock = sets[0].table, sets[0].clock_shares
    card = replace(card, calibration=np.zeros(3))
    with_host, without = card.log_half_widths(table, clock), card.log_half_widths(table, clock, host=False)
    found = card.forecast(table, clock)
    launched = found.seconds > 1.5 * table.networks.sum(found.busy.seconds)
    assert launched.any()
    assert (with_host[1, launched] > 1.1 * without[1, launched]).all()


def test_calibration_is_the_error_of_each_card_by_the_others(folder: Path, sets: tuple[CardSet, ...]) -> None:
    found = calibration(folder, sets, ())
    assert found.shape == (3,)
    slower = [
        replace(each, table=replace(each.table, joules=each.table.joules * (4 if each.name == "b_set" else 1)))
        for each in sets
    ]
    assert calibration(folder, slower, ())[0] > found[0]


def test_one_card_cannot_be_left_out(folder: Path, sets: tuple[CardSet, ...]) -> None:
    assert calibration(folder, sets[:1], ()).tolist() == [UNTESTED] * 3
