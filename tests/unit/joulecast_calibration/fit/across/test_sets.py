"""Sets of networks by card, and what stays of one that is left out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from joulecast_calibration.fit.across.sets import CardSet, of_other_cards, own_set, published_sets
from joulecast_calibration.fit.profiles import FittedRows
from tests.unit.energy import data


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, CardSet]:
    folder = data.write(data.write(tmp_path_factory.mktemp("data")), "b_set", "H100-80GB-HBM3")
    return {found.name: found for found in published_sets(folder)}


def test_every_table_is_a_set_of_its_card(sets: dict[str, CardSet]) -> None:
    assert {name: (found.product, found.table.size, found.own) for name, found in sets.items()} == {
        "a_set": ("NVIDIA-A100-PCIE-40GB", 12, False),
        "b_set": ("NVIDIA-H100-80GB-HBM3", 12, False),
    }


def test_clock_locks_are_shares_of_the_boost_clock(sets: dict[str, CardSet]) -> None:
    found = sets["b_set"]
    assert found.sheet.boost_mhz == 1830
    assert found.clock_shares.tolist() == pytest.approx([row.clock_mhz / 1830 for row in found.rows if row.clock_mhz])
    free = replace(found, rows=tuple(replace(row, clock_mhz=None) for row in found.rows))
    assert set(free.clock_shares.tolist()) == {1.0}


def test_a_blind_set_has_no_measured_column(sets: dict[str, CardSet]) -> None:
    """A lock is an input; a clock that was measured is not."""
    found = sets["a_set"]
    free = replace(found, rows=tuple(replace(row, clock_mhz=None) for row in found.rows))
    for blind in (found.blind(), free.blind()):
        assert np.isnan(blind.table.joules).all()
        assert np.isnan(blind.table.seconds).all()
    assert found.blind().table.clock_mhz.tolist() == [row.clock_mhz for row in found.rows]
    assert np.isnan(free.blind().table.clock_mhz).all()
    assert np.isfinite(found.table.joules).all()


def test_a_thinned_set_keeps_each_network_with_its_clock(sets: dict[str, CardSet]) -> None:
    found = sets["a_set"]
    few = found.thinned(5)
    assert few.table.size == len(few.rows) == 4
    assert few.clock_shares.tolist() == found.clock_shares[::3].tolist()
    assert few.fitted.joules.tolist() == found.table.joules[::3].tolist()
    assert found.thinned(12).rows == found.rows


def test_sets_of_the_same_card_and_of_the_same_table_are_left_out_together(sets: dict[str, CardSet]) -> None:
    one, other = sets["a_set"], sets["b_set"]
    again, beside = replace(one, name="ours", own=True), replace(other, name="a_set")
    assert of_other_cards(one, [one, other, again, beside]) == (other,)
    assert of_other_cards(other, [one, other, again, beside]) == (one, again)


def test_rows_of_a_simulated_card_are_none(fitted: FittedRows) -> None:
    assert own_set("bench", fitted.journal) is None


def test_networks_that_this_project_measured_are_a_set_without_their_layers(fitted: FittedRows) -> None:
    found = own_set("bench", replace(fitted.journal, simulated=False))
    assert found is not None
    assert (found.product, found.own) == (fitted.journal.product, True)
    assert found.table.size == fitted.table.is_network.sum() == len(found.rows)
    assert found.table.is_network.all()
    assert {row.clock_mhz for row in found.rows} == {None}
