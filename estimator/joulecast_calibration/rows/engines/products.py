"""Products of a token's width with weights, stored and multiplied in several formats (aiconfigurator)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from joulecast.layers import Contraction, LayerProfile
from joulecast_calibration.rows.engines.timed import MORE, OPERATORS, Timed, column_of, entries, row, timed, whole

FORMATS: Mapping[str, tuple[float, str]] = {
    "bfloat16": (16.0, "bfloat16"),
    "fp8": (8.0, "float8"),
    "fp8_block": (8 + 32 / 128**2, "float8"),
    "nvfp4": (4.5, "float4"),
    "sq": (8.0, "int8"),
    "int8_wo": (8.25, "bfloat16"),
    "int4_wo": (4.25, "bfloat16"),
}
"""Name in the tables to bits of a stored weight, scales included, and the dtype of the product."""
SMALLEST = 256
"""Width and outputs of a product that engines run for a layer; below, tables show launches alone."""
_CACHED_BYTES = 48e6
"""Stored weights below which a benchmark that repeats one product reads them from L2 (48 to 126 MB on these cards)
where it does not change buffers, as those of TensorRT-LLM 1.0 do not."""
_LAUNCHED = 2.0
"""Of the median of a table of ``fp8_block``: below 90 µs on an H100 and 230 µs on a B200 its times do not depend on the
size of the product, so it was launched, not replayed from a graph. Most rows are such; from here on a launch is hidden
behind the product before it."""
_UNTUNED = "sglang-0.5.6"  # its int8 products are slower than those in bf16 from 512 tokens on
_COMPUTING_TOKENS = 256  # from here on products of 16 bits take as long as they compute, wherever the weights come from


def product(tokens: int, outputs: int, inputs: int, name: str) -> LayerProfile:
    """Return the row of (tokens, inputs) × (inputs, outputs) in the format ``name``."""
    bits, dtype = FORMATS[name]
    weights = inputs * outputs
    return row(
        "Gemm",
        reads=tokens * inputs,
        writes=tokens * outputs,
        weights=weights,
        stored_bytes=weights * bits / 8,
        contractions=(Contraction(batch=1, m=tokens, n=outputs, k=inputs),),
        dtype=dtype,
    )


def plain_products(folder: Path, card: str) -> Timed | None:
    """Read bf16 products."""
    return timed(list(_read(folder / OPERATORS / "gemm_bf16_latency_wide.csv.gz", card, "bfloat16")))


def quantised_products(folder: Path, card: str, name: str) -> Timed | None:
    """Read fp8 and nvfp4 products: the quantisation of their input is part of the time."""
    return timed(list(_read(folder / MORE / "gemm_quantised_latency_wide.csv.gz", card, name)))


def block_products(folder: Path, card: str) -> Timed | None:
    """Read fp8 products of weights with a scale for each block, those that last longer than their launch."""
    found = quantised_products(folder, card, "fp8_block")
    return found.take(found.seconds > _LAUNCHED * np.median(found.seconds)) if found else None


def integer_products(folder: Path, card: str, name: str) -> Timed | None:
    """Read int8 products, and those of int8 and int4 weights that are widened first."""
    return timed(list(_read(folder / MORE / "gemm_weightonly_int_latency_wide.csv.gz", card, name)))


def _read(path: Path, card: str, name: str) -> Iterator[tuple[list[LayerProfile], float]]:
    for entry in entries(path):
        taken = "" if _UNTUNED in column_of(card, entry) else entry.get(column_of(card, entry), "")
        if not taken or entry.get("dtype", name) != name:
            continue
        tokens, outputs, inputs = whole(entry, "m", "n", "k")
        if min(outputs, inputs) >= SMALLEST and _read_from_memory(tokens, outputs * inputs, name):
            yield [product(tokens, outputs, inputs, name)], float(taken) * 1e-3


def _read_from_memory(tokens: int, weights: int, name: str) -> bool:
    narrow = name.endswith("_wo")
    return not narrow or tokens >= _COMPUTING_TOKENS or weights * FORMATS[name][0] / 8 >= _CACHED_BYTES / 2
