"""Latent attention: expanded where a prompt is read, absorbed where tokens follow; worked values of DeepSeek-V3."""

from __future__ import annotations

from dataclasses import replace

import pytest

from joulecast.layers import LayerProfile
from joulecast.serving.memory import weight_bytes
from joulecast.serving.passes import Pass, Sequences, decode, prefill
from joulecast.serving.rows import rows
from tests.unit.serving.small import DEEPSEEK_ATTENTION, FP8, macs, model, named

DEEPSEEK = model(DEEPSEEK_ATTENTION)
DOWN = 7168 * (1536 + 512 + 64)
UP = 1536 * 128 * 192
LATENT = 512 * 128 * (128 + 128)
OUT = 128 * 128 * 7168
PARAMS = DOWN + 1536 + UP + 512 + LATENT + OUT


def params(found: tuple[LayerProfile, ...]) -> int:
    return sum(row.params for row in found)


def test_prefill_makes_keys_and_values_of_the_latent() -> None:
    found = rows(DEEPSEEK, prefill(1, 128))
    assert macs(found) == 128 * (DOWN + UP + LATENT + OUT) + 128 * 128 * 128 * (192 + 128)
    assert named(found, "attn").op_type == "FlashAttention"


def test_prefill_after_a_cached_prefix_expands_the_prefix_again() -> None:
    found = rows(DEEPSEEK, prefill(2, 100, 28))
    assert named(found, "kv_b_proj.context").macs == 2 * 28 * LATENT
    assert named(found, "attn").macs == 2 * 100 * 128 * 128 * (192 + 128)
    assert params(found) == PARAMS


def test_decode_meets_the_latent() -> None:
    """Of a token of DeepSeek-V3 with n keys: 128·512·(128 + 128) to and from the latent, 128·n·(2·512 + 64) in it."""
    found = rows(DEEPSEEK, decode(1, 1023))
    assert named(found, "q_absorbed").macs == named(found, "v_absorbed").macs == 8_388_608
    assert named(found, "attn").macs == 142_606_336 == 1024 * 139_264
    assert macs(found) == DOWN + UP + LATENT + OUT + 142_606_336


def test_decode_reads_the_latent_of_each_token_once_for_all_heads() -> None:
    cached = {n: named(rows(DEEPSEEK, decode(1, n)), "attn").bytes_moved for n in (1000, 2000)}
    assert cached[2000] - cached[1000] == 1000 * (512 + 64) * 2


@pytest.mark.parametrize(
    "run",
    [
        prefill(1, 8),
        decode(3, 8),
        Pass(groups=(Sequences(count=1, new_tokens=8), Sequences(count=3, new_tokens=1, cached_tokens=8))),
    ],
    ids=["prefill", "decode", "both"],
)
def test_the_parameters_are_the_same_in_every_pass(run: Pass) -> None:
    assert params(rows(DEEPSEEK, run)) == PARAMS


def test_a_mixed_pass_runs_both_forms_each_on_its_own_tokens() -> None:
    both = Pass(groups=(Sequences(count=1, new_tokens=8), Sequences(count=3, new_tokens=1, cached_tokens=8)))
    assert macs(rows(DEEPSEEK, both)) == macs(rows(DEEPSEEK, prefill(1, 8))) + macs(rows(DEEPSEEK, decode(3, 8)))


def test_queries_need_not_be_compressed() -> None:
    plain = model(replace(DEEPSEEK_ATTENTION, query_rank=None))
    found = rows(plain, prefill(1, 8))
    assert named(found, "q_proj").params == 7168 * 128 * 192
    assert params(found) == 7168 * (128 * 192 + 512 + 64) + 512 + LATENT + OUT


def test_biases_are_those_of_the_products_down_and_out() -> None:
    biased = model(replace(DEEPSEEK_ATTENTION, bias=True))
    assert params(rows(biased, prefill(1, 8))) == PARAMS + 1536 + 512 + 64 + 7168


def test_cards_share_heads_and_repeat_the_latent() -> None:
    for run in (prefill(1, 128), decode(4, 128)):
        one, eight = rows(DEEPSEEK, run), rows(DEEPSEEK, run, cards=8)
        repeated = ("fused_qkv_a_proj", "layernorm", "cache", "rotary_emb")
        for row in one:
            times = 1 if row.name.endswith(repeated) else 8
            own = named(eight, row.name)
            assert (own.macs * times, own.params * times) == (row.macs, row.params)
    latent = {n: named(rows(DEEPSEEK, decode(1, n), cards=8), "attn").bytes_moved for n in (1000, 2000)}
    assert latent[2000] - latent[1000] == 1000 * (512 + 64) * 2


def test_decode_is_affine_in_context() -> None:
    at = [macs(rows(DEEPSEEK, decode(4, n))) for n in (100, 200, 300)]
    assert at[2] - at[1] == at[1] - at[0] == 4 * 100 * 139_264


def test_absorbed_products_run_unpacked_and_are_kept_beside_packed_weights() -> None:
    packed = replace(DEEPSEEK, storage=FP8)
    found = rows(packed, decode(1, 8))
    assert (named(found, "q_absorbed").dtype, named(found, "o_proj").dtype) == ("bfloat16", "float8")
    norms = 1536 + 512
    assert weight_bytes(DEEPSEEK) == 2 * PARAMS
    assert weight_bytes(packed) == PARAMS - norms + 2 * norms + 2 * LATENT
