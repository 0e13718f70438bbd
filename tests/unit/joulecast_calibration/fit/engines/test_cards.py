"""What a card's tables do not tell is taken from its generation, then from all cards."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from joulecast.energy.engines.coefficients import KernelLaw
from joulecast_calibration.fit.engines.cards import FittedCard, Timing, completed, fit_cards, transferred_errors
from joulecast_calibration.fit.engines.kinds import KINDS
from tests.unit.joulecast_calibration.fit.engines.made import H100, H200, LINK, folder_of


@pytest.fixture(scope="module")
def cards(tmp_path_factory: pytest.TempPathFactory) -> tuple[FittedCard, ...]:
    return fit_cards(folder_of(Path(tmp_path_factory.mktemp("tables"))))


def test_only_cards_with_tables_are_fitted(cards: tuple[FittedCard, ...]) -> None:
    assert [card.product for card in cards] == [H100, H200]
    assert [list(card.own.kernels) for card in cards] == [["product"], ["product"]]


def test_a_generation_has_the_mean_of_its_cards(cards: tuple[FittedCard, ...]) -> None:
    one, two = (card.own.kernels["product"].memory_share for card in cards)
    for generation in ("Hopper", "Volta"):
        timing = completed(None, cards, generation)
        assert timing.kernels["product"].memory_share == pytest.approx((one + two) / 2)
        assert timing.kernels["experts"] == KINDS["experts"].start, "no table tells of it"
    own = completed(cards[0].own, cards, "Hopper")
    assert own.kernels["product"] == cards[0].own.kernels["product"]


def test_a_kind_like_another_takes_what_its_tables_tell_from_other_cards(cards: tuple[FittedCard, ...]) -> None:
    """Scales of blocks change how fast products compute, and not how a card reads memory."""
    own, other = (
        KernelLaw(compute_share=share, memory_share=share, tail_seconds=1e-6, tile_edge=10 * share)
        for share in (0.5, 0.8)
    )
    links = cards[1].own.collectives
    alone = replace(cards[0], own=Timing(kernels={"product.fp8": own}, collectives=links))
    blocks = replace(
        cards[1],
        own=Timing(kernels={"product.fp8_block": other}, collectives=links),
        profile=replace(cards[1].profile, architecture="Ada AD102"),
    )
    for timing in (completed(alone.own, [blocks], "Hopper"), completed(None, [alone, blocks], "Hopper")):
        assert timing.kernels["product.fp8_block"] == replace(own, compute_share=0.8)
    assert completed(None, [blocks], "Ada").kernels["product.fp8_block"] == other


def test_collectives_come_back_by_degree(cards: tuple[FittedCard, ...]) -> None:
    latency, pace = LINK
    found = cards[0].own.collectives
    for degree, slower in (("2", 1), ("4", 2), ("8", 4)):
        assert found[degree].latency_seconds == pytest.approx(slower * latency, rel=0.01)
        assert found[degree].bytes_per_second == pytest.approx(pace / slower, rel=0.01)


def test_transfer_is_scored_with_the_other_cards_alone(cards: tuple[FittedCard, ...]) -> None:
    """Both made cards obey the same shares, so nothing is lost from one to the other."""
    assert transferred_errors(cards[0], cards)["product"].median < 0.02
    assert transferred_errors(cards[0], cards[:1]) == {}
