"""The sources that a profile names: every table whose rows moved it, and no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from joulecast.accelerators.catalogue import find
from joulecast.energy.generic import generic
from joulecast.energy.profile import OF_THIS_CARD, OPERATORS_OF_THIS_CARD, FittedFrom
from joulecast_calibration.fit.across.hosts import Draw
from joulecast_calibration.fit.across.operators import operator_sets_of
from joulecast_calibration.fit.across.sets import published_sets
from joulecast_calibration.fit.across.sources import of_other_cards, sources_of_all_cards
from joulecast_calibration.fit.across.timed import timed_sets_of
from joulecast_calibration.fit.shared import sheet_of
from joulecast_calibration.rows.engines.vidur import read_operators
from tests.unit.energy import data
from tests.unit.joulecast_calibration.fit.across.test_timed import rows_of
from tests.unit.joulecast_calibration.rows.engines.test_vidur import ENTRY, write

EAGER = ("EcoCompute, eager generation", "Power Hungry Processing, measured inference")


def draw(name: str, table: str, rows: int) -> Draw:
    return Draw(name=name, table=table, rows=rows, generation=4, log_pace=0.0)


def test_a_table_that_tells_of_hosts_is_named_with_its_rows_and_licence(tmp_path: Path) -> None:
    sets = published_sets(data.write(tmp_path))
    draws = [draw("a_set", "a_set", 9), draw("one", "quantised_eager", 3), draw("two", "quantised_eager", 4)]
    _, hosts = of_other_cards(sets, draws)
    assert (hosts.name, hosts.rows, hosts.what) == (EAGER[0], 7, "launch times of hosts: one, two")
    assert hosts.licence.startswith("MIT; CC BY 4.0 (creativecommons.org/licenses/by/4.0), (c) 2026 Hongping Zhang")


def test_a_set_that_also_tells_of_its_host_is_named_once(tmp_path: Path) -> None:
    sets = published_sets(data.write(tmp_path))
    (only,) = of_other_cards(sets, [draw("a_set", "a_set", 9)])
    assert (only.name, only.rows) == ("a_set", 12)


def test_a_timed_card_names_its_own_seconds_apart_from_those_of_others(tmp_path: Path) -> None:
    timed = timed_sets_of([*rows_of("RTX-3090", 4), *rows_of("RTX-4090", 6), *rows_of("RTX-5090", 4)])
    own = next(each for each in timed if each.sheet.key == "RTX-4090")
    draws = [draw("timm_latency RTX-3090", "timm_latency", 3)]
    others, mine = of_other_cards((), draws, timed, own.sheet)
    assert {others.licence, mine.licence} == {"Apache-2.0"}
    assert (mine.what, mine.rows) == (OF_THIS_CARD, own.table.size)
    cards = "NVIDIA-GeForce-RTX-3090, NVIDIA-GeForce-RTX-5090"
    assert others.what == f"what seconds of networks on {cards} say of all cards"


def test_a_card_whose_operators_alone_were_timed_says_so(tmp_path: Path) -> None:
    timed = operator_sets_of(read_operators(write(tmp_path, [ENTRY, {**ENTRY, "gpu": "a100"}])).rows)
    others, mine = of_other_cards((), [], timed, sheet_of("NVIDIA-A40"))
    assert {others.origin, mine.origin} == {"github.com/microsoft/vidur"}
    assert (mine.what, mine.rows) == (OPERATORS_OF_THIS_CARD, 5)
    assert others.what == "what seconds of operators on NVIDIA-A100-SXM4-80GB say of all cards"


def test_tables_that_a_folder_does_not_hold_are_not_named(tmp_path: Path) -> None:
    folder = data.write(tmp_path)
    assert [source.name for source in sources_of_all_cards(folder, published_sets(folder), [])] == ["a_set"]
    (folder / "neusight_latency").mkdir()
    named = [source.name for source in sources_of_all_cards(folder, published_sets(folder), [])]
    assert named == ["NeuSight, operator latency", "a_set"]


def shipped(product: str) -> tuple[FittedFrom, ...]:
    return generic().fitted_from if not product else find(product).fitted_from


@pytest.mark.parametrize("product", ["", "NVIDIA-A100-SXM4-80GB", "NVIDIA-L40S", "NVIDIA-B200", "NVIDIA-H200"])
def test_shipped_profiles_with_an_unknown_host_name_who_tells_of_hosts(product: str) -> None:
    assert set(EAGER) <= {source.name for source in shipped(product)}


@pytest.mark.parametrize("product", ["NVIDIA-A100-PCIE-40GB", "NVIDIA-H100-80GB-HBM3"])
def test_shipped_profiles_with_a_host_of_their_own_do_not(product: str) -> None:
    assert not set(EAGER) & {source.name for source in shipped(product)}
