"""Board power of single kernels on the three cards whose tables have it (aiconfigurator).

The column is a mean over a moving second of the meter, so a row of a short loop shows a ramp or the tail of a heavier
neighbour. Kept are rows of 1 ms and more, and of them one value for each cell of neighbouring shapes: the 90th
percentile, or the median where rows last 10 ms and more (the README of the set says why).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from joulecast.energy.features import Array, Index
from joulecast.layers import LayerProfile
from joulecast_calibration.rows.engines.attention import attention, shape_of
from joulecast_calibration.rows.engines.experts import mixture, mixture_of
from joulecast_calibration.rows.engines.products import product
from joulecast_calibration.rows.engines.timed import MORE, OPERATORS, Timed, entries, timed, whole

METERED: Mapping[str, str] = {"NVIDIA-H200": "h200_sxm", "NVIDIA-B200": "b200_sxm", "NVIDIA-GB200": "gb200"}
_SHORTEST_SECONDS = 1e-3
_STEADY_SECONDS = 1e-2
_FEWEST = 8  # rows of a cell: its 90th percentile is then not its largest value
_SHARED_CACHE = "trtllm"
"""Decode attention of this backend reads 12 to 14 TB/s, more than memory delivers: its blocks are shared or cached."""

_Rows = Iterator[tuple[list[LayerProfile], float, float]]


def metered(folder: Path, card: str) -> Mapping[str, Timed]:
    """Return measurements with watts by kind of kernel, one for each cell of neighbouring shapes."""
    found = {kind: _cells(list(read(folder, card))) for kind, read in _READERS.items()}
    return {kind: rows for kind, rows in found.items() if rows is not None}


def _cells(measured: list[tuple[list[LayerProfile], float, float]]) -> Timed | None:
    kept = [found for found in measured if found[1] >= _SHORTEST_SECONDS]
    every = timed([(rows, seconds) for rows, seconds, _ in kept])
    if every is None:
        return None
    watts = np.array([found[2] for found in kept])
    chosen = [cell for cell in _neighbours(every) if cell.size >= _FEWEST]
    middle = [int(cell[np.argsort(every.seconds[cell])[cell.size // 2]]) for cell in chosen]
    upper = [_upper(watts[cell], every.seconds[cell]) for cell in chosen]
    return replace(every.take(np.array(middle, dtype=np.intp)), watts=np.array(upper)) if chosen else None


def _neighbours(rows: Timed) -> list[Index]:
    """Return the positions of each cell of half an octave in FLOP/s and in bytes/s."""
    work = np.array([[2 * sum(row.macs for row in p), sum(row.bytes_moved for row in p)] for p in rows.passes])
    cells = np.round(2 * np.log2(np.maximum(work, 1) / rows.seconds[:, None]))
    _, cell = np.unique(cells, axis=0, return_inverse=True)
    return [np.flatnonzero(cell.ravel() == number) for number in range(int(cell.max()) + 1)]


def _upper(watts: Array, seconds: Array) -> float:
    steady = watts[seconds >= _STEADY_SECONDS]
    return float(np.median(steady)) if steady.size >= _FEWEST else float(np.quantile(watts, 0.9))


def _products(folder: Path, card: str, name: str) -> _Rows:
    for entry in entries(folder / OPERATORS / "gemm_power.csv.gz"):
        if entry["system"] == card and entry["gemm_dtype"] == name and entry["power_w"]:
            tokens, outputs, inputs = whole(entry, "m", "n", "k")
            yield [product(tokens, outputs, inputs, name)], *_measured(entry)


def _attention(folder: Path, card: str, operator: str) -> _Rows:
    decodes = operator == "generation_attention"
    for entry in entries(folder / OPERATORS / "attention_power.csv.gz"):
        if entry["system"] != card or entry["op"] != operator or not entry["power_w"]:
            continue
        shape = shape_of(_filled(entry), decodes=decodes)
        if shape is not None and not (decodes and _SHARED_CACHE in entry["backend"]):
            yield [attention(shape)], *_measured(entry)


def _filled(entry: Mapping[str, str]) -> Mapping[str, str]:
    """Return the entry with what tables of prompts leave out."""
    return {**entry, "step": entry["step"] or "0", "kv_cache_dtype": entry["kv_cache_dtype"] or "bfloat16"}


def _experts(folder: Path, card: str, name: str) -> _Rows:
    for entry in entries(folder / MORE / "moe_power.csv.gz"):
        if entry["gpu"] == card and entry["dtype"] == name and "vllm" in entry["backend"]:
            shape = mixture_of(entry)
            if shape is not None:
                yield mixture(shape, name), *_measured(entry)


def _measured(entry: Mapping[str, str]) -> tuple[float, float]:
    return float(entry["latency_ms"]) * 1e-3, float(entry["power_w"])


_READERS: Mapping[str, Callable[[Path, str], _Rows]] = {
    "product": partial(_products, name="bfloat16"),
    "product.fp8": partial(_products, name="fp8"),
    "product.fp8_block": partial(_products, name="fp8_block"),
    "product.fp4": partial(_products, name="nvfp4"),
    "prefill_attention": partial(_attention, operator="context_attention"),
    "decode_attention": partial(_attention, operator="generation_attention"),
    "experts": partial(_experts, name="bfloat16"),
    "experts.fp8": partial(_experts, name="fp8_block"),
    "experts.fp4": partial(_experts, name="nvfp4"),
}
