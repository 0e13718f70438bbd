"""Cards with seconds alone in the joint fit: which rows, what is recovered, and what seconds do not move."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from joulecast.energy.features import Array
from joulecast.energy.generic import chip_of_sheet
from joulecast.energy.profile import Law
from joulecast_calibration.fit.across.population import (
    Population,
    base_of,
    donor_of,
    fit_population,
    moving,
    with_times_of,
)
from joulecast_calibration.fit.across.sets import CardSet, published_sets
from joulecast_calibration.fit.across.timed import NETWORKS_A_LINEAGE, of_other_chips, timed_sets_of
from joulecast_calibration.fit.across.transfer import fitted_seconds
from joulecast_calibration.fit.cards import HOST
from joulecast_calibration.fit.shared import sheet_of
from joulecast_calibration.rows.latencies.lineage import lineage_of
from joulecast_calibration.rows.latencies.store import AUTOCAST, AUTOCAST_BEFORE_2_5, store
from joulecast_calibration.rows.latencies.tables import LatencyRow
from tests.unit.energy import data

SHIFTS = {"law.memory_efficiency": -0.15, "law.family_compute.convolution": 0.4, "law.instructions.other": 0.2}
"""What networks of these made-up cards say beyond data sheets."""
OWN = {"RTX-3090": 0.2, "RTX-4090": -0.2}
"""Own deviation of the memory efficiency of each card."""
OFFSET = 0.08
"""Log seconds that the table adds to every row."""
TABLE = "timm_latency"
ENERGY = ("flop_joules", "instruction_joules", "byte_joules", "static_watts", "clock_watts", "gap_watts", "held_share")


def rows_of(card: str, number: int = 30, seconds: float = 1.0) -> list[LatencyRow]:
    known = store().networks
    keys = sorted(key for key in known if key[2] == AUTOCAST and (*key[:2], AUTOCAST_BEFORE_2_5) in known)
    return [
        LatencyRow(
            table="timm", run="made", card=card, network=name, image_size=size, precision=AUTOCAST,
            channels_last=False, batch=256, seconds=seconds, software="2.9",
        )
        for name, size, _ in keys[:: len(keys) // number]
    ]  # fmt: skip


def shifted(law: Law, card: str = "") -> Law:
    laws = moving(law, SHIFTS)
    own = {"law.memory_efficiency": OWN.get(card, 0.0)}
    return laws.at(laws.centre + np.array([SHIFTS[u.path] + own.get(u.path, 0.0) for u in laws.unknown]))[0]


def timed(folder: Path, found: CardSet, *, offset: float) -> CardSet:
    """Return the set with the seconds of a card of the shifted law and a table that adds ``offset``."""
    law = shifted(base_of(folder, found.sheet), found.sheet.key)
    made = found.table.compose(law, HOST, chip_of_sheet(found.sheet), found.clock_shares)
    table = replace(found.table, seconds=made.seconds * math.exp(offset))
    return replace(found, table=table, fitted=table)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return data.write(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def sets(folder: Path) -> tuple[CardSet, ...]:
    found = timed_sets_of([*rows_of("RTX-3090"), *rows_of("RTX-4090")])
    return tuple(timed(folder, each, offset=OFFSET) for each in found)


@pytest.fixture(scope="module")
def metered(folder: Path) -> CardSet:
    """Return a card with joules and seconds of the shifted law, whose table adds nothing."""
    (found,) = published_sets(folder)
    law = shifted(base_of(folder, found.sheet))
    made = found.table.compose(law, HOST, chip_of_sheet(found.sheet), found.clock_shares)
    table = replace(found.table, joules=made.joules, seconds=made.seconds)
    return replace(found, table=table, fitted=table)


@pytest.fixture(scope="module")
def population(folder: Path, sets: tuple[CardSet, ...], metered: CardSet) -> Population:
    return fit_population([donor_of(folder, each) for each in (metered, *sets)])


def test_two_networks_of_a_lineage_are_fitted_whatever_the_order_of_rows() -> None:
    rows = rows_of("RTX-3090", 200)
    (found,) = timed_sets_of(rows)
    assert max(Counter(row.families[0] for row in found.table.rows).values()) == NETWORKS_A_LINEAGE
    assert {row.families[0] for row in found.table.rows} == {lineage_of(row.network) for row in rows}
    (again,) = timed_sets_of(rows[::-1])
    assert [row.name for row in again.table.rows] == [row.name for row in found.table.rows]
    assert np.isnan(found.table.joules).all()


def test_other_layouts_and_float32_outside_tensor_cores_are_not_fitted() -> None:
    plain = rows_of("T4", 3)
    assert timed_sets_of([replace(row, channels_last=True) for row in plain]) == ()
    assert timed_sets_of([replace(row, table="dle", precision="fp32") for row in plain]) == ()
    (found,) = timed_sets_of([replace(row, table="dle", channels_last=True) for row in plain])
    assert (found.name, found.source, found.table.size) == ("nvidia_dle_latency T4", "nvidia_dle_latency", len(plain))


def test_the_seconds_of_a_card_with_rows_are_recovered(
    folder: Path, population: Population, sets: tuple[CardSet, ...]
) -> None:
    for found in sets:
        law = population.laws[found.name]
        made = found.table.compose(law, population.hosts[found.name], chip_of_sheet(found.sheet), found.clock_shares)
        off = np.log(made.seconds / found.table.seconds) + population.offsets[TABLE]
        assert np.abs(off).mean() < 0.03


def test_little_of_what_a_table_adds_is_taken_for_all_cards(
    folder: Path, population: Population, sets: tuple[CardSet, ...], metered: CardSet
) -> None:
    """Two cards cannot tell an offset from two slow cards, so the rest of it is mostly their own deviation."""
    plain = [timed(folder, each, offset=0.0) for each in sets]
    without = fit_population([donor_of(folder, each) for each in (metered, *plain)])
    assert 0.15 * OFFSET < population.offsets[TABLE] - without.offsets[TABLE] < 1.1 * OFFSET
    moved = unseen_seconds(folder, population) / unseen_seconds(folder, without)
    assert abs(np.log(moved).mean()) < 0.6 * OFFSET


def test_a_card_that_is_not_timed_has_most_of_what_all_cards_share(folder: Path, population: Population) -> None:
    truth = unseen_seconds(folder, None, shift=True)
    blind, told = unseen_seconds(folder, None), unseen_seconds(folder, population)
    assert np.abs(np.log(told / truth)).mean() < 0.6 * np.abs(np.log(blind / truth)).mean()


def unseen_seconds(folder: Path, found: Population | None, *, shift: bool = False) -> Array:
    """Return the seconds of networks on a card without rows, by its data sheet, ``found`` or the shifted law."""
    (asked,) = timed_sets_of(rows_of("RTX-5090", 20))
    base = base_of(folder, asked.sheet)
    law = shifted(base) if shift else found.law(base) if found else base
    return asked.table.compose(law, HOST, chip_of_sheet(asked.sheet), asked.clock_shares).seconds


def test_seconds_tell_of_no_joules(folder: Path, population: Population, sets: tuple[CardSet, ...]) -> None:
    """What a timed card's operations cost is what is known of a card without rows, whatever its seconds are."""
    for found in sets:
        assert not [u.path for u in donor_of(folder, found).laws.unknown if u.path.split(".")[1] in ENERGY]
        untold, told = population.law(base_of(folder, found.sheet)), population.laws[found.name]
        assert {name: getattr(told, name) for name in ENERGY} == {name: getattr(untold, name) for name in ENERGY}
        assert told.memory_efficiency != untold.memory_efficiency


def test_a_law_takes_times_and_keeps_energies(population: Population, sets: tuple[CardSet, ...]) -> None:
    one, other = (population.laws[each.name] for each in sets)
    mixed = with_times_of(one, other)
    assert {name: getattr(mixed, name) for name in ENERGY} == {name: getattr(one, name) for name in ENERGY}
    assert (mixed.memory_efficiency, mixed.family_memory) == (other.memory_efficiency, other.family_memory)


def test_a_card_whose_chip_was_metered_does_not_rest_on_seconds(folder: Path, metered: CardSet) -> None:
    sheet = sheet_of("NVIDIA-A100-SXM4-80GB")
    assert sheet is not None
    assert sheet is not metered.sheet
    assert fitted_seconds(folder, sheet, [metered]) is None


def test_a_card_that_is_left_out_does_not_rest_on_its_seconds(
    folder: Path, sets: tuple[CardSet, ...], metered: CardSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The joint fit leaves them out, so it has no law of the card."""
    monkeypatch.setattr("joulecast_calibration.fit.across.timed.with_seconds", lambda _: sets)
    for found in sets:
        assert fitted_seconds(folder, found.sheet, [metered]) is found
        assert fitted_seconds(folder, found.sheet, [metered], [found.product]) is None


def test_joules_of_metered_cards_hardly_move_by_seconds_of_others(
    folder: Path, population: Population, metered: CardSet
) -> None:
    alone = fit_population([donor_of(folder, metered)])
    chip, clock = chip_of_sheet(metered.sheet), metered.clock_shares
    for found in (alone, population):
        law, host = found.laws[metered.name], found.hosts[metered.name]
        assert metered.table.compose(law, host, chip, clock).joules == pytest.approx(metered.table.joules, rel=0.05)


def test_seconds_of_a_left_out_chip_take_no_part(sets: tuple[CardSet, ...]) -> None:
    sheet = sheet_of("NVIDIA-A40")
    assert sheet is not None
    assert sheet.architecture == "Ampere GA102"
    assert [each.sheet.key for each in of_other_chips(sets, ["NVIDIA-A40"])] == ["RTX-4090"]
    assert of_other_chips(sets, []) == sets
