"""Bytes of weights and of what sequences keep, against figures that are published or follow from published sizes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from joulecast.blocks import Attention
from joulecast.errors import WorkloadError
from joulecast.serving.memory import cache_bytes, weight_bytes
from tests.unit.serving.mixers.test_indexer import INDEXER
from tests.unit.serving.small import DEEPSEEK_ATTENTION, FP8, MIXTRAL_EXPERTS, model, whole

LLAMA_ATTENTION = Attention(path="self_attn", width=4096, heads=32, kv_heads=8, head_size=128)
LLAMA = model(LLAMA_ATTENTION, layers=32)
GPT_OSS_ATTENTION = Attention(path="self_attn", width=2880, heads=64, kv_heads=8, head_size=64)


def test_keys_and_values_of_llama_3_8b() -> None:
    assert cache_bytes(LLAMA, 1) == 131_072
    assert cache_bytes(LLAMA, 1000, cards=4) == 131_072 * 1000 // 4


def test_a_card_holds_at_least_one_head_of_keys_and_values() -> None:
    assert cache_bytes(LLAMA, 1, cards=16) == cache_bytes(LLAMA, 1, cards=8) == 131_072 // 8


def test_the_latent_of_deepseek_v3_is_whole_on_every_card() -> None:
    deepseek = model(DEEPSEEK_ATTENTION, layers=61)
    assert cache_bytes(deepseek, 1) == cache_bytes(deepseek, 1, cards=8) == 70_272


def test_an_indexer_caches_its_own_keys() -> None:
    sparse = model(replace(DEEPSEEK_ATTENTION, indexer=INDEXER), layers=61)
    reused = model(replace(DEEPSEEK_ATTENTION, indexer=replace(INDEXER, reused=True)), layers=61)
    assert cache_bytes(sparse, 1) == 70_272 + 61 * 132
    assert cache_bytes(reused, 1) == 70_272


def test_windows_keep_their_last_tokens() -> None:
    """gpt-oss-120b: 18 of 36 layers keep 128 tokens, a token of a layer takes 2·8·64 elements."""
    full, windowed = model(GPT_OSS_ATTENTION), model(replace(GPT_OSS_ATTENTION, window=128))
    layers = ((full.decoder.layers[0][0], 18), (windowed.decoder.layers[0][0], 18))
    oss = replace(full, decoder=replace(full.decoder, layers=layers))
    assert cache_bytes(oss, 100) == 36 * 100 * 2048
    assert cache_bytes(oss, 8192) == 18 * (8192 + 128) * 2048


def test_cross_attention_keeps_what_the_encoder_gave() -> None:
    crossed = model(LLAMA_ATTENTION, replace(LLAMA_ATTENTION, path="cross", cross=True, causal=False))
    assert cache_bytes(crossed, 3, encoder_tokens=1500) == (3 + 1500) * 4096


def test_an_encoder_keeps_nothing() -> None:
    assert cache_bytes(model(replace(LLAMA_ATTENTION, causal=False)), 512) == 0


def test_weights_are_all_experts_and_not_only_those_touched() -> None:
    mixtral = model(block=MIXTRAL_EXPERTS)
    router, held = 4096 * 8, 8 * 3 * 4096 * 14336
    assert weight_bytes(mixtral) == 2 * (router + held)
    assert weight_bytes(mixtral, 8) == 2 * (router + held // 8)
    assert weight_bytes(replace(mixtral, storage=FP8)) == router + held


def test_a_tied_head_is_held_once() -> None:
    untied = whole(LLAMA)
    tied = replace(untied, decoder=replace(untied.decoder, head=replace(untied.decoder.head, tied=True)))
    assert weight_bytes(untied) - weight_bytes(tied) == 2 * 1024 * 64


def test_a_degree_that_does_not_divide_the_heads_is_refused() -> None:
    with pytest.raises(WorkloadError, match="number of attention heads of small is 32, which 3 cards"):
        cache_bytes(LLAMA, 1, cards=3)
