"""From a configuration and the entry of its family to the blocks of one stack that generates."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import cache, partial
from itertools import groupby

from joulecast.blocks import Attention, Embedding, FeedForward, Head, Layer, Mixer, Norm, Stack
from joulecast.errors import UnsupportedOperatorError
from joulecast.readers.huggingface.architectures.entry import Decoder, Encoder, Flag
from joulecast.readers.huggingface.architectures.rules import activation
from joulecast.readers.huggingface.configuration import Configuration
from joulecast.readers.huggingface.tasks import Task


def decoder(config: Configuration, entry: Decoder, task: Task) -> Stack:
    """Return the stack that ``config`` describes. Raises ModelFormatError for values that contradict each other."""
    _check(config, entry)
    width = config.count("hidden_size")
    return Stack(
        layers=runs(_layers(config, entry, width)),
        width=width,
        embedding=_embedding(config, entry, width),
        norm=norm(config, entry, width) if decided(config, entry.final_norm) else None,
        head=_head(config, entry, width, task),
    )


def _check(config: Configuration, entry: Decoder) -> None:
    """Refuse what the family's entry does not understand, and sizes that have to be equal and are not."""
    for key in entry.refused:
        if config.flag(key):
            raise UnsupportedOperatorError(
                f"{key} of config.json is true, which is not understood for {config.model_type}: no forecast is made",
                reason="UnknownArchitecture",
            )
    for key, other in entry.equal.items():
        if config.has(key) and config.value(key) != config.count(other):
            raise config.refused(key, f"{other} is {config.count(other)}")


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
    return Norm(kind=entry.norm, width=width, bias=scale and decided(config, entry.norm_bias), scale=scale)


def _layers(config: Configuration, entry: Decoder, width: int) -> Iterator[Layer]:
    count = entry.layers(config) if callable(entry.layers) else config.layers(entry.layers)
    norms = entry.norms if isinstance(entry.norms, int) else entry.norms(config)
    own = norm(config, entry, width)
    crossing = (cross_attention(config, entry),) if entry.cross_attention else ()
    dense = cache(partial(feed_forward, config, entry))
    for number, mixers in enumerate(_mixers(config, entry, count)):
        block = entry.feed_forward(config, number, dense) if entry.feed_forward else dense()
        placed = entry.first_norms if entry.first_norms is not None and not number else norms
        yield Layer(path=entry.layer, mixers=(*mixers, *crossing), feed_forward=block, norms=(own,) * placed)


def _mixers(config: Configuration, entry: Decoder, count: int) -> Iterator[tuple[Mixer, ...]]:
    """Yield what mixes the tokens in each layer; the first of them owns the parameters of relative positions."""
    usual = cache(partial(attention, config, entry))
    _, parameters = entry.relative(config)
    for number, window in enumerate(entry.windows(config, count)):
        make = partial(usual, window)
        mixer = entry.mixer(config, number, make) if entry.mixer else make()
        if isinstance(mixer, Attention) and not number and parameters:
            mixer = replace(mixer, position_parameters=parameters)
        yield (mixer,) if mixer is not None else ()


def attention(config: Configuration, entry: Decoder, window: int | None) -> Attention:
    """Return the attention of a layer."""
    heads, size = config.count("num_attention_heads"), entry.head_size(config)
    kv_heads = entry.kv_heads(config)
    if heads % kv_heads:
        raise config.refused("num_attention_heads", f"groups of heads for {kv_heads} keys and values are uneven")
    query_bias, causal = decided(config, entry.query_bias), not decided(config, entry.bidirectional)
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
        window=window if causal or window is None else both_sides(window),
        causal=causal,
        shared_positions=entry.relative(config)[0],
        rotary=_rotated(config, entry, size),
        query_norm=_head_norm(entry, size, heads),
        key_norm=_head_norm(entry, size, kv_heads),
    )


def cross_attention(config: Configuration, entry: Decoder) -> Attention:
    """Return the attention of a layer to what the encoder made."""
    own = replace(attention(config, entry, None), rotary=0, causal=False, cross=True)
    return replace(own, path=entry.cross_attention or "")


def both_sides(window: int) -> int:
    """Return how many tokens one attends to that sees half of ``window`` on each side, and itself."""
    return 2 * (window // 2) + 1


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
        gated=decided(config, entry.gated),
        projections=entry.mlp_projections(config) if callable(entry.mlp_projections) else entry.mlp_projections,
        activation=activation(config, entry.activation),
        bias=decided(config, entry.mlp_bias),
    )


def _embedding(config: Configuration, entry: Decoder, width: int) -> Embedding:
    own = _embedding_width(config, entry) or width
    return Embedding(
        path=entry.embedding,
        rows=config.count("vocab_size"),
        width=own,
        positions=sized(config, entry.positions) + entry.more_positions if entry.positions else 0,
        token_types=config.count(entry.segments, least=0) if entry.segments else 0,
        norm=norm(config, entry, width) if entry.embedding_norm else None,
        projection=width if own != width else None,
    )


def _embedding_width(config: Configuration, entry: Decoder) -> int | None:
    return config.optional_count(entry.embedding_width) if entry.embedding_width else None


def _head(config: Configuration, entry: Decoder, width: int, task: Task) -> Head | None:
    own = _embedding_width(config, entry) or width
    projection = own if own != width else None
    if isinstance(entry, Encoder):
        return _encoder_head(config, entry, width, task)
    if task.name == "plain":
        return None
    if task.name == "generation":
        return Head(
            path=entry.head,
            inputs=own,
            outputs=config.count("vocab_size"),
            tied=config.flag("tie_word_embeddings", default=entry.tied),
            bias=decided(config, entry.head_bias),
            projection=projection,
        )
    labelled = task.name == "token classification"  # whose product has a bias, and that of sequences none
    return Head(path="score", inputs=own, outputs=task.labels, bias=labelled, tokens=task.tokens, projection=projection)


def _encoder_head(config: Configuration, entry: Encoder, width: int, task: Task) -> Head | None:
    shape = entry.heads.get(task.name)
    if shape is None and task.name == "token classification":
        return Head(path="classifier", inputs=width, outputs=task.labels, bias=True, tokens="all")
    if shape is None:
        return None
    outputs = {"vocabulary": config.count("vocab_size"), "labels": task.labels, "none": 0}
    return Head(
        path=shape.path,
        inputs=width,
        outputs=outputs[shape.outputs],
        tied=shape.outputs == "vocabulary" and config.flag("tie_word_embeddings"),
        bias=decided(config, shape.bias),
        transform=shape.transform,
        transform_bias=decided(config, shape.transform_bias),
        transform_norm=norm(config, entry, width) if shape.transform_norm else None,
        tokens=task.tokens,
    )
