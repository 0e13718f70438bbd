"""One spelling for each card, and slices of cards."""

from __future__ import annotations

import pytest

from joulecast_operator.api.products import is_slice, product_named, whole_name

CARD, SLICE = "NVIDIA-A100-SXM4-80GB", "NVIDIA-A100-SXM4-80GB-MIG-1g.10gb"


def test_a_card_has_one_name_however_it_is_spelt() -> None:
    assert {product_named(label) for label in (CARD, "NVIDIA A100-SXM4-80GB", CARD.lower())} == {CARD}


@pytest.mark.parametrize("label", [SLICE, SLICE.lower()])
def test_a_slice_keeps_its_spelling_and_names_its_whole_card(label: str) -> None:
    assert is_slice(label)
    assert product_named(label) == label
    assert whole_name(label) == CARD


def test_a_whole_card_is_no_slice() -> None:
    assert not is_slice(CARD)
    assert whole_name(CARD) == CARD
