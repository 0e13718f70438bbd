"""Read seconds of single layers of language models that Vidur timed in eager torch: products with weights, and sums.

One row is one kernel in fp16, as one card of a tensor-parallel group runs it.
"""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from joulecast.layers import Contraction, LayerProfile
from joulecast_calibration.rows.engines.timed import entries, whole

VIDUR = "vidur_op_latency/mlp_op_latency.csv.gz"
CARDS: Mapping[str, str] = {"a40": "A40", "a100": "A100-SXM4-80GB", "h100": "H100-SXM5-80GB"}
"""Keys of data sheets by the names of the table."""
SHORTEST_SECONDS = 2e-5
"""Shorter times hold the profiler's own cost: 6 to 17 µs for one token, where replayed kernels take 2 µs."""
_FUSED = ("input_layernorm_ms", "post_attention_layernorm_ms", "attn_rope_ms", "mlp_act_ms")
_LOOKUP = "emb_ms"
_OF_AN_ENGINE = "norms, rotations and activations as a serving engine fuses them, which eager torch does not run"
_MASKED = "lookups in a part of a vocabulary, which are masked"


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorRow:
    """A measured kernel.

    - ``card``: as in ``CARDS``.
    - ``operator``: which layer of a block: a column of the table without its unit.
    """

    card: str
    operator: str
    layer: LayerProfile
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Operators:
    """Rows of the table, equal ones joined, and ``left_out``: numbers of measured times by reason."""

    rows: tuple[OperatorRow, ...]
    left_out: Mapping[str, int]


def read_operators(folder: Path) -> Operators:
    """Read the table of ``folder``; no rows where it is missing. Equal shapes on a card have their median time."""
    left_out: Counter[str] = Counter()
    found: dict[tuple[str, str], dict[LayerKey, list[float]]] = defaultdict(lambda: defaultdict(list))
    for card, operator, key, seconds in _times(folder / VIDUR, left_out):
        found[card, operator][key].append(seconds)
    rows = tuple(
        OperatorRow(card=card, operator=operator, layer=_layer(key), seconds=statistics.median(seconds))
        for (card, operator), shapes in sorted(found.items())
        for key, seconds in sorted(shapes.items())
    )
    return Operators(rows=rows, left_out=dict(left_out))


LayerKey = tuple[int, int, int]
"""Tokens, outputs and inputs of a product; of a sum, tokens, width and 0."""


def _times(path: Path, left_out: Counter[str]) -> Iterator[tuple[str, str, LayerKey, float]]:
    for entry in entries(path):
        left_out[_OF_AN_ENGINE] += sum(1 for column in _FUSED if entry[column])
        left_out[_MASKED] += bool(entry[_LOOKUP])
        for column, key_of in _KEYS.items():
            seconds = float(entry[column] or 0) * 1e-3
            if reason := _why_not(entry, column, seconds):
                left_out[reason] += 1
            else:
                yield CARDS[entry["gpu"]], column.removesuffix("_ms"), key_of(entry), seconds


def _why_not(entry: Mapping[str, str], column: str, seconds: float) -> str:
    """Return why a time is not read, or "" for one that is."""
    if column == "add_ms" and not entry["post_attention_layernorm_ms"]:
        return "two sums in one time, where a block has one norm"
    return "" if seconds >= SHORTEST_SECONDS else "products and sums below 20 µs, which hold the profiler's own cost"


def _shard(entry: Mapping[str, str], size: int) -> int:
    return size // int(entry["num_tensor_parallel_workers"])


def _queries_keys_values(entry: Mapping[str, str]) -> LayerKey:
    tokens, width, heads, kv_heads = whole(entry, "num_tokens", "n_embd", "n_head", "n_kv_head")
    return tokens, _shard(entry, (heads + 2 * kv_heads) * width // heads), width


def _of_attention(entry: Mapping[str, str]) -> LayerKey:
    tokens, width = whole(entry, "num_tokens", "n_embd")
    return tokens, width, _shard(entry, width)


def _up(entry: Mapping[str, str]) -> LayerKey:
    tokens, width, inner = whole(entry, "num_tokens", "n_embd", "n_expanded_embd")
    return tokens, _shard(entry, inner * (2 if entry["use_gated_mlp"] == "True" else 1)), width


def _down(entry: Mapping[str, str]) -> LayerKey:
    tokens, width, inner = whole(entry, "num_tokens", "n_embd", "n_expanded_embd")
    return tokens, width, _shard(entry, inner)


def _sum(entry: Mapping[str, str]) -> LayerKey:
    tokens, width = whole(entry, "num_tokens", "n_embd")
    return tokens, width, 0


_KEYS: Mapping[str, Callable[[Mapping[str, str]], LayerKey]] = {
    "attn_pre_proj_ms": _queries_keys_values,
    "attn_post_proj_ms": _of_attention,
    "mlp_up_proj_ms": _up,
    "mlp_down_proj_ms": _down,
    "add_ms": _sum,
}


def _layer(key: LayerKey) -> LayerProfile:
    """Return the row of the eager law of a product, (tokens, inputs) × (inputs, outputs), or of a sum."""
    tokens, outputs, inputs = key
    weights, written = inputs * outputs, tokens * outputs
    read = tokens * inputs if inputs else 2 * written
    return LayerProfile(
        name="product" if inputs else "sum",
        op_type="Gemm" if inputs else "Add",
        kind="counted" if inputs else "zero",
        dtype="float16",
        macs=tokens * weights,
        activations=written if inputs else 0,
        input_numel=read,
        output_numel=written,
        weight_numel=weights,
        float_numel=read + written + weights,
        bytes_moved=2 * (read + written + weights),
        contractions=(Contraction(batch=1, m=tokens, n=outputs, k=inputs),) if inputs else (),
    )
