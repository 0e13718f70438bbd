"""Normalisation, rotation and activation of tokens (Vidur), and the quantisation of activations (aiconfigurator)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from joulecast.layers import LayerProfile
from joulecast_calibration.rows.engines.timed import OPERATORS, Timed, entries, row, timed, whole
from joulecast_calibration.rows.engines.vidur import SHORTEST_SECONDS, VIDUR

_VIDUR = {"a100": "a100_sxm", "h100": "h100_sxm"}
_METERED = ("h200_sxm", "b200_sxm", "gb200")


def elementwise(folder: Path, card: str) -> Timed | None:
    """Read passes over memory that last 20 µs at least."""
    found = [
        (rows, seconds)
        for rows, seconds in [*_vidur(folder, card), *_quantising(folder, card)]
        if seconds >= SHORTEST_SECONDS
    ]
    return timed(found)


def _vidur(folder: Path, card: str) -> list[tuple[list[LayerProfile], float]]:
    return [
        ([made(entry)], float(entry[column]) * 1e-3)
        for entry in entries(folder / VIDUR)
        if _VIDUR.get(entry["gpu"]) == card and entry["num_tensor_parallel_workers"] == "1"
        for column, made in _ROWS.items()
        if entry[column]
    ]


def _norm(entry: Mapping[str, str]) -> LayerProfile:
    tokens, width = whole(entry, "num_tokens", "n_embd")
    return row("RMSNorm", reads=tokens * width, writes=tokens * width, weights=width, stored_bytes=2 * width)


def _rotation(entry: Mapping[str, str]) -> LayerProfile:
    tokens, width, heads, kv_heads = whole(entry, "num_tokens", "n_embd", "n_head", "n_kv_head")
    turned = tokens * (heads + kv_heads) * width // heads
    return row("RotaryEmbedding", reads=turned, writes=turned)


def _activation(entry: Mapping[str, str]) -> LayerProfile:
    tokens, inner = whole(entry, "num_tokens", "n_expanded_embd")
    gated = entry["use_gated_mlp"] == "True"
    return row("SiluAndMul", reads=(2 if gated else 1) * tokens * inner, writes=tokens * inner)


def _sum(entry: Mapping[str, str]) -> LayerProfile:
    tokens, width = whole(entry, "num_tokens", "n_embd")
    return row("Add", reads=2 * tokens * width, writes=tokens * width)


_ROWS: Mapping[str, Callable[[Mapping[str, str]], LayerProfile]] = {
    "input_layernorm_ms": _norm,
    "attn_rope_ms": _rotation,
    "mlp_act_ms": _activation,
    "add_ms": _sum,
}


def _quantising(folder: Path, card: str) -> list[tuple[list[LayerProfile], float]]:
    """Read the pass that writes fp8: three bytes an element."""
    if card not in _METERED:
        return []
    return [
        ([_narrowed(*whole(entry, "m", "k"))], float(entry["latency_ms"]) * 1e-3)
        for entry in entries(folder / OPERATORS / "quantize_elementwise_power.csv.gz")
        if entry["system"] == card and entry["op_name"] == "scale_matrix"
    ]


def _narrowed(tokens: int, width: int) -> LayerProfile:
    return row("Quantise", reads=tokens * width, writes=0, stored_bytes=tokens * width)
