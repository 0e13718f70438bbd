"""A card that is left out whole: every system beside physical, and no measured column of it read."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from joulecast_calibration.evaluate.cards.catalogue import CARD_SYSTEMS
from joulecast_calibration.evaluate.cards.evaluation import evaluate_cards, leave_cards_out
from joulecast_calibration.evaluate.cards.scoring import LeftOutCard
from joulecast_calibration.evaluate.cardscores import ALL, QUANTITIES, CardScore, CardsEvaluation
from joulecast_calibration.evaluate.contenders import PHYSICAL
from joulecast_calibration.evaluate.systems.catalogue import FORMS
from joulecast_calibration.fit.across.sets import CardSet, published_sets
from tests.unit.energy import data
from tests.unit.joulecast_calibration.evaluate.test_transfer import tables

NAMES = [system.name for system in CARD_SYSTEMS]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return data.write(data.write(tmp_path_factory.mktemp("data")), "b_set", "H100-80GB-HBM3")


@pytest.fixture(scope="module")
def sets(folder: Path) -> tuple[CardSet, ...]:
    return published_sets(folder)


@pytest.fixture(scope="module")
def found(folder: Path, sets: tuple[CardSet, ...]) -> CardsEvaluation:
    return evaluate_cards(folder, sets, [])[0]


def forecasts(folder: Path) -> dict[tuple[str, str], LeftOutCard]:
    made = leave_cards_out(folder, published_sets(folder))
    return {(each.set.name, each.system): each for each in made if isinstance(each, LeftOutCard)}


def test_all_five_systems_and_two_rules_stand_beside_physical() -> None:
    assert NAMES == [
        PHYSICAL, "wattlayer", "mac-linear", "hidden-joules", "neuralpower", "getzner", "TDP × our seconds",
        "∝ MACs × TDP ÷ peak",
    ]  # fmt: skip


def test_each_set_is_scored_by_every_system_from_the_other_card(found: CardsEvaluation) -> None:
    whole = [line for line in found.scores if (line.quantity, line.part) == ("joules", ALL)]
    assert [(line.set, line.system, line.fitted_on) for line in whole] == [
        *(("a_set", name, "b_set") for name in NAMES),
        *(("b_set", name, "a_set") for name in NAMES),
    ]
    assert all(line.n == 12 for line in whole)


def test_physical_forecasts_joules_seconds_and_watts_with_an_interval(found: CardsEvaluation) -> None:
    own = [line for line in found.scores if (line.set, line.system, line.part) == ("b_set", PHYSICAL, ALL)]
    assert [line.quantity for line in own] == list(QUANTITIES)
    assert all(line.interval_coverage is not None and line.interval_half_width for line in own)
    parts = {line.part for line in found.scores if line.system == PHYSICAL}
    assert parts == {ALL, "gpt2model", "resnet101", "mobilevitmodel"}


def test_erasing_every_measured_column_of_a_card_changes_no_forecast_of_it(folder: Path, tmp_path: Path) -> None:
    """Its own joules, seconds and clocks, and the other columns, are what it is scored by alone."""
    before = forecasts(folder)
    erased = data.write(data.write(tmp_path), "b_set", "H100-80GB-HBM3")
    noise = {"energy_j_per_forward": "12345", "time_ms_per_forward": "9", **dict.fromkeys(data.IRRELEVANT, "nan")}
    data.edit(erased, noise, name="b_set")
    after = forecasts(erased)
    for name in NAMES:
        one, other = before["b_set", name].forecast, after["b_set", name].forecast
        assert one.values.keys() == other.values.keys()
        for quantity, values in one.values.items():
            assert np.array_equal(values, other.values[quantity]), (name, quantity)
        for quantity, widths in one.log_half_widths.items():
            assert np.array_equal(widths, other.log_half_widths[quantity]), (name, quantity)


def operators(folder: Path, share: float, slower: float) -> Path:
    """Write a set on an H200 and one on an A100, with tables of operators on H200, B200 and GB200.

    ``share``: of its limit that the H200 draws; ``slower``: factor of its seconds.
    """
    tables(folder, {"h200_sxm": share, "b200_sxm": 0.9, "gb200": 0.9})
    lines = ["m,n,k,h200_sxm_ms,b200_sxm_ms"]
    for size in (512, 1024, 2048, 4096):
        lines.append(f"{size},{size},{size},{slower * 2e-12 * size**3},{1e-12 * size**3}")
    path = folder / "aiconfigurator_ops" / "gemm_bf16_latency_wide.csv.gz"
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    return data.write(data.write(folder), "b_set", "H200")


def test_tables_of_operators_on_the_card_are_not_read_either(tmp_path: Path) -> None:
    """Halving its watts and doubling its seconds changes no forecast of it, but those of the other card."""
    one, two = operators(tmp_path / "one", 0.9, 1.0), operators(tmp_path / "two", 0.45, 2.0)
    for name in ("a_set", "b_set"):  # the rows that are fitted are made from the folder's tables, too
        shutil.copy(one / name / "model_energy.csv", two / name / "model_energy.csv")
    before, after = forecasts(one), forecasts(two)
    same = {key: np.array_equal(each.forecast.values["joules"], after[key].forecast.values["joules"])
            for key, each in before.items() if key[1] == PHYSICAL}  # fmt: skip
    assert same == {("a_set", PHYSICAL): False, ("b_set", PHYSICAL): True}
    widths = [each["b_set", PHYSICAL].forecast.log_half_widths["joules"].tolist() for each in (before, after)]
    assert widths[0] == widths[1]


def test_a_system_is_asked_with_a_set_whose_measured_columns_are_nan(folder: Path, sets: tuple[CardSet, ...]) -> None:
    seen: list[tuple[CardSet, tuple[str, ...]]] = []

    class Asked:
        name = "asked"

        def forecast(self, folder: Path, asked: CardSet, others: Sequence[CardSet]) -> None:
            seen.append((asked, tuple(each.name for each in others)))

    own = replace(sets[0], name="ours", own=True)
    outcomes = list(leave_cards_out(folder, (*sets, own), [Asked()]))
    assert [(asked.name, others) for asked, others in seen] == [
        ("a_set", ("b_set",)), ("b_set", ("a_set", "ours")), ("ours", ("b_set",)),
    ]  # fmt: skip
    for asked, _ in seen:
        assert np.isnan(asked.table.joules).all()
        assert np.isnan(asked.table.seconds).all()
    assert [(each.set, each.n) for each in outcomes if not isinstance(each, LeftOutCard)] == [
        ("a_set", 12), ("b_set", 12), ("ours", 12),
    ]  # fmt: skip


def test_sets_of_one_card_alone_are_not_scored(folder: Path, sets: tuple[CardSet, ...]) -> None:
    found, without = evaluate_cards(folder, (sets[0], replace(sets[0], name="ours")), [])
    assert (found, without) == (CardsEvaluation(), ())


def test_rules_are_what_their_names_say(folder: Path, sets: tuple[CardSet, ...]) -> None:
    found = forecasts(folder)
    own, limit = found["b_set", PHYSICAL].forecast, found["b_set", "TDP × our seconds"].forecast
    assert limit.values["joules"] == pytest.approx(700 * own.values["seconds"])
    assert set(limit.values["watts"].tolist()) == {700.0}
    macs = found["b_set", "∝ MACs × TDP ÷ peak"].forecast.values["joules"]
    twice = [macs[place] / macs[place - 2] for place, row in enumerate(sets[1].rows) if row.batch_size == 4]
    assert twice == pytest.approx([4.0] * 6)


def test_published_systems_forecast_seconds_too_and_watts_are_the_quotient(folder: Path) -> None:
    made = forecasts(folder)
    for name in FORMS:
        found = made["b_set", name].forecast
        assert found.values["watts"] == pytest.approx(found.values["joules"] / found.values["seconds"])
        assert set(found.log_half_widths) == {"joules", "seconds"}


def test_rows_without_seconds_leave_joules_alone(tmp_path: Path) -> None:
    folder = data.write(data.write(tmp_path), "b_set", "H100-80GB-HBM3")
    data.edit(folder, {"time_ms_per_forward": ""}, name="a_set")
    found = forecasts(folder)
    assert set(found["b_set", "getzner"].forecast.values) == {"joules"}
    assert ("b_set", "neuralpower") not in found
    assert ("a_set", "neuralpower") in found


def test_rankings_are_of_all_pairs_of_the_same_network(found: CardsEvaluation) -> None:
    assert {each.cards for each in found.rankings} == {"a_set, b_set"}
    assert all(each.n == 24 for each in found.rankings)  # two clocks of each of twelve networks and batches
    assert f"{PHYSICAL}, card left out" in {each.by for each in found.rankings}


def test_settings_are_ranked_within_each_set(found: CardsEvaluation) -> None:
    assert {each.set for each in found.settings} == {"a_set", "b_set"}
    own = [each for each in found.settings if each.by == f"{PHYSICAL}, card left out"]
    assert {each.setting for each in own} == {"batch size", "clock"}
    assert all(each.told_apart is not None for each in own)


def line(found: CardsEvaluation, system: str) -> CardScore:
    return next(e for e in found.scores if (e.set, e.system, e.quantity, e.part) == ("b_set", system, "joules", ALL))


def test_errors_are_of_what_was_measured(folder: Path, sets: tuple[CardSet, ...], found: CardsEvaluation) -> None:
    """Joules of the folder are a known factor above the prior's: rows of the other card tell a part of it."""
    forecast = forecasts(folder)["b_set", PHYSICAL].forecast.values["joules"]
    off = 100 * (forecast / sets[1].table.joules - 1)
    assert line(found, PHYSICAL).median_ape == pytest.approx(float(np.median(np.abs(off))))
    assert line(found, PHYSICAL).bias == pytest.approx(float(np.median(off)))
    assert 100 * (1 / data.FACTOR - 1) < line(found, PHYSICAL).bias < 0
