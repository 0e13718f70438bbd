"""A joint fit of several cards: what it recovers of cards whose law is known, and what it says of one without rows."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from joulecast.energy.generic import chip_of_sheet
from joulecast.energy.profile import Law
from joulecast_calibration.fit.across.population import (
    NOBODY,
    Population,
    base_of,
    covariance,
    donor_of,
    fit_population,
    moving,
)
from joulecast_calibration.fit.across.sets import CardSet, published_sets
from joulecast_calibration.fit.cards import HOST
from joulecast_calibration.fit.shared import sheet_of
from tests.unit.energy import data

SHIFTS = {"law.memory_efficiency": -0.2, "law.instruction_joules": 0.6, "law.static_watts": 0.3}
"""What networks of these made-up cards say beyond data sheets."""
UNSEEN = "NVIDIA-H200"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return data.write(data.write(tmp_path_factory.mktemp("data")), "b_set", "H100-80GB-HBM3")


def shifted(law: Law) -> Law:
    laws = moving(law, SHIFTS)
    return laws.at(laws.centre + np.array([SHIFTS[each.path] for each in laws.unknown]))[0]


def made(folder: Path, found: CardSet, *, offset: float = 0.0) -> CardSet:
    """Return the set as if its card had the shifted law; ``offset``: log seconds that its table adds."""
    law = shifted(base_of(folder, found.sheet))
    forecast = found.table.compose(law, HOST, chip_of_sheet(found.sheet), found.clock_shares)
    table = replace(found.table, joules=forecast.joules, seconds=forecast.seconds * math.exp(offset))
    return replace(found, table=table, fitted=table)


def population_of(folder: Path, *, offset: float = 0.0) -> Population:
    return fit_population([donor_of(folder, made(folder, each, offset=offset)) for each in published_sets(folder)])


@pytest.fixture(scope="module")
def population(folder: Path) -> Population:
    return population_of(folder)


def errors(folder: Path, law: Law, product: str = UNSEEN) -> float:
    """Return the mean log error of joules on a card that has the shifted law."""
    sheet, asked = sheet_of(product), published_sets(folder)[0]
    assert sheet is not None
    chip, clock = chip_of_sheet(sheet), asked.clock_shares
    truth = asked.table.compose(shifted(base_of(folder, sheet)), HOST, chip, clock).joules
    return float(np.mean(np.abs(np.log(asked.table.compose(law, HOST, chip, clock).joules / truth))))


def test_the_joules_of_cards_with_rows_are_recovered(folder: Path, population: Population) -> None:
    for found in published_sets(folder):
        forecast = found.table.compose(
            population.laws[found.name], population.hosts[found.name], chip_of_sheet(found.sheet), found.clock_shares
        )
        assert forecast.joules == pytest.approx(made(folder, found).table.joules, rel=0.03)


def test_a_card_without_rows_has_most_of_what_cards_with_rows_have_in_common(
    folder: Path, population: Population
) -> None:
    sheet = sheet_of(UNSEEN)
    assert sheet is not None
    base = base_of(folder, sheet)
    assert errors(folder, population.law(base)) < 0.5 * errors(folder, base)


def test_a_table_that_adds_to_its_seconds_moves_joules_of_other_cards_by_less(
    folder: Path, population: Population
) -> None:
    sheet = sheet_of(UNSEEN)
    assert sheet is not None
    base = base_of(folder, sheet)
    slower = population_of(folder, offset=0.05)
    assert errors(folder, slower.law(base)) == pytest.approx(errors(folder, population.law(base)), abs=0.03)


def test_rows_without_seconds_count_with_their_joules(folder: Path, population: Population) -> None:
    sets = [made(folder, each) for each in published_sets(folder)]
    unknown = [replace(each.table, seconds=np.full(each.table.size, math.nan)) for each in sets]
    blind = [replace(each, table=table, fitted=table) for each, table in zip(sets, unknown, strict=True)]
    found = fit_population([donor_of(folder, each) for each in blind])
    assert np.isfinite(found.common).all()
    size = len(population.paths)
    assert np.trace(found.spread[:size, :size]) > np.trace(population.spread)


def test_what_is_not_known_of_a_card_is_at_least_its_own_deviation(population: Population) -> None:
    own = 0.5 * covariance(population.paths)
    assert np.linalg.eigvalsh(population.spread - own).min() > -1e-9


def test_without_networks_a_law_stays_as_it_is(folder: Path) -> None:
    sheet = sheet_of(UNSEEN)
    assert sheet is not None
    base = base_of(folder, sheet)
    assert fit_population([]) is NOBODY
    assert NOBODY.law(base) == base
