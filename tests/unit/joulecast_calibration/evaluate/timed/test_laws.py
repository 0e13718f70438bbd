from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from joulecast.energy.datasheets import datasheets
from joulecast_calibration.evaluate.timed.evaluation import cards_of, evaluate_timed, without_card, without_family
from joulecast_calibration.evaluate.timed.laws import ByKind, CardRows, Today, _host, _Seen
from joulecast_calibration.rows.latencies.store import AUTOCAST, store
from joulecast_calibration.rows.latencies.tables import LatencyRow

CARDS = ("RTX-3090", "RTX-4090", "RTX-5090")


def _rows(card: str, number: int = 60) -> list[LatencyRow]:
    """Return rows of the first counted networks, of a second each."""
    keys = sorted(key for key in store().networks if key[2] == AUTOCAST)
    return [
        LatencyRow(
            table="timm", run="made", card=card, network=name, image_size=size, precision=AUTOCAST,
            channels_last=False, batch=256, seconds=1.0, software="2.9",
        )
        for name, size, _ in keys[:: len(keys) // number]
    ]  # fmt: skip


@pytest.fixture(scope="module")
def made() -> tuple[CardRows, ...]:
    """Return cards whose kernels take 0.7 of what the shipped law says, and convolutions 1.4 of it."""
    cards, _ = cards_of([row for card in CARDS for row in _rows(card)])
    return tuple(_timed(card) for card in cards)


def _timed(card: CardRows) -> CardRows:
    seconds = np.maximum(card.physical.device_seconds(_factors(card)), card.physical.launching)
    rows = tuple(replace(row, seconds=own) for row, own in zip(card.timed.rows, seconds.tolist(), strict=True))
    timed = replace(card.timed, rows=rows, table=replace(card.timed.table, seconds=seconds))
    return CardRows(sheet=card.sheet, timed=timed, families=card.families)


def _factors(card: CardRows) -> np.ndarray:
    factors = np.full(card.physical.by_kind.shape[1], 0.7)
    factors[:8] = 1.4
    return factors


def test_factors_of_a_card_are_found_on_the_others(made: tuple[CardRows, ...]) -> None:
    for card in made:
        found = without_card(ByKind(), made, card)
        assert (
            np.median(np.abs(found / card.timed.table.seconds - 1)) < 0.04
        )  # each factor is held a little at that of all kernels


def test_a_left_out_card_or_family_is_not_read(made: tuple[CardRows, ...]) -> None:
    card, *others = made
    blank = replace(card.timed, table=replace(card.timed.table, seconds=np.full(card.timed.table.size, np.nan)))
    erased = CardRows(sheet=card.sheet, timed=blank, families=card.families)
    found = without_card(ByKind(), made, card)
    assert np.array_equal(without_card(ByKind(), (erased, *others), erased), found)

    asked = card.families == card.families[0]
    seconds = np.where(asked, np.nan, card.timed.table.seconds)
    blank = replace(card.timed, table=replace(card.timed.table, seconds=seconds))
    erased = CardRows(sheet=card.sheet, timed=blank, families=card.families)
    seen = [(each, each.families != card.families[0]) for each in (erased, *others)]
    known = [(each, each.families != card.families[0]) for each in made]
    law = ByKind()
    assert np.array_equal(law.fit(seen, card.sheet)(erased, asked), law.fit(known, card.sheet)(card, asked))


def test_the_shipped_law_reads_no_seconds(made: tuple[CardRows, ...]) -> None:
    card = made[0]
    assert np.array_equal(without_card(Today(), made, card), without_card(Today(), (card,), card))


def test_every_row_is_forecast_with_its_family_left_out(made: tuple[CardRows, ...]) -> None:
    assert np.isfinite(without_family(ByKind(), made, made[0])).all()


def test_winograd_shortens_float32_convolutions_outside_tensor_cores_alone() -> None:
    row = replace(_rows("T4", 1)[0], network="resnet50", image_size=224, batch=64)
    cards, _ = cards_of([replace(row, precision="fp32"), row])
    direct, fastest = cards[0].direct.seconds, cards[0].physical.seconds
    assert fastest[0] < 0.95 * direct[0]
    assert fastest[1] == direct[1]


def test_a_lower_power_limit_takes_longer_and_shorter_kernels_run_at_a_lower_clock() -> None:
    cards, _ = cards_of(_rows("RTX-PRO-6000-Blackwell-Max-Q", 20))
    limited, factors = cards[0].physical, np.ones(cards[0].physical.by_kind.shape[1])
    free = replace(limited, chip=replace(limited.chip, power_limit_watts=1e6))
    assert np.array_equal(free.clocks(factors), np.ones(limited.seconds.size))
    assert np.array_equal(free.device_seconds(factors), free.by_kind @ factors)
    assert (limited.device_seconds(factors) >= free.device_seconds(factors)).all()
    assert (limited.clocks(0.5 * factors) <= limited.clocks(factors)).all()
    assert limited.clocks(0.5 * factors).min() < 0.9


def test_a_host_counts_from_three_rows_that_wait_for_it() -> None:
    for waiting, pace in ((2, 1.0), (3, 2.0)):
        cards, _ = cards_of([replace(_rows("A100-SXM4-80GB", 1)[0], batch=1 + row) for row in range(waiting)])
        card = cards[0]
        slow = replace(card.timed.table, seconds=2 * card.physical.launching)
        seen = CardRows(sheet=card.sheet, timed=replace(card.timed, table=slow), families=card.families)
        everything = np.ones(waiting, dtype=bool)
        found = _host([_Seen(seen.physical, seen, everything)], np.zeros(card.physical.by_kind.shape[1]))
        assert found == pytest.approx(pace)


def test_a_folder_without_tables_has_no_scores(tmp_path) -> None:
    assert evaluate_timed(tmp_path).scores == ()
    assert {sheet.key for sheet in datasheets()} >= set(CARDS)
