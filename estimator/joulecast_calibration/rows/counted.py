"""Convert a counted row to a list of JSON values, as the index and the journals hold it, and back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from joulecast.counting import totals
from joulecast.energy.features import long_softmax, transposed
from joulecast.layers import Contraction, LayerProfile

_RUNTIME = "torch-eager"  # the kernels of a captured graph are the same
_NUMBERS = ("input_numel", "output_numel", "weight_numel", "float_numel", "bytes_moved", "repeats")
_CONTRACTION = ("batch", "m", "n", "k", "repeats")


Counted = list[tuple[LayerProfile, int]]
"""Rows of the law, and how often each runs."""


def launched_rows(layers: Iterable[LayerProfile]) -> tuple[LayerProfile, ...]:
    return tuple(row for row in layers if row.kind in ("counted", "zero") and row.kernels.get(_RUNTIME, 0))


def sums_of(layers: Sequence[LayerProfile]) -> Mapping[str, int]:
    """Return the sums over a pass that a measured row keeps, by the name of its column."""
    sums = totals(layers)
    return {
        "rows": len(launched_rows(layers)),
        "macs": sums.macs,
        "params": sums.params,
        "activations": sums.activations,
        "input_numel": sums.input_numel,
        "bytes_moved": sums.bytes_moved,
        "kernels": sums.kernels[_RUNTIME],
        "views": sum(row.views for row in layers),
    }


def contents_of(layers: Iterable[LayerProfile]) -> list[list[Any]]:
    """Return distinct rows with a kernel as lists of JSON values, each with how often it occurs."""
    counts: Counter[tuple[Any, ...]] = Counter(frozen(row_document(row)) for row in launched_rows(layers))
    return [[list(row), times] for row, times in counts.items()]


def row_document(row: LayerProfile) -> list[Any]:
    """Return a row as a list of the JSON values that a forecast may depend on."""
    products = [[getattr(entry, name) for name in _CONTRACTION] for entry in row.contractions]
    numbers = (getattr(row, name) for name in _NUMBERS)
    return [row.op_type, row.dtype, *numbers, _telling(row), row.kernels[_RUNTIME], products]


def _telling(row: LayerProfile) -> list[list[int]]:
    """Return shapes that a forecast reads beyond sizes: weights stored as (k, n), long rows of a softmax, and the taps
    of an interpolation before the shape that it writes."""
    if row.taps > 1:
        return [[row.taps], list(row.output_shapes[0])]
    if long_softmax(row):
        return [[row.input_shapes[0][-1]]]
    if row.op_type == "Gemm" and not transposed(row):
        return [list(shape) for shape in row.input_shapes[:2]]
    return []


def frozen(row: Sequence[Any]) -> tuple[Any, ...]:
    """Convert the list to a value that can be compared and hashed."""
    return (*row[:-3], _tuples(row[-3]), row[-2], _tuples(row[-1]))


def _tuples(lists: Iterable[Iterable[int]]) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(numbers) for numbers in lists)


def layer_of(row: Sequence[Any]) -> LayerProfile:
    """Return the row that ``contents_of`` wrote as a list."""
    contractions = tuple(Contraction(**dict(zip(_CONTRACTION, product, strict=True))) for product in row[-1])
    macs = sum(product.macs for product in contractions)
    taps, written = _interpolated(row)
    return LayerProfile(
        name=row[0],
        op_type=row[0],
        kind="counted" if macs else "zero",
        dtype=row[1],
        macs=macs,
        kernels={_RUNTIME: row[-2]},
        contractions=contractions,
        input_shapes=() if taps else _tuples(row[-3]) or (_shapes(row) if not macs else ()),
        output_shapes=written,
        taps=taps,
        **dict(zip(_NUMBERS, row[2:-3], strict=True)),
    )


_INTERPOLATIONS = ("Resize", "Upsample")


def _interpolated(row: Sequence[Any]) -> tuple[int, tuple[tuple[int, ...], ...]]:
    """Return the taps of an interpolation and the shape that it writes; 0 and no shape of any other row."""
    if row[0] not in _INTERPOLATIONS or not row[-3]:
        return 0, ()
    (taps,), written = row[-3]
    return taps, (tuple(written),)


def _shapes(row: Sequence[Any]) -> tuple[tuple[int, ...], ...]:
    """Return the sizes of two operands, one of which is as large as the output, from their sum.

    A forecast only needs to know whether one of them is broadcast.
    """
    read, written, weights = row[2:5]
    other = read + weights - written
    return ((written,), (other,)) if 0 < other < written else ()
