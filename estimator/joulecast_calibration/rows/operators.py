"""Read single operators that others measured: latency tables of many cards, and board power of three of them.

Each reader takes the data folder and returns a table of rows (one product, or one pass over memory) with measured
seconds; power is kept only where the meter can be trusted. A missing data set has no rows.
"""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from joulecast.energy.features import ARITHMETIC, FAMILIES, Array, Features, stack, subset

SHORTEST_METERED_SECONDS = 1e-4
"""Below it a benchmark lasts 0.3 s, less than the 1 s that NVML averages over on these cards: its power is a ramp."""
_LONG_ENOUGH_MS = 0.05  # shorter attention is all launch and tail, which the products' table tells better
_SAMPLE = 3000  # rows of a table that are fitted, drawn evenly: more do not move a coefficient in its third digit

CARDS = {
    "NVIDIA-A100-SXM4-80GB": "a100_sxm4_80gb_ms",
    "NVIDIA-H100-80GB-HBM3": "h100_sxm_ms",
    "NVIDIA-H200": "h200_sxm_ms",
    "NVIDIA-B200": "b200_sxm_ms",
    "NVIDIA-GB200": "gb200_ms",
    "NVIDIA-B300-SXM6-AC": "b300_sxm_ms",
    "NVIDIA-GB300": "gb300_ms",
    "NVIDIA-L40S": "l40s_ms",
}
"""Product name to the column of the wide latency tables."""

METERED = {"NVIDIA-H200": "h200_sxm", "NVIDIA-B200": "b200_sxm", "NVIDIA-GB200": "gb200"}
"""Product name to the name in the power tables."""

FP32_CARDS = {
    "NVIDIA-A100-PCIE-40GB": "NVIDIA A100-PCIE-40GB",
    "NVIDIA-A100-80GB-PCIe": "NVIDIA A100 80GB PCIe",
    "NVIDIA-H100-80GB-HBM3": "NVIDIA H100 80GB HBM3",
    "NVIDIA-L4": "NVIDIA L4",
    "Tesla-T4": "Tesla T4",
    "Tesla-V100-PCIE-32GB": "Tesla V100-PCIE-32GB",
    "Tesla-P100-PCIE-16GB": "Tesla P100-PCIE-16GB",
    "Tesla-P4": "Tesla P4",
}
"""Product name to the name in the fp32 table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorRows:
    """A table of operators with measured seconds, (rows,).

    - ``watts``: (rows,) where power was kept.
    """

    table: Features
    seconds: Array
    watts: Array | None = None


def gemm_latency(folder: Path, product: str) -> OperatorRows | None:
    """Read bf16 products of ``product``: (m, k) × (k, n), replayed from a CUDA graph."""
    rows = _wide(folder, "gemm_bf16_latency_wide", product, ("m", "n", "k"))
    return _products(_thinned([(1.0, *row) for row in rows]), "bf16")


def attention_latency(folder: Path, product: str) -> OperatorRows | None:
    """Read encoder attention in bf16: one fused row of two products a head."""
    columns = ("batch_size", "num_heads", "isl", "head_dim")
    rows = _wide(folder, "encoder_attention_bf16_latency_wide", product, columns)
    kept = [(batch * heads, *row) for batch, heads, *row in rows if row[-1] >= _LONG_ENOUGH_MS]
    return _attentions(_thinned(kept), "bf16")


def _wide(folder: Path, table: str, product: str, columns: Sequence[str]) -> Iterator[tuple[float, ...]]:
    """Yield ``columns`` of a wide table and the milliseconds on ``product``, of the rows that have them."""
    timed = CARDS.get(product, "")
    for entry in _read(folder / "aiconfigurator_ops" / f"{table}.csv.gz"):
        if entry.get(timed):
            yield tuple(float(entry[name]) for name in (*columns, timed))


def fp32_latency(folder: Path, product: str) -> Mapping[str, OperatorRows]:
    """Read fp32 rows of ``product`` by family: products, softmax and layer norms, elementwise passes.

    The weights of its linear layers are stored transposed, the operands of its batched products are not.
    """
    name = FP32_CARDS.get(product)
    entries = [e for e in _read(folder / "neusight_latency" / "op_latency_fp32.csv.gz") if e["Device"] == name]
    products = [
        _products(_thinned([_product(e) for e in entries if e["OPName"] == name]), "fp32", transposed=name == "linear")
        for name in ("linear", "bmm")
    ]
    passes = {
        "normalisation": [_pass(e, 2) for e in entries if e["OPName"] in ("ln", "softmax")],
        "other": [_pass(e, 3 if e["OPName"] in _BINARY else 2) for e in entries if e["OPName"] in (*_BINARY, *_UNARY)],
    }
    found = {"matmul": _joined([rows for rows in products if rows is not None])}
    found |= {family: _passes(_thinned(rows), family) for family, rows in passes.items()}
    return {family: rows for family, rows in found.items() if rows is not None}


def gemm_power(folder: Path, product: str) -> OperatorRows | None:
    """Read bf16 products with board power, one row for each cell of neighbouring shapes.

    A row has the 90th percentile of its cell's watts and its median times. Power is bimodal there (a 1 s average read
    during 1 s runs), so single rows are never used, and short ones are left out.
    """
    name = METERED.get(product)
    rows = [
        (1.0, float(e["m"]), float(e["n"]), float(e["k"]), float(e["latency_ms"]) / 1e3, float(e["power_w"]))
        for e in _read(folder / "aiconfigurator_ops" / "gemm_power.csv.gz")
        if e["system"] == name and e["gemm_dtype"] == "bfloat16" and e["power_w"]
    ]
    kept = [row for row in rows if row[4] >= SHORTEST_METERED_SECONDS]
    whole = _products([row[:5] for row in kept], "bf16", unit_seconds=1.0)
    return None if whole is None else _upper_mode(whole, np.array([row[5] for row in kept]))


_FEWEST = 8  # rows of a cell: its 90th percentile is then not its largest value
_BYTES_AN_ELEMENT = 8  # fp32 read and written; the few of two operands are not told apart
_BINARY = ("add", "mul", "div")
_UNARY = ("addu", "mulu", "divu", "gelu", "relu", "tanh", "powu")  # pow is arithmetic-bound: no pass over memory


def _upper_mode(rows: OperatorRows, watts: Array) -> OperatorRows:
    """Group rows in cells of half an octave in FLOP/s and in bytes/s.

    A cell gives the row of median time, with the 90th percentile of the watts.
    """
    rates = np.stack([rows.table.flops, rows.table.bytes]) / rows.seconds
    cells = np.round(2 * np.log2(rates)).T
    _, cell = np.unique(cells, axis=0, return_inverse=True)
    members = [np.flatnonzero(cell.ravel() == number) for number in range(int(cell.max()) + 1)]
    full = [member for member in members if member.size >= _FEWEST]
    middle = np.array([member[np.argsort(rows.seconds[member])[member.size // 2]] for member in full], dtype=int)
    kept = np.zeros(watts.size, dtype=bool)
    kept[middle] = True
    order = np.argsort(middle)
    upper = np.array([np.quantile(watts[member], 0.9) for member in full])[order]
    return OperatorRows(table=subset(rows.table, kept), seconds=rows.seconds[kept], watts=upper)


def _product(entry: Mapping[str, str]) -> tuple[float, ...]:
    return (*(float(entry[name] or 1) for name in ("B", "M", "N", "K")), float(entry["Latency"]))


def _joined(parts: Sequence[OperatorRows]) -> OperatorRows | None:
    if not parts:
        return None
    return OperatorRows(
        table=stack([part.table for part in parts]), seconds=np.concatenate([part.seconds for part in parts])
    )


def _pass(entry: Mapping[str, str], tensors: int) -> tuple[float, ...]:
    return (tensors * 4 * float(entry["B"]) * float(entry["H"]), float(entry["Latency"]))


def _products(
    rows: Sequence[tuple[float, ...]], arithmetic: str, *, transposed: bool = False, unit_seconds: float = 1e-3
) -> OperatorRows | None:
    if not rows:
        return None
    batch, m, n, k, taken = np.array(rows).T
    moved = (4 if arithmetic == "fp32" else 2) * batch * (m * k + k * n + m * n)
    table = _table(moved, 2 * batch * m * n * k, arithmetic, "matmul", [(batch, m, n, k)])
    table = replace(table, transposed=np.full(taken.size, transposed))
    return OperatorRows(table=table, seconds=taken * unit_seconds)


def _attentions(rows: Sequence[tuple[float, ...]], arithmetic: str) -> OperatorRows | None:
    if not rows:
        return None
    heads, length, width, taken = np.array(rows).T
    shapes = [(heads, length, length, width), (heads, length, width, length)]
    table = _table(2 * 4 * heads * length * width, 4 * heads * length**2 * width, arithmetic, "attention", shapes)
    return OperatorRows(table=table, seconds=taken * 1e-3)


def _passes(rows: Sequence[tuple[float, ...]], family: str) -> OperatorRows | None:
    if not rows:
        return None
    moved, taken = np.array(rows).T
    return OperatorRows(table=_table(moved, np.zeros_like(moved), "", family, []), seconds=taken * 1e-3)


def _table(moved: Array, flops: Array, arithmetic: str, family: str, shapes: Sequence[tuple[Array, ...]]) -> Features:
    count = moved.size
    columns = [
        np.concatenate([shape[position] for shape in shapes]) if shapes else np.zeros(0) for position in range(4)
    ]
    return Features(
        bytes=moved,
        elements=np.zeros(count) if shapes else moved / _BYTES_AN_ELEMENT,
        turns=np.zeros(count),
        kernels=np.ones(count),
        flops=flops,
        arithmetic=np.full(count, ARITHMETIC.index(arithmetic) if arithmetic else -1, dtype=np.intp),
        family=np.full(count, FAMILIES.index(family), dtype=np.intp),
        priced=np.ones(count, dtype=bool),
        transposed=np.zeros(count, dtype=bool),
        row=np.tile(np.arange(count), len(shapes)).astype(np.intp),
        products=columns[0],
        m=columns[1],
        n=columns[2],
        k=columns[3],
        repeats=np.ones_like(columns[0]),
    )


def _thinned(rows: Sequence[tuple[float, ...]]) -> Sequence[tuple[float, ...]]:
    """Take rows at equal steps in order of size, so that any fit of them is the same every time."""
    ordered = sorted(rows)
    step = max(1, -(-len(ordered) // _SAMPLE))
    return ordered[::step]


def _read(path: Path) -> Iterator[Mapping[str, str]]:
    if path.is_file():
        with gzip.open(path, "rt", newline="", encoding="utf-8") as text:
            yield from csv.DictReader(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rest:
    """Power with a context and no kernel.

    - ``clock_mhz``: (points,) rising; one nan where the clock was not locked.
    - ``watts``: (points,).
    """

    clock_mhz: Array
    watts: Array


def rest_power(folder: Path) -> Mapping[str, Rest]:
    """Read power at rest by product name, of the cards whose ``accelerator_specs.json`` entry has it."""
    path = folder / "accelerator_specs.json"
    entries = json.loads(path.read_text("utf-8"))["gpus"] if path.is_file() else []
    found = {entry["node_label_values"][0]: _rest(entry.get("idle_power_w_measured") or {}) for entry in entries}
    return {product: rest for product, rest in found.items() if rest is not None}


def _rest(entry: Mapping[str, Any]) -> Rest | None:
    curve = next((value for name, value in sorted(entry.items()) if name.startswith("w_at_sm_mhz")), None)
    if curve:
        clocks = sorted(curve, key=float)
        return Rest(clock_mhz=np.array([float(c) for c in clocks]), watts=np.array([float(curve[c]) for c in clocks]))
    if "active context" not in entry.get("source", "") and "active, NOT true idle" not in entry.get("source", ""):
        return None  # idle at an unknown low clock is not the rest of a card at work
    ends = [float(end) for end in str(entry["w"]).split("-")]
    return Rest(clock_mhz=np.array([np.nan]), watts=np.array([sum(ends) / len(ends)]))
