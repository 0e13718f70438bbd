"""Properties of the rows of experts, latent attention and state spaces: how they grow, and how cards share them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from joulecast.blocks import LanguageModel
from joulecast.readers.huggingface import read
from joulecast.serving.memory import cache_bytes, weight_bytes
from joulecast.serving.passes import Pass, Sequences, decode, prefill
from joulecast.serving.rows import rows
from tests.models.served import MIXTURES
from tests.models.served.case import Case

by_case = pytest.mark.parametrize("case", MIXTURES, ids=lambda case: case.name)

EXPERTS = ("num_local_experts", "num_experts", "n_routed_experts")


def model_of(case: Case, **keys: Any) -> LanguageModel:
    return read({**case.small, "architectures": [case.architecture], **keys})


def sums(model: LanguageModel, run: Pass) -> tuple[int, int, int]:
    """MACs, executed MACs and bytes."""
    found = rows(model, run)
    executed = sum(each.macs for row in found for each in row.contractions)
    return sum(row.macs for row in found), executed, sum(row.bytes_moved for row in found)


@by_case
@settings(max_examples=10, deadline=None)
@given(batch=st.integers(1, 8), tokens=st.integers(1, 100), more=st.integers(1, 50))
def test_more_sequences_and_more_tokens_are_more_work(case: Case, batch: int, tokens: int, more: int) -> None:
    model = model_of(case)
    own = sums(model, prefill(batch, tokens))
    for larger in (prefill(batch + 1, tokens), prefill(batch, tokens + more)):
        assert all(a < b for a, b in zip(own, sums(model, larger), strict=True))


@pytest.mark.parametrize("case", [case for case in MIXTURES if {*EXPERTS} & {*case.small}], ids=lambda case: case.name)
@pytest.mark.parametrize("tokens", [1, 40])
def test_more_experts_are_more_weights_and_never_less_work(case: Case, tokens: int) -> None:
    (key,) = {*EXPERTS} & {*case.small}
    more = {key: case.small[key] + 2}
    own, larger = model_of(case), model_of(case, **more)
    assert weight_bytes(own) < weight_bytes(larger)
    assert all(a <= b for a, b in zip(sums(own, prefill(1, tokens)), sums(larger, prefill(1, tokens)), strict=True))


@by_case
@settings(max_examples=10, deadline=None)
@given(batch=st.integers(1, 8), cached=st.integers(8, 200), step=st.integers(1, 50))
def test_decoding_is_affine_in_what_is_cached(case: Case, batch: int, cached: int, step: int) -> None:
    """From eight tokens on, where an indexer of the small models has more to choose from than it chooses."""
    model = model_of(case)
    first, second, third = (sums(model, decode(batch, cached + times * step))[0] for times in range(3))
    assert third - second == second - first >= 0


@by_case
def test_a_batch_of_decodes_is_as_many_macs_as_its_sequences(case: Case) -> None:
    model = model_of(case)
    assert sums(model, decode(6, 30))[0] == 6 * sums(model, decode(1, 30))[0]


@by_case
def test_a_pass_of_two_kinds_is_both_in_one(case: Case) -> None:
    model = model_of(case)
    both = Pass(groups=(Sequences(count=1, new_tokens=12), Sequences(count=3, new_tokens=1, cached_tokens=9)))
    assert sums(model, both)[0] == sums(model, prefill(1, 12))[0] + sums(model, decode(3, 9))[0]
    params = {sum(row.params for row in rows(model, run)) for run in (both, prefill(1, 12), decode(3, 9))}
    assert len(params) == 1


REPEATED = (
    ".gate", ".router", "router.layer", "_gate", "fused_qkv_a_proj", "kv_a_proj_with_mqa", "indexer.wq_b", "indexer.wk",
    "indexer.weights_proj", "indexer.scores",
)  # fmt: skip
"""Endings of the products that every card repeats."""


@by_case
@pytest.mark.parametrize("run", [prefill(2, 40), decode(3, 40)], ids=["prefill", "decode"])
def test_the_shares_of_the_cards_sum_to_the_whole(case: Case, run: Pass) -> None:
    model = model_of(case)
    whole = [row for row in rows(model, run) if row.contractions]
    share = {row.name: row for row in rows(model, run, cards=2)}
    for row in whole:
        times = 1 if row.name.endswith(REPEATED) else 2
        assert times * share[row.name].macs == row.macs, row.name


@by_case
def test_two_cards_hold_more_than_half_each_and_less_than_all(case: Case) -> None:
    model = model_of(case)
    assert weight_bytes(model) / 2 < weight_bytes(model, 2) < weight_bytes(model)
    assert cache_bytes(model, 100) / 2 <= cache_bytes(model, 100, 2) <= cache_bytes(model, 100)
