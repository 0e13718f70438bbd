"""Layer rows as arrays: what the law needs of each executed row, in the precision that its arithmetic runs in."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from joulecast.energy.model import ARITHMETIC as ARITHMETIC
from joulecast.energy.model import FAMILIES as FAMILIES
from joulecast.errors import NotCalibratedError
from joulecast.graph import FLOATING_DTYPES, ITEMSIZE_BYTES
from joulecast.layers import LayerProfile

Array = NDArray[np.float64]
Index = NDArray[np.intp]
Flags = NDArray[np.bool_]

PRECISIONS = ("default", *ARITHMETIC)

_STORED = {"fp32": "float32", "tf32": "float32", "fp16": "float16", "bf16": "bfloat16"}
_ARITHMETIC_OF = {"float32": "fp32", "float16": "fp16", "bfloat16": "bf16"}
_CONVOLUTIONS = frozenset({"Conv", "ConvTranspose", "FusedConv", "NhwcFusedConv", "DeformConv"})
"""What cuDNN runs in TF32 unasked; torch leaves matrix products in fp32 (torch.backends.cuda.matmul.allow_tf32 is
False)."""
_FAMILY_POSITION = {name: position for position, name in enumerate(FAMILIES)}
_AFFINE = frozenset({"BatchNormalization"})
"""What a forward pass runs as one multiplication and one addition: no statistics are taken."""
_ELEMENTWISE = frozenset("Add Sub Mul Div Pow Mod Min Max Where And Or Xor Equal Less Greater".split())
"""Of two operands or more: where their sizes differ, torch computes the place of every element and loads it alone."""
NARROW = 32
"""Outputs of a group below which a grouped convolution fills no tile and runs outside tensor cores."""
LONGEST_ROW = 2048
"""Elements of a softmax's row that a warp of torch keeps in registers; of a longer one it computes every exponential
for the sum and again for the result (torch, aten/src/ATen/native/cuda/SoftMax.cu)."""
_MODULES_A_PRODUCT = 2
"""Module calls a MAC-bearing row where a file names no scopes: 1.9 in the median of seven networks whose files do."""
_RECURRENT = frozenset({"LSTM", "GRU", "RNN", "DynamicQuantizeLSTM"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """Arrays over n executed rows and c contractions.

    - ``bytes``, ``kernels``, ``flops``: (n,).
    - ``elements``: (n,) those that a row processes one after the other: of a depthwise convolution its MACs, of any
      other row with MACs none, of a softmax over more than ``LONGEST_ROW`` each twice.
    - ``turns``: (n,) loads that a thread waits for one after the other, where an operator has so few threads that this
      may decide its time; 0 of all others.
    - ``arithmetic``: (n,) position in ``ARITHMETIC``, −1 where the row carries no MACs or the law lacks the arithmetic.
    - ``family``: (n,) position in ``FAMILIES``.
    - ``priced``: (n,) False where MACs could not be priced.
    - ``transposed``: (n,) whether a product's weights lie as (n, k), as a ``Linear`` layer keeps them.
    - ``row``: (c,) the row of each contraction.
    - ``products``, ``m``, ``n``, ``k``: (c,) sizes of each contraction.
    - ``repeats``: (c,) how often it runs in turn.
    """

    bytes: Array
    elements: Array
    turns: Array
    kernels: Array
    flops: Array
    arithmetic: Index
    family: Index
    priced: Flags
    transposed: Flags
    row: Index
    products: Array
    m: Array
    n: Array
    k: Array
    repeats: Array


def executed(layers: Sequence[LayerProfile], runtime: str = "torch-eager") -> tuple[LayerProfile, ...]:
    """Return the rows that run a kernel in each pass of ``runtime``.

    These are counted and zero rows, except those whose result the runtime computes when it loads the model.
    """
    return tuple(layer for layer in layers if layer.kind in ("counted", "zero") and not _ready(layer, runtime))


def _ready(layer: LayerProfile, runtime: str) -> bool:
    return layer.kernels.get(runtime) == 0 and any(layer.kernels.values())


def views(layers: Sequence[LayerProfile]) -> int:
    """Count the free views for which eager execution still spends host time."""
    return sum(layer.views for layer in layers)


def module_calls(layers: Sequence[LayerProfile]) -> int:
    """Count the modules that eager execution calls, each once: all scopes of the rows and the scopes around them."""
    scopes = {layer.scope for layer in layers if layer.scope}
    if not scopes:
        return _MODULES_A_PRODUCT * sum(1 for layer in layers if layer.macs)
    parts = [scope.split(".") for scope in scopes]
    return len({tuple(path[:depth]) for path in parts for depth in range(1, len(path) + 1)})


def arithmetic_of(layer: LayerProfile, precision: str, lacks: Sequence[str] = ()) -> str:
    """Return the arithmetic of a row with MACs: one of ``ARITHMETIC``, or its dtype's name where the law lacks it.

    ``precision``: as asked. ``lacks``: arithmetics that the hardware does not have; ``default`` convolutions then run
    in fp32.
    """
    if layer.dtype not in _ARITHMETIC_OF:
        return layer.dtype
    if precision != "default":
        return precision
    if layer.dtype == "float32" and layer.op_type in _CONVOLUTIONS and "tf32" not in lacks:
        return "tf32"
    return _ARITHMETIC_OF[layer.dtype]


def family(layer: LayerProfile) -> str:
    """Return the one of ``FAMILIES`` that runs the row, by its operator's name."""
    named = _named(layer.op_type)
    if named == "convolution":
        return "depthwise" if _narrow(layer) else named
    if named in ("attention", "recurrent"):
        return named
    if layer.macs:
        return "batched" if any(product.batch > 1 for product in layer.contractions) else "matmul"
    return "other" if named == "broadcast" and not _broadcasts(layer) else named


@cache
def _named(op_type: str) -> str:
    """Return the family of an operator's rows as far as its name decides it."""
    if "Attention" in op_type:
        return "attention"
    if op_type in _CONVOLUTIONS:
        return "convolution"
    if op_type in _RECURRENT:
        return "recurrent"
    if "Softmax" in op_type:
        return "softmax"
    if "Norm" in op_type and op_type not in _AFFINE:
        return "normalisation"
    return "broadcast" if op_type in _ELEMENTWISE else "other"


def _narrow(layer: LayerProfile) -> bool:
    own = layer.contractions
    return bool(own) and own[0].batch > 1 and all(c.n < NARROW for c in own)


def _broadcasts(layer: LayerProfile) -> bool:
    """Decide whether the row reads two operands of different sizes that are not scalars."""
    shapes = layer.input_shapes
    if all(shape == shapes[0] for shape in shapes[1:]):  # as of most rows
        return False
    return len({math.prod(shape) for shape in shapes} - {1}) > 1


def bytes_moved(layer: LayerProfile, precision: str) -> float:
    """Return the bytes of the row when its floating-point elements are stored as ``precision``.

    ``default``: as in the file.
    """
    if precision == "default" or layer.dtype not in FLOATING_DTYPES or layer.dtype not in _ARITHMETIC_OF:
        return float(layer.bytes_moved)
    change = ITEMSIZE_BYTES[_STORED[precision]] - ITEMSIZE_BYTES[layer.dtype]
    return layer.bytes_moved + layer.float_numel * change


def features(layers: Sequence[LayerProfile], *, precision: str, runtime: str, lacks: Sequence[str] = ()) -> Features:
    """Return arrays of ``layers``, which are executed rows.

    Raises NotCalibratedError for a precision that no law knows.
    """
    if precision not in PRECISIONS:
        raise NotCalibratedError(f"precision {precision!r} is not priced: choose one of {', '.join(PRECISIONS)}")
    names = [arithmetic_of(layer, precision, lacks) if layer.macs else "" for layer in layers]
    computes = [ARITHMETIC.index(name) if name in ARITHMETIC else -1 for name in names]
    families = [family(layer) for layer in layers]
    flat = [
        (row, c.batch, c.m, c.n, c.k, c.repeats)
        for row, layer in enumerate(layers)
        if computes[row] >= 0 and families[row] != "depthwise"
        for c in layer.contractions
    ]
    columns = np.array(flat, dtype=float).reshape(-1, 6).T
    return Features(
        bytes=np.array([bytes_moved(layer, precision) for layer in layers], dtype=float),
        elements=np.array([_elements(layer, name) for layer, name in zip(layers, families, strict=True)], dtype=float),
        turns=np.array([_turns(layer, runtime) for layer in layers], dtype=float),
        kernels=np.array([_kernels(layer, runtime) for layer in layers], dtype=float),
        flops=np.array([layer.flops for layer in layers], dtype=float),
        arithmetic=np.array(computes, dtype=np.intp),
        family=np.array([_FAMILY_POSITION[name] for name in families], dtype=np.intp),
        priced=np.array([not layer.macs or computes[i] >= 0 for i, layer in enumerate(layers)], dtype=bool),
        transposed=np.array([transposed(layer) for layer in layers], dtype=bool),
        row=columns[0].astype(np.intp),
        products=columns[1],
        m=columns[2],
        n=columns[3],
        k=columns[4],
        repeats=columns[5],
    )


def subset(rows: Features, kept: Flags) -> Features:
    """Return the rows that ``kept`` (n,) selects, with their contractions."""
    renumbered, own = np.cumsum(kept) - 1, kept[rows.row]
    per_row = {name: getattr(rows, name)[kept] for name in _PER_ROW}
    per_contraction = {name: getattr(rows, name)[own] for name in _PER_CONTRACTION}
    return Features(**per_row, **per_contraction, row=renumbered[rows.row[own]])


def stack(tables: Sequence[Features]) -> Features:
    """Concatenate the rows of ``tables``."""
    starts = np.cumsum([0, *(table.bytes.size for table in tables)])[:-1]
    joined = {
        name: np.concatenate([getattr(table, name) for table in tables]) for name in (*_PER_ROW, *_PER_CONTRACTION)
    }
    return Features(
        **joined, row=np.concatenate([table.row + start for table, start in zip(tables, starts, strict=True)])
    )


_PER_ROW = ("bytes", "elements", "turns", "kernels", "flops", "arithmetic", "family", "priced", "transposed")
_PER_CONTRACTION = ("products", "m", "n", "k", "repeats")


def transposed(layer: LayerProfile) -> bool:
    """Decide whether a product with weights reads them transposed.

    All do except those that a file shows as (k, n) of two matrices, such as GPT-2's ``Conv1D``: for three axes a file
    holds the transpose of what a ``Linear`` layer stores, and square weights do not tell.
    """
    if layer.op_type != "Gemm":
        return False
    if len(layer.contractions) != 1 or len(layer.input_shapes) < 2:
        return True
    shape, product = layer.input_shapes[1], layer.contractions[0]
    return len(layer.input_shapes[0]) != 2 or product.k == product.n or tuple(shape) != (product.k, product.n)


def long_softmax(layer: LayerProfile) -> bool:
    """Decide whether the row is a softmax over the last axis whose rows do not fit in registers."""
    return "Softmax" in layer.op_type and bool(layer.input_shapes) and layer.input_shapes[0][-1:] > (LONGEST_ROW,)


def _elements(layer: LayerProfile, family: str) -> float:
    """Return the elements that set the cost of an elementwise row.

    These are the elements written, or half of those read where a reduction reads more (two operands one at a time). A
    softmax over long rows counts twice.
    """
    if layer.macs:
        return float(layer.macs) if family == "depthwise" else 0.0
    own = max(float(layer.output_numel), layer.input_numel / 2)
    return 2 * own if family == "softmax" and long_softmax(layer) else own


def _turns(layer: LayerProfile, runtime: str) -> float:
    """Return the loads in turn of an interpolation by torch.

    Its kernels have a thread for each position of the output, which goes through all images and channels (torch,
    aten/src/ATen/native/cuda/UpSampleBilinear2d.cu and UpSampleBicubic2d.cu, ``…_out_frame``).
    """
    if layer.taps <= 1 or not runtime.startswith("torch") or not layer.output_shapes:
        return 0.0
    return layer.output_numel / max(math.prod(layer.output_shapes[0][2:]), 1)


def _kernels(layer: LayerProfile, runtime: str) -> int:
    """Return the launches of an executed row.

    A CUDA graph replays the eager launches; a row that does not say has one for each repeat.
    """
    own = layer.kernels.get(runtime, layer.kernels.get("torch-eager") if runtime == "torch-cudagraph" else None)
    return layer.repeats if own is None else own
