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
    """Features of n forward passes. A measured layer is a network of one layer.

    - ``rows``: (n,) what else a system may know of each.
    - ``counts``: number of layers of each kind, (n, kinds).
    - ``sums``: of each size over those layers, (n, kinds, sizes).
    - ``products``: of each pair of sizes of one layer, summed likewise, (n, kinds, sizes, sizes).
    - ``activations``: (n,) output elements of layers with MACs.
    - ``params``: (n,) trainable elements, a shared tensor counted once.
    """

    rows: tuple[ForecastRow, ...]
    counts: Array
    sums: Array
    products: Array
    activations: Array
    params: Array

    @property
    def size(self) -> int:
        return len(self.rows)

    @property
    def architectures(self) -> Array:
        return np.array([row.architecture for row in self.rows])

    @property
    def precisions(self) -> Array:
        return np.array([row.precision for row in self.rows])

    @property
    def batch_sizes(self) -> Array:
        return np.array([row.batch_size for row in self.rows])

    def total(self, size: str) -> Array:
        """Return the sum of ``size``, one of ``SIZES``, over all layers, (n,)."""
        found: Array = self.sums[:, :, SIZES.index(size)].sum(axis=1)
        return found

    def take(self, kept: Index) -> NetworkFeatures:
        """Return the features of the networks at the positions ``kept``."""
        rows = tuple(self.rows[position] for position in kept.tolist())
        return NetworkFeatures(rows=rows, **{name: getattr(self, name)[kept] for name in _COLUMNS})


_COLUMNS = ("counts", "sums", "products", "activations", "params")


def joined(parts: Sequence[NetworkFeatures]) -> NetworkFeatures:
    """Return the features of all networks of ``parts``, in their order."""
    columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in _COLUMNS}
    return NetworkFeatures(rows=tuple(row for part in parts for row in part.rows), **columns)


def network_features(rows: Sequence[ForecastRow]) -> NetworkFeatures:
    """Compute the features of ``rows`` from what a ``ForecastRow`` holds, and from nothing else."""
    return replace(joined([_of(replace(row, clock_mhz=None)) for row in rows]), rows=tuple(rows))


@cache
def _of(row: ForecastRow) -> NetworkFeatures:
    layers, precision = layers_of(row)
    return features_of(row, executed(layers), precision)


def features_of(row: ForecastRow, layers: Sequence[LayerProfile], precision: str) -> NetworkFeatures:
    """Compute the features of one network from its executed ``layers``, priced in ``precision``."""
    kinds, sizes = kinds_of(layers), np.array([_sizes(layer, precision) for layer in layers], dtype=float)
    belongs = (kinds[None, :] == np.arange(len(KINDS))[:, None]).astype(float)
    return NetworkFeatures(
        rows=(row,),
        counts=(belongs @ np.array([layer.repeats for layer in layers], dtype=float))[None],
        sums=(belongs @ sizes)[None],
        products=np.einsum("tl,li,lj->tij", belongs, sizes, sizes)[None],
        activations=np.array([float(sum(layer.activations for layer in layers))]),
        params=np.array([float(sum(layer.params for layer in layers))]),
    )


def kinds_of(layers: Sequence[LayerProfile]) -> Index:
    """Return the position of each layer's kind in ``KINDS``, (layers,)."""
    return np.array([KINDS.index(kind_of(layer)) for layer in layers], dtype=np.intp)


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
    if found in ("matmul", "batched"):
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
