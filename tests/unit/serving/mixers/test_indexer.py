"""Sparse attention: an indexer scores all cached tokens, attention meets the chosen ones; values of DeepSeek-V3.2."""

from __future__ import annotations

from dataclasses import replace

from joulecast.blocks import Indexer
from joulecast.serving.mixers.indexer import cached_bytes
from joulecast.serving.passes import decode, prefill
from joulecast.serving.rows import rows
from tests.unit.serving.small import DEEPSEEK_ATTENTION, macs, model, named

INDEXER = Indexer(heads=64, head_size=128, chosen=2048, rotary=64)
SPARSE = model(replace(DEEPSEEK_ATTENTION, indexer=INDEXER))
REUSED = model(replace(DEEPSEEK_ATTENTION, indexer=replace(INDEXER, reused=True)))


def test_scores_meet_all_tokens_and_attention_the_chosen_ones() -> None:
    """Of a token with n keys: 64·n·(128 + 1) to score, then 128·min(n, 2048)·(2·512 + 64)."""
    found = rows(SPARSE, decode(1, 8191))
    assert named(found, "scores").macs == 67_633_152 == 64 * 8192 * 129
    assert named(found, ".attn").macs == 285_212_672 == 128 * 2048 * 1088
    assert named(found, ".attn").op_type == "SparseLatentAttention"


def test_few_tokens_are_all_chosen() -> None:
    assert named(rows(SPARSE, decode(1, 99)), ".attn").macs == 128 * 100 * 1088


def test_prompts_are_read_in_the_absorbed_form_too() -> None:
    found = rows(SPARSE, prefill(1, 4096))
    assert not [row for row in found if "kv_b_proj" in row.name]
    assert named(found, ".attn").macs == 4096 * 128 * 2048 * 1088
    executed = sum(each.macs for each in named(found, ".attn").contractions)
    mean = 2048 * 2049 // 2 + 2048 * 2048  # the first half sees fewer than 2,048 tokens
    assert executed == 4096 * 128 * 1088 * -(-mean // 4096)


def test_the_products_of_an_indexer_are_parameters() -> None:
    plain, sparse = (
        sum(row.params for row in rows(each, decode(1, 8))) for each in (model(DEEPSEEK_ATTENTION), SPARSE)
    )
    assert sparse - plain == 1536 * 64 * 128 + 7168 * 128 + 7168 * 64 + 2 * 128


def test_every_card_repeats_the_indexer() -> None:
    one, eight = rows(SPARSE, decode(1, 99)), rows(SPARSE, decode(1, 99), cards=8)
    assert [row for row in one if "indexer" in row.name] == [row for row in eight if "indexer" in row.name]


def test_a_layer_may_reuse_the_choice_of_another() -> None:
    found = rows(REUSED, decode(1, 8191))
    assert not [row for row in found if "indexer" in row.name]
    assert named(found, ".attn").macs == 128 * 2048 * 1088
    assert macs(found) < macs(rows(SPARSE, decode(1, 8191)))


def test_the_indexer_caches_a_key_in_eight_bits_with_a_scale() -> None:
    assert cached_bytes(INDEXER) == 132
