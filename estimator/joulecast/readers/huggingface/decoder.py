"""From a configuration and the entry of its family to the blocks of one stack that generates."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cache, partial
from itertools import groupby
from typing import Literal

from joulecast.blocks import Attention, Embedding, FeedForward, Head, Layer, Norm, Stack
from joulecast.errors import UnsupportedOperatorError
from joulecast.readers.huggingface.architectures.entry import Decoder, Flag
from joulecast.readers.huggingface.architectures.rules import activation
from joulecast.readers.huggingface.configuration import Configuration
from joulecast.readers.huggingface.tasks import Task


def decoder(config: Configuration, entry: Decoder, task: Task) -> Stack:
    """Return the stack that ``config`` describes. Raises ModelFormatError for values that contradict each other."""
    for key in entry.refused:
        if config.flag(key):
            raise UnsupportedOperatorError(
                f"{key} of config.json is true, which is not understood for {config.model_type}: no forecast is made",
                reason="UnknownArchitecture",
            )
    width = config.count("hidden_size")
    return Stack(
        layers=runs(_layers(config, entry, width)),
        width=width,
        embedding=_embedding(config, entry, width),
        norm=norm(config, entry, width) if decided(config, entry.final_norm) else None,
        head=_head(config, entry, width, task),
    )


def runs(layers: Iterable[Layer]) -> tuple[tuple[Layer, int], ...]:
    """Return equal layers in a row once, with how many there are."""
    return tuple((layer, sum(1 for _ in same)) for layer, same in groupby(layers))


def decided(config: Configuration, flag: Flag | Callable[[Configuration], bool]) -> bool:
    """Return what a flag of an entry says."""
    if isinstance(flag, bool):
        return flag
    return config.flag(flag) if isinstance(flag, str) else flag(config)


def sized(config: Configuration, size: str | Callable[[Configuration], int]) -> int:
    """Return the size under a key of an entry, or by its rule."""
    return config.count(size) if isinstance(size, str) else size(config)


def norm(config: Configuration, entry: Decoder, width: int) -> Norm:
    """Return a normalisation over ``width`` as the family has it."""
    scale = decided(config, entry.norm_scale)
    return Norm(kind=entry.norm, width=width, bias=entry.norm_bias and scale, scale=scale)


def _layers(config: Configuration, entry: Decoder, width: int) -> Iterator[Layer]:
    count = entry.depth(config)
    windows = entry.windows(config, count)
    norms = entry.norms if isinstance(entry.norms, int) else entry.norms(config)
    own = norm(config, entry, width)
    attentions = cache(partial(attention, config, entry))
    dense = cache(partial(feed_forward, config, entry))
    for number, window in enumerate(windows):
        usual = partial(attentions, window)
        mixer = entry.mixer(config, number, usual) if entry.mixer else usual()
        block = entry.feed_forward(config, number, dense) if entry.feed_forward else dense()
        yield Layer(path=entry.layer, mixers=(mixer,) if mixer else (), feed_forward=block, norms=(own,) * norms)


def attention(config: Configuration, entry: Decoder, window: int | None) -> Attention:
    """Return the attention of a layer."""
    heads, size = config.count("num_attention_heads"), entry.head_size(config)
    kv_heads = entry.kv_heads(config)
    if heads % kv_heads:
        raise config.refused("num_attention_heads", f"groups of heads for {kv_heads} keys and values are uneven")
    query_bias = decided(config, entry.query_bias)
    return Attention(
        path=entry.attention,
        width=config.count("hidden_size"),
        heads=heads,
        kv_heads=kv_heads,
        head_size=size,
        projections=entry.projections,
        query_bias=query_bias,
        key_bias=query_bias if entry.key_bias is None else decided(config, entry.key_bias),
        value_bias=query_bias if entry.value_bias is None else decided(config, entry.value_bias),
        output_bias=decided(config, entry.output_bias),
        window=window,
        causal=not decided(config, entry.bidirectional),
        rotary=_rotated(config, entry, size),
        query_norm=_head_norm(entry, size, heads),
        key_norm=_head_norm(entry, size, kv_heads),
    )


def _rotated(config: Configuration, entry: Decoder, head_size: int) -> int:
    """Return how many elements of a head are rotated; ``rope_parameters`` hold the share since transformers 5."""
    if entry.rotary is None or decided(config, entry.alibi):
        return 0
    key, usual = entry.rotary
    parameters = config.part("rope_parameters") or {}
    share = parameters.get("partial_rotary_factor")
    if share is None:
        share = config.number(key, low=0, high=1, default=usual) if config.has(key) else usual
    if type(share) not in (int, float) or not 0 <= share <= 1:
        raise config.refused("rope_parameters", "its partial_rotary_factor is no number from 0 to 1")
    return int(head_size * share)


def _head_norm(entry: Decoder, size: int, heads: int) -> Norm | None:
    if entry.query_norm is None:
        return None
    return Norm(kind="rms", width=size if entry.query_norm == "head" else size * heads)


def feed_forward(config: Configuration, entry: Decoder) -> FeedForward:
    """Return the dense block of a layer."""
    return FeedForward(
        path=entry.mlp,
        width=config.count("hidden_size"),
        intermediate=sized(config, entry.intermediate),
        gated=entry.gated,
        projections=entry.mlp_projections,
        activation=activation(config, entry.activation),
        bias=decided(config, entry.mlp_bias),
    )


def _embedding(config: Configuration, entry: Decoder, width: int) -> Embedding:
    own = _embedding_width(config, entry) or width
    return Embedding(
        path=entry.embedding,
        rows=config.count("vocab_size"),
        width=own,
        positions=config.count(entry.positions) + entry.more_positions if entry.positions else 0,
        norm=norm(config, entry, width) if entry.embedding_norm else None,
        projection=width if own != width else None,
    )


def _embedding_width(config: Configuration, entry: Decoder) -> int | None:
    return config.optional_count(entry.embedding_width) if entry.embedding_width else None


def _head(config: Configuration, entry: Decoder, width: int, task: Task) -> Head | None:
    own = _embedding_width(config, entry) or width
    projection = own if own != width else None
    if task.name == "plain":
        return None
    if task.name == "generation":
        tied = config.flag("tie_word_embeddings")
        bias = decided(config, entry.head_bias)
        return Head(
            path=entry.head,
            inputs=own,
            outputs=config.count("vocab_size"),
            tied=tied,
            bias=bias,
            projection=projection,
        )
    tokens: Literal["all", "sequence"] = "sequence" if task.pooled else "all"
    return Head(path="score", inputs=own, outputs=task.labels, tokens=tokens, projection=projection)
