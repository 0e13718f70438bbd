"""The rows of engines' passes as arrays: each different kernel once, and how often each pass runs it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import repeat

import numpy as np

from joulecast.energy.engines.coefficients import COMPUTED, KERNELS
from joulecast.energy.features import Array, Flags, Index
from joulecast.graph import ITEMSIZE_BYTES
from joulecast.layers import LayerProfile

ALL_REDUCE = len(KERNELS)
"""Position in ``kernel`` of collectives, which have a law of their own."""

EXECUTED = ("counted", "zero")
"""Kinds of rows that are kernels."""

_ARITHMETIC_OF = {
    "float32": "fp32", "float16": "fp16", "bfloat16": "bf16", "float8": "fp8", "int8": "int8", "float4": "fp4",
}  # fmt: skip
NARROW_PRODUCTS = (".fp8", ".fp8_block", ".int8", ".fp4")
"""Ends of the kinds of kernels that multiply in 8 or 4 bits; their input comes in 16."""
_ACTIVATION_BYTES = 2.0
"""Of an activation beside a product in 8 or 4 bits: hidden states stay in 16."""
_NARROW_BITS = 12.0
"""Bits of a stored element below which a 16-bit product has to widen it; with scales, 8-bit formats store 8.5."""
_FOUR_BITS = 6.5
"""Below it a format counts as one of 4 bits: with scales they store 4.25 to 5."""
_PRODUCTS = frozenset({"Gemm", "MatMul", "BatchedGemm", "Conv"})
_QUERY_ROWS = 128
"""Queries of one block of prefill attention (FlashAttention 2 and 3 use 64 to 192)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelTable:
    """Arrays over n different kernels and c contractions.

    - ``rows``: one of each kernel.
    - ``kernel``: (n,) position in ``KERNELS``, or ``ALL_REDUCE``.
    - ``arithmetic``: (n,) position in ``COMPUTED``, −1 where the row carries no MACs or runs in another arithmetic.
    - ``priced``: (n,) False where MACs cannot be priced.
    - ``bytes``, ``flops``, ``launches``: (n,) moved, executed, and started.
    - ``message_bytes``: (n,) of a collective.
    - ``units``: (n,) pieces of work that multiprocessors share: heads × blocks of queries of attention.
    - ``elements``: (n,) that pass through other units than the products': stored ones that are widened before they
      are multiplied, scores of prefill attention, of each of which an exponential is taken, results of a convolution.
    - ``prepared``: (n,) elements of the input that are narrowed before they are multiplied.
    - ``row``, ``products``, ``m``, ``n``, ``k``: (c,) contractions that run in tiles.
    """

    rows: tuple[LayerProfile, ...]
    kernel: Index
    arithmetic: Index
    priced: Flags
    bytes: Array
    flops: Array
    launches: Array
    message_bytes: Array
    units: Array
    elements: Array
    prepared: Array
    row: Index
    products: Array
    m: Array
    n: Array
    k: Array


@dataclass(frozen=True, slots=True, kw_only=True)
class Passes:
    """``size`` passes: pass ``index`` (e,) runs the kernel at ``which`` (e,), ``times`` (e,) an entry."""

    table: KernelTable
    index: Index
    which: Index
    times: Array
    size: int

    def sum(self, values: Array) -> Array:
        """Sum values (n,) per kernel to (size,) per pass."""
        total: Array = np.bincount(self.index, weights=values[self.which] * self.times, minlength=self.size).astype(
            float
        )
        return total


def passes_of(
    passes: Iterable[Sequence[LayerProfile]], engine: str, times: Iterable[Sequence[int]] | None = None
) -> Passes:
    """Return the passes' kernels, which are their counted and zero rows.

    ``times``: for each pass, how often it runs each of its rows; once where it is left out.
    """
    found: dict[object, int] = {}
    distinct: list[LayerProfile] = []
    which: list[int] = []
    sizes: list[int] = []
    counts: list[int] = []
    for rows, often in zip(passes, repeat(None) if times is None else times, strict=times is not None):
        before = len(which)
        for row, count in zip(rows, repeat(1) if often is None else often, strict=often is not None):
            if row.kind not in EXECUTED:
                continue
            key = _identity(row, engine)
            position = found.get(key)
            if position is None:
                position = found[key] = len(distinct)
                distinct.append(row)
            which.append(position)
            counts.append(count)
        sizes.append(len(which) - before)
    return Passes(
        table=kernel_table(distinct, engine),
        index=np.repeat(np.arange(len(sizes)), sizes),
        which=np.array(which, dtype=np.intp),
        times=np.array(counts, dtype=float),
        size=len(sizes),
    )


def _identity(row: LayerProfile, engine: str) -> object:
    """Return all that the price of a row depends on."""
    return (
        row.op_type,
        row.dtype,
        row.bytes_moved,
        row.macs,
        row.contractions,
        row.input_numel,
        row.output_numel,
        row.weight_numel,
        row.kernels.get(engine, row.repeats),
    )


def kernel_table(rows: Sequence[LayerProfile], engine: str) -> KernelTable:
    """Return the arrays of ``rows``."""
    kernels = [kernel_of(row) for row in rows]
    arithmetics = [_ARITHMETIC_OF.get(row.dtype, "") if row.macs else "" for row in rows]
    tiled = [
        (position, c.batch * c.repeats, c.m, c.n, c.k)
        for position, row in enumerate(rows)
        if kernels[position].startswith(("product", "experts"))
        for c in row.contractions
    ]
    columns = np.array(tiled, dtype=float).reshape(-1, 5).T
    return KernelTable(
        rows=tuple(rows),
        kernel=np.array([_position(name) for name in kernels], dtype=np.intp),
        arithmetic=np.array([COMPUTED.index(name) if name else -1 for name in arithmetics], dtype=np.intp),
        priced=np.array([not row.macs or bool(a) for row, a in zip(rows, arithmetics, strict=True)], dtype=bool),
        bytes=np.array([row.bytes_moved for row in rows], dtype=float),
        flops=np.array([_executed_flops(row) for row in rows], dtype=float),
        launches=np.array([row.kernels.get(engine, row.repeats) for row in rows], dtype=float),
        message_bytes=np.array([_message_bytes(row) for row in rows], dtype=float),
        units=np.array([_units(row, name) for row, name in zip(rows, kernels, strict=True)], dtype=float),
        elements=np.array([_elements(row, name) for row, name in zip(rows, kernels, strict=True)], dtype=float),
        prepared=np.array([_prepared(row, name) for row, name in zip(rows, kernels, strict=True)], dtype=float),
        row=columns[0].astype(np.intp),
        products=columns[1],
        m=columns[2],
        n=columns[3],
        k=columns[4],
    )


def kernel_of(row: LayerProfile) -> str:
    """Return the one of ``KERNELS`` that prices the row, or ``AllReduce``."""
    named = _named(row.op_type)
    return _of_format(row, named) if named in ("product", "experts") and row.contractions else named


@cache
def _named(op_type: str) -> str:
    if op_type == "AllReduce":
        return op_type
    if "Attention" in op_type:
        if "Latent" in op_type:
            return "latent_attention"
        return "decode_attention" if "Paged" in op_type else "prefill_attention"
    if op_type.startswith("CausalConv"):
        return "convolution"
    if op_type.endswith(("Scan", "Update")):
        return "recurrence"
    if op_type == "GroupedGemm":
        return "experts"
    return "product" if op_type in _PRODUCTS else "pass"


def _of_format(row: LayerProfile, kind: str) -> str:
    arithmetic = _ARITHMETIC_OF.get(row.dtype, "")
    if arithmetic in ("fp16", "bf16"):
        bits = stored_bits(row)
        stored = "" if bits > _NARROW_BITS else ".stored4" if bits < _FOUR_BITS else ".stored8"
    else:
        stored = f".{arithmetic}"
        if stored == ".fp8" and kind == "product" and _has_block_scales(row):
            stored = ".fp8_block"
    return kind + stored if kind + stored in KERNELS else kind


def stored_bits(row: LayerProfile) -> float:
    """Return the bits of one stored weight of a product."""
    itemsize = ITEMSIZE_BYTES[row.dtype] if row.dtype in ("float32", "float16", "bfloat16") else _ACTIVATION_BYTES
    stored = row.bytes_moved - itemsize * (row.input_numel + row.output_numel)
    return 8 * stored / row.weight_numel if row.weight_numel else 8 * itemsize


def _has_block_scales(row: LayerProfile) -> bool:
    """Decide whether weights of 8 bits have scales of blocks beside them: more bytes than elements and bias take."""
    weights = sum(each.batch * each.n * each.k for each in row.contractions)
    bias = row.weight_numel - weights
    return row.bytes_moved > _ACTIVATION_BYTES * (row.input_numel + row.output_numel + bias) + weights


def _position(kernel: str) -> int:
    return ALL_REDUCE if kernel == "AllReduce" else KERNELS.index(kernel)


def _executed_flops(row: LayerProfile) -> int:
    """Return the operations that run, which causal and windowed attention has fewer of than by convention."""
    return 2 * sum(each.macs for each in row.contractions) if row.contractions else row.flops


def _message_bytes(row: LayerProfile) -> float:
    return row.input_numel * ITEMSIZE_BYTES[row.dtype] if row.op_type == "AllReduce" else 0.0


def _units(row: LayerProfile, kernel: str) -> float:
    if not row.contractions:
        return 0.0
    first = row.contractions[0]
    if kernel == "prefill_attention":
        return float(first.batch * -(-first.m // _QUERY_ROWS))
    return float(first.batch) if kernel in ("decode_attention", "latent_attention") else 0.0


def _elements(row: LayerProfile, kernel: str) -> float:
    if kernel == "prefill_attention":
        return float(sum(each.batch * each.m * each.n for each in row.contractions[:1]))
    if kernel == "convolution":
        return float(row.output_numel)
    if kernel in ("decode_attention", "latent_attention"):
        return float(_narrow_cache(row, shared=kernel == "latent_attention"))
    return float(row.weight_numel) if ".stored" in kernel else 0.0


def _narrow_cache(row: LayerProfile, *, shared: bool) -> int:
    """Return the elements of a cache of 8 bits that a product in 16 reads, 0 for a cache of 16 bits.

    ``shared``: keys and values are one cached vector, which both products read (DeepSeek-V2).
    """
    sides = [each.batch * each.n * each.k for each in row.contractions]
    cached = max(sides, default=0) if shared else sum(sides)
    if row.dtype not in ("float16", "bfloat16"):
        return 0
    stored = row.bytes_moved - ITEMSIZE_BYTES[row.dtype] * (row.input_numel + row.output_numel)
    return cached if 8 * stored < _NARROW_BITS * cached else 0


def _prepared(row: LayerProfile, kernel: str) -> float:
    return float(row.input_numel) if kernel.endswith(NARROW_PRODUCTS) else 0.0
