"""Compute the features of a network that the published systems use: its layers' sizes, summed by layer type."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from joulecast.energy.features import Array, Index, bytes_moved, executed, family
from joulecast.layers import LayerProfile
from joulecast_calibration.rows.networks import ForecastRow, layers_of

KINDS = (
    "convolution", "linear", "attention", "recurrent", "normalisation", "rectifier", "squashing", "pooling", "other",
)  # fmt: skip
"""Layer types: as many as whole networks can tell apart. ``attention``: products of two activations; ``rectifier``:
element by element with one smooth or sharp bend (ReLU, GELU, SiLU); ``squashing``: Softmax, Sigmoid, Tanh."""

SIZES = ("macs", "activations", "params", "input", "bytes")
"""Sizes of a layer; ``activations``: elements of its outputs, whether it carries MACs or not."""

_RECTIFIERS = frozenset({"Relu", "LeakyRelu", "PRelu", "Gelu", "Swish", "Elu", "Selu", "Mish", "HardSwish", "Clip"})
_SQUASHING = frozenset({"Softmax", "LogSoftmax", "Sigmoid", "HardSigmoid", "Tanh"})
_KIND_OF_FAMILY = {"depthwise": "convolution", "broadcast": "other"}
_POOLING = frozenset({"MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "LpPool"})


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkFeatures:
    """Features of one forward pass. A measured layer is a network of one layer.

    - ``counts``: number of layers of each kind, (kinds,).
    - ``sums``: of each size over those layers, (kinds, sizes).
    - ``products``: of each pair of sizes of one layer, summed likewise, (kinds, sizes, sizes).
    - ``activations``: output elements of layers with MACs.
    - ``params``: trainable elements, a shared tensor counted once.
    """

    row: ForecastRow
    counts: Array
    sums: Array
    products: Array
    activations: float
    params: float

    @property
    def batch_size(self) -> int:
        return self.row.batch_size

    def total(self, size: str) -> float:
        """Return the sum of ``size``, one of ``SIZES``, over all layers."""
        return float(self.sums[:, SIZES.index(size)].sum())


def counts_of(rows: Sequence[NetworkFeatures]) -> Array:
    """Return the layer counts of ``rows``, (rows, kinds)."""
    return np.array([row.counts for row in rows])


def sums_of(rows: Sequence[NetworkFeatures]) -> Array:
    """Return the sums of ``rows``, (rows, kinds, sizes)."""
    return np.array([row.sums for row in rows])


def products_of(rows: Sequence[NetworkFeatures]) -> Array:
    """Return the products of ``rows``, (rows, kinds, sizes, sizes)."""
    return np.array([row.products for row in rows])


def network_features(rows: Sequence[ForecastRow]) -> tuple[NetworkFeatures, ...]:
    """Compute the features of ``rows`` from what a ``ForecastRow`` holds, and from nothing else."""
    return tuple(replace(_of(replace(row, clock_mhz=None)), row=row) for row in rows)


@cache
def _of(row: ForecastRow) -> NetworkFeatures:
    layers, precision = layers_of(row)
    return features_of(row, executed(layers), precision)


def features_of(row: ForecastRow, layers: Sequence[LayerProfile], precision: str) -> NetworkFeatures:
    """Compute the features of executed ``layers``, priced in ``precision``."""
    kinds, sizes = kinds_of(layers), sizes_of(layers, precision)
    belongs = (kinds[None, :] == np.arange(len(KINDS))[:, None]).astype(float)
    return NetworkFeatures(
        row=row,
        counts=belongs @ np.array([layer.repeats for layer in layers], dtype=float),
        sums=belongs @ sizes,
        products=np.einsum("tl,li,lj->tij", belongs, sizes, sizes),
        activations=float(sum(layer.activations for layer in layers)),
        params=float(sum(layer.params for layer in layers)),
    )


def kinds_of(layers: Sequence[LayerProfile]) -> Index:
    """Return the position of each layer's kind in ``KINDS``, (layers,)."""
    return np.array([KINDS.index(kind_of(layer)) for layer in layers], dtype=np.intp)


def sizes_of(layers: Sequence[LayerProfile], precision: str) -> Array:
    """Return the ``SIZES`` of each layer, (layers, sizes)."""
    return np.array([_sizes(layer, precision) for layer in layers], dtype=float).reshape(-1, len(SIZES))


def kind_of(layer: LayerProfile) -> str:
    """Return which of ``KINDS`` a layer is, by its operator and whether it has weights."""
    if layer.op_type in _RECTIFIERS:
        return "rectifier"
    if layer.op_type in _SQUASHING:
        return "squashing"
    if layer.op_type in _POOLING:
        return "pooling"
    if "Norm" in layer.op_type:
        return "normalisation"
    found = family(layer)
    if found == "matmul":
        return "linear" if layer.weight_numel else "attention"
    return _KIND_OF_FAMILY.get(found, found)


def _sizes(layer: LayerProfile, precision: str) -> tuple[float, ...]:
    return (
        layer.macs,
        layer.output_numel,
        layer.params,
        layer.input_numel,
        bytes_moved(layer, precision),
    )
