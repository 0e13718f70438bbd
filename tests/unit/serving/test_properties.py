"""Properties of the rows of any model: how they grow, and how cards share them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from joulecast.blocks import LanguageModel
from joulecast.layers import LayerProfile
from joulecast.readers.huggingface import read
from joulecast.serving.passes import Pass, Sequences, decode, prefill
from joulecast.serving.rows import rows
from tests.models.served import CASES
from tests.models.served.case import Case

pytestmark = pytest.mark.slow

GENERATING = [case for case in CASES if case.decodes]

by_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
by_generating = pytest.mark.parametrize("case", GENERATING, ids=lambda case: case.name)


def model_of(case: Case, **keys: Any) -> LanguageModel:
    return read({**case.small, "architectures": [case.architecture], **keys})


def sums(model: LanguageModel, run: Pass, cards: int = 1) -> tuple[int, int, int]:
    """MACs, executed MACs and bytes."""
    found = rows(model, replace(run, encoder_tokens=20), cards=cards)
    return (
        macs(found),
        sum(each.macs for row in found for each in row.contractions),
        sum(row.bytes_moved for row in found),
    )


def macs(found: Iterable[LayerProfile]) -> int:
    return sum(row.macs for row in found)


@by_case
@settings(max_examples=20, deadline=None)
@given(batch=st.integers(1, 8), tokens=st.integers(1, 100), more=st.integers(1, 50))
def test_more_sequences_and_more_tokens_are_more_work(case: Case, batch: int, tokens: int, more: int) -> None:
    model = model_of(case)
    own = sums(model, prefill(batch, tokens))
    for larger in (prefill(batch + 1, tokens), prefill(batch, tokens + more)):
        assert all(a < b for a, b in zip(own, sums(model, larger), strict=True))


@by_case
def test_a_wider_model_is_more_work(case: Case) -> None:
    wider = {
        key: case.small[key] * 2 for key in ("hidden_size", "n_embd", "n_embed", "dim", "d_model") if key in case.small
    }
    if "pooler_hidden_size" in case.small:
        wider["pooler_hidden_size"] = wider["hidden_size"]
    run = prefill(1, 12)
    assert all(a < b for a, b in zip(sums(model_of(case), run), sums(model_of(case, **wider), run), strict=True))


@by_generating
@settings(max_examples=20, deadline=None)
@given(batch=st.integers(1, 8), cached=st.integers(1, 200), step=st.integers(1, 50))
def test_decoding_is_affine_in_what_is_cached(case: Case, batch: int, cached: int, step: int) -> None:
    model = model_of(case)
    first, second, third = (sums(model, decode(batch, cached + times * step))[0] for times in range(3))
    assert third - second == second - first >= 0


@by_generating
def test_a_batch_of_decodes_is_as_many_macs_as_its_sequences(case: Case) -> None:
    model = model_of(case)
    assert sums(model, decode(6, 30))[0] == 6 * sums(model, decode(1, 30))[0]


@by_generating
def test_prefill_in_two_parts_executes_as_much_as_in_one(case: Case) -> None:
    """Of a decoder alone, up to the second last logit, and rounding of the mean number of keys."""
    model = model_of(case)
    if model.encoder is not None:
        pytest.skip("its encoder reads the input at once")
    whole = sums(model, prefill(1, 24))[1]
    parts = sums(model, prefill(1, 12))[1] + sums(model, prefill(1, 12, cached_tokens=12))[1]
    assert whole < parts < 1.1 * whole


SHARED = ("Gemm", "FlashAttention", "RelativeBias")


@by_case
def test_the_shares_of_the_cards_sum_to_the_whole(case: Case) -> None:
    """Inside the layers; a label, a pooler and a convolution are on every card, and so is the bias of a sum."""
    if case.name in ("FalconForCausalLM", "FalconForCausalLM-new"):
        pytest.skip("keys and values of one head are on every card")
    model, run = model_of(case), replace(prefill(2, 12), encoder_tokens=20)
    whole, share = rows(model, run), [row for row in rows(model, run, cards=2) if row.op_type != "AllReduce"]
    assert [row.name for row in whole] == [row.name for row in share]
    pairs = [pair for pair in zip(whole, share, strict=True) if pair[0].op_type in SHARED and _in_a_layer(pair[0])]
    assert pairs
    for one, part in pairs:
        assert 2 * part.macs == one.macs, one.name
        assert 0 <= 2 * part.params - one.params <= max(each.n for each in one.contractions), one.name


def _in_a_layer(row: LayerProfile) -> bool:
    return any(step.isdigit() for step in row.name.split("."))


def test_a_pass_of_two_kinds_is_both_in_one() -> None:
    model = model_of(next(case for case in CASES if case.name == "LlamaForCausalLM"))
    both = Pass(groups=(Sequences(count=1, new_tokens=12), Sequences(count=3, new_tokens=1, cached_tokens=9)))
    apart = sums(model, prefill(1, 12))[0] + sums(model, decode(3, 9))[0]
    assert sums(model, both)[0] == apart
