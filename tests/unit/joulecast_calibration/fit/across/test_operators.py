"""Cards with seconds of operators alone in the joint fit: which rows, and what they tell of a card and a table."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from joulecast.energy.generic import chip_of_sheet
from joulecast_calibration.fit.across.hosts import draw_of
from joulecast_calibration.fit.across.operators import OPERATORS_OF_A_KIND, TABLE, operator_sets_of
from joulecast_calibration.fit.across.population import base_of, donor_of, fit_population, moving
from joulecast_calibration.fit.across.sets import CardSet
from joulecast_calibration.fit.across.timed import timed_of
from joulecast_calibration.fit.cards import HOST
from joulecast_calibration.fit.shared import sheet_of
from joulecast_calibration.rows.engines.vidur import OperatorRow, read_operators
from tests.unit.energy import data
from tests.unit.joulecast_calibration.rows.engines.test_vidur import ENTRY, write

OWN, OFFSET = -0.2, 0.1
"""Logarithms: how much less of its peak the made-up A40 reaches than is known of it, and what the table adds."""


def rows_of(folder: Path, cards: Sequence[str] = ("a40", "a100", "h100"), most: int = 3000) -> list[OperatorRow]:
    """Return rows of ``cards`` at many numbers of tokens."""
    entries = [{**ENTRY, "gpu": card, "num_tokens": tokens} for card in cards for tokens in range(512, most, 16)]
    return list(read_operators(write(folder, entries)).rows)


def timed(folder: Path, found: CardSet, moved: Mapping[str, float]) -> CardSet:
    """Return the set with the seconds of what is known of its card, ``moved``, and a table that adds ``OFFSET``."""
    laws = moving(base_of(folder, found.sheet), moved)
    law = laws.at(laws.centre + np.array(list(moved.values())))[0]
    made = found.table.compose(law, HOST, chip_of_sheet(found.sheet), found.clock_shares)
    table = replace(found.table, seconds=made.seconds * math.exp(OFFSET))
    return replace(found, table=table, fitted=table)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return data.write(tmp_path_factory.mktemp("data"))


def test_so_many_of_each_kind_are_fitted_whatever_the_order_of_rows(tmp_path: Path) -> None:
    rows = rows_of(tmp_path)
    found, again = operator_sets_of(rows), operator_sets_of(rows[::-1])
    for one, other in zip(found, again, strict=True):
        counts = Counter(row.name for row in one.table.rows)
        assert len(counts) == 5
        assert OPERATORS_OF_A_KIND / 2 < min(counts.values()) <= max(counts.values()) <= OPERATORS_OF_A_KIND
        assert [row.configuration for row in one.table.rows] == [row.configuration for row in other.table.rows]


def test_operators_tell_of_no_joules_and_of_no_host(folder: Path, tmp_path: Path) -> None:
    (found,) = operator_sets_of(rows_of(tmp_path, ["a40"]))
    assert np.isnan(found.table.joules).all()
    unknown = [each.path for each in donor_of(folder, found).laws.unknown]
    assert "law.compute_efficiency.fp16" in unknown
    assert not [path for path in unknown if path.startswith(("host.", "law.flop_joules", "law.static_watts"))]
    assert draw_of(found, base_of(folder, found.sheet)) is None


def test_what_the_table_adds_is_told_by_cards_that_are_known(folder: Path, tmp_path: Path) -> None:
    """The known cards show the offset, and what is left is the deviation of the card that nobody knew."""
    deviating = {"law.compute_efficiency.fp16": OWN}
    sets = [timed(folder, s, deviating if s.sheet.key == "A40" else {}) for s in operator_sets_of(rows_of(tmp_path))]
    found = fit_population([donor_of(folder, each) for each in sets])
    assert 0.3 * OFFSET < found.offsets[TABLE] < 1.2 * OFFSET
    for each in sets:
        law, chip = found.laws[each.name], chip_of_sheet(each.sheet)
        made = each.table.compose(law, HOST, chip, each.clock_shares).seconds * math.exp(found.offsets[TABLE])
        assert np.abs(np.log(made / each.table.seconds)).mean() < 0.03
    reached = {s.sheet.key: found.laws[s.name].compute_efficiency["fp16"] for s in sets}
    assert reached["A40"] < 0.92 * min(reached["A100-SXM4-80GB"], reached["H100-SXM5-80GB"])


def test_a_card_rests_on_networks_before_operators(tmp_path: Path) -> None:
    write(tmp_path, [ENTRY])
    sheet = sheet_of("NVIDIA-A40")
    assert sheet is not None
    assert [each.name for each in timed_of(tmp_path, sheet)] == [f"{TABLE} A40"]
