"""Language models of a few layers, made by hand."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from joulecast.blocks import (
    Embedding,
    Experts,
    FeedForward,
    Head,
    LanguageModel,
    LatentAttention,
    Layer,
    Mixer,
    Norm,
    Stack,
    StateSpace,
    Storage,
)
from joulecast.layers import LayerProfile

PLAIN = Storage(dtype="bfloat16", bits=16, arithmetic="bf16")
FP8 = Storage(dtype="float8", bits=8, arithmetic="fp8", method="fp8")

MIXTRAL_EXPERTS = Experts(
    path="block_sparse_moe",
    count=8,
    chosen=2,
    expert=FeedForward(path="experts", width=4096, intermediate=14336, gated=True),
)

DEEPSEEK_ATTENTION = LatentAttention(
    path="self_attn",
    width=7168,
    heads=128,
    latent=512,
    head_size=128,
    rotary_size=64,
    value_size=128,
    query_rank=1536,
)

MAMBA = StateSpace(path="mixer", kind="mamba", width=64, inner=128, state=16, convolution=4, step_rank=4, bias=False)
MAMBA2 = StateSpace(
    path="mixer",
    kind="mamba2",
    width=64,
    inner=128,
    state=16,
    convolution=4,
    heads=8,
    head_size=16,
    groups=2,
    chunk=32,
    norm=Norm(kind="rms", width=128),
)
GATED_DELTA = StateSpace(
    path="linear_attn",
    kind="gated-delta",
    width=64,
    inner=128,
    state=8,
    convolution=4,
    convolution_bias=False,
    heads=8,
    head_size=16,
    groups=4,
    chunk=64,
    norm=Norm(kind="rms", width=16),
    projections=("in_proj_qkvz",),
    gates=("in_proj_ba",),
)


def model(*mixers: Mixer, block: FeedForward | Experts | None = None, layers: int = 1) -> LanguageModel:
    """Return a model of equal layers without embedding and head, so that its rows are those of the blocks."""
    layer = Layer(path="model.layers.{}", mixers=mixers, feed_forward=block, norms=())
    stack = Stack(layers=((layer, layers),), width=64)
    return LanguageModel(model_type="small", architecture="Small", decoder=stack, dtype="bfloat16", storage=PLAIN)


def whole(given: LanguageModel, *, rows: int = 1024, width: int = 64) -> LanguageModel:
    """Return the model with an embedding, a final normalisation and a head."""
    stack = replace(
        given.decoder,
        embedding=Embedding(path="model.embed_tokens", rows=rows, width=width),
        norm=Norm(kind="rms", width=width),
        head=Head(path="lm_head", inputs=width, outputs=rows),
    )
    return replace(given, decoder=stack)


def named(rows: Iterable[LayerProfile], ending: str) -> LayerProfile:
    """Return the one row whose name ends so."""
    (found,) = (row for row in rows if row.name.endswith(ending))
    return found


def macs(rows: Iterable[LayerProfile]) -> int:
    return sum(row.macs for row in rows)
