"""Rows of Llama-3-8B as an engine runs it, for tests of the engines' law."""

from __future__ import annotations

from dataclasses import replace

from joulecast.blocks import Attention, Embedding, FeedForward, Head, LanguageModel, Layer, Norm, Stack, Storage
from joulecast.layers import LayerProfile
from joulecast.serving.passes import Pass, decode, prefill
from joulecast.serving.rows import rows

BF16 = Storage(dtype="bfloat16", bits=16, arithmetic="bf16")
FP8 = Storage(dtype="float8", bits=8, arithmetic="fp8", method="fp8")
FP8_BLOCKS = Storage(dtype="float8", bits=8 + 32 / 128**2, arithmetic="fp8", method="fp8")
INT4 = Storage(dtype="int4", bits=4.25, arithmetic="bf16", method="awq")


def llama(storage: Storage = BF16, *, layers: int = 32) -> LanguageModel:
    """Llama-3-8B, or fewer of its layers."""
    norm = Norm(kind="rms", width=4096)
    layer = Layer(
        path="model.layers.{}",
        mixers=(Attention(path="self_attn", width=4096, heads=32, kv_heads=8, head_size=128, rotary=128),),
        feed_forward=FeedForward(path="mlp", width=4096, intermediate=14336, gated=True),
        norms=(norm, norm),
    )
    return LanguageModel(
        model_type="llama",
        architecture="LlamaForCausalLM",
        decoder=Stack(
            layers=((layer, layers),),
            width=4096,
            embedding=Embedding(path="model.embed_tokens", rows=128256, width=4096),
            norm=norm,
            head=Head(path="lm_head", inputs=4096, outputs=128256),
        ),
        dtype="bfloat16",
        storage=storage,
        stored_otherwise={"lm_head": BF16},
    )


def rows_of(run: Pass, storage: Storage = BF16, *, layers: int = 32, cards: int = 1) -> tuple[LayerProfile, ...]:
    return rows(llama(storage, layers=layers), run, cards=cards)


def decoding(
    sequences: int = 32, cached: int = 1024, storage: Storage = BF16, *, cards: int = 1
) -> tuple[LayerProfile, ...]:
    return rows_of(decode(sequences, cached), storage, cards=cards)


def filling(tokens: int = 2048, storage: Storage = BF16) -> tuple[LayerProfile, ...]:
    return rows_of(prefill(1, tokens), storage)


def renamed(row: LayerProfile, **fields: object) -> LayerProfile:
    return replace(row, **fields)  # type: ignore[arg-type]
