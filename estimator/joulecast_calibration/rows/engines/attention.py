"""Attention of prompts, and of one more token with a cache of keys and values or of a latent (aiconfigurator)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from joulecast.layers import Contraction, LayerProfile
from joulecast.serving.attention import mean_keys
from joulecast_calibration.rows.engines.timed import MORE, Timed, column_of, entries, row, timed, whole

_SHORTEST = 16  # tokens: below, a table shows launches alone
_WIDEST_HEAD = 256  # wider ones run another kernel than any model served here has
_LATENT, _ROTATED = 512, 64  # elements of a token's latent and of its rotated key in DeepSeek-V2 and V3
_CACHE_BYTES = {"bfloat16": 2, "fp8": 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Attention of ``sequences`` with ``new`` tokens each after ``cached`` ones."""

    sequences: int
    new: int
    cached: int
    heads: int
    kv_heads: int
    head_size: int
    window: int
    cache_bytes: int = 2


def attention(shape: Shape) -> LayerProfile:
    """Return the row of ``shape`` as ``serving.attention`` makes it."""
    keys, size = shape.cached + shape.new, shape.head_size
    window = shape.window or None
    seen = mean_keys(shape.new, shape.cached, window, causal=True)
    queries = shape.new * shape.heads // shape.kv_heads
    held = shape.sequences * min(keys, (window or keys) + shape.new - 1) * shape.kv_heads
    return row(
        "PagedAttention" if shape.new == 1 else "FlashAttention",
        reads=shape.sequences * shape.new * shape.heads * size,
        writes=shape.sequences * shape.new * shape.heads * size,
        stored_bytes=held * 2 * size * shape.cache_bytes,
        contractions=tuple(
            Contraction(batch=shape.sequences * shape.kv_heads, m=queries, n=n, k=k)
            for n, k in ((seen, size), (size, seen))
        ),
    )


def prefill_attention(folder: Path, card: str) -> Timed | None:
    """Read attention of prompts with a cache of 16 bits."""
    path = folder / MORE / "context_attention_latency_wide.csv.gz"
    return timed([found for found in _read(path, card) if found[1] > 0])


def decode_attention(folder: Path, card: str) -> Timed | None:
    """Read attention of one token of each sequence, with caches of 16 and of 8 bits."""
    path = folder / MORE / "decode_attention_latency_wide.csv.gz"
    return timed([found for found in _read(path, card) if found[1] > 0])


def _read(path: Path, card: str) -> Iterator[tuple[list[LayerProfile], float]]:
    decodes = "decode" in path.name
    for entry in entries(path):
        taken, shape = entry.get(column_of(card, entry), ""), shape_of(entry, decodes=decodes)
        if taken and shape is not None and (decodes or shape.cache_bytes == 2):
            yield [attention(shape)], float(taken) * 1e-3


def shape_of(entry: Mapping[str, str], *, decodes: bool) -> Shape | None:
    """Return the shape of a table's row, None where no engine's model has one like it."""
    sequences, tokens, step, heads, kv_heads, size = whole(
        entry, "batch_size", "isl", "step", "num_heads", "num_key_value_heads", "head_dim"
    )
    if tokens + step < _SHORTEST or size > _WIDEST_HEAD or heads % kv_heads:
        return None
    return Shape(
        sequences=sequences,
        new=1 if decodes else tokens,
        cached=tokens + step - 1 if decodes else step,
        heads=heads,
        kv_heads=kv_heads,
        head_size=size,
        window=int(float(entry["window_size"] or 0)),
        cache_bytes=_CACHE_BYTES[entry["kv_cache_dtype"]],
    )


def latent_attention(folder: Path, card: str) -> Timed | None:
    """Read absorbed attention of one token of each sequence (DeepSeek), heads divided or not."""
    found = []
    for entry in entries(folder / MORE / "mla_power.csv.gz"):
        if entry["gpu"] == card and entry["op"] == "generation_mla":
            sequences, tokens, step, heads = whole(entry, "batch_size", "isl", "step", "num_heads")
            cache_bytes = _CACHE_BYTES[entry["kv_cache_dtype"]]
            made = latent(sequences, tokens + step, heads, cache_bytes)
            found.append(([made], float(entry["latency_ms"]) * 1e-3))
    return timed(found)


def latent(sequences: int, keys: int, heads: int, cache_bytes: int) -> LayerProfile:
    """Return the row of absorbed attention to ``keys`` tokens, as ``serving`` makes it."""
    kept = _LATENT + _ROTATED
    return row(
        "PagedLatentAttention",
        reads=sequences * heads * kept,
        writes=sequences * heads * _LATENT,
        stored_bytes=sequences * keys * kept * cache_bytes,
        contractions=(
            Contraction(batch=sequences, m=heads, n=keys, k=kept),
            Contraction(batch=sequences, m=heads, n=_LATENT, k=keys),
        ),
    )
