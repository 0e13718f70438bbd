"""Convert the layers and networks of a table to the features of the published systems."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from joulecast.energy.features import Array, Index
from joulecast.layers import LayerProfile
from joulecast_calibration import suite
from joulecast_calibration.evaluate.systems.features import KINDS, SIZES, NetworkFeatures, kinds_of
from joulecast_calibration.fit.table import Measured, Table
from joulecast_calibration.rows.networks import ForecastRow


def network_row(row: Measured, batch_size: int) -> ForecastRow:
    """Return what a forecast may know of a row; a layer's op type stands for its architecture."""
    return ForecastRow(
        architecture=row.name if row.is_network else row.op_type,
        config="" if row.audio_seconds is None else f"{row.audio_seconds:g} s",
        precision=row.precision,
        batch_size=batch_size,
        sequence=row.sequence_length,
        mode=row.runtime,
        attention="",
        clock_mhz=None,
    )


def measured_features(table: Table) -> tuple[NetworkFeatures, ...]:
    """Compute the features of every row of ``table`` from its graph alone; a layer is a network of one layer."""
    sums = _Sums(table)
    counts, sizes, products = sums.counts(), sums.sizes(), sums.products()
    layers = table.layers[table.which]
    first = np.searchsorted(table.networks.index, np.arange(table.size))
    activations = table.networks.sum(np.array([layer.output_numel if layer.macs else 0 for layer in layers]))
    weights = table.networks.sum(np.array([layer.weight_numel for layer in layers]))
    return tuple(
        NetworkFeatures(
            row=network_row(row, row.batch_size or _first_size(layers[first[position]])),
            counts=counts[position],
            sums=sizes[position],
            products=products[position],
            activations=float(activations[position]),
            params=float(_params().get(row.name, weights[position]) if row.is_network else weights[position]),
        )
        for position, row in enumerate(table.rows)
    )


@dataclass(frozen=True, slots=True)
class _Sums:
    """Sums over the layers of each kind, (size, kinds, …)."""

    table: Table

    def counts(self) -> Array:
        return self._of(np.array([layer.repeats for layer in self.table.layers], dtype=float))

    def sizes(self) -> Array:
        return np.stack([self._of(column) for column in self._columns().T], axis=-1)

    def products(self) -> Array:
        columns = self._columns()
        rows = [[self._of(one * other) for other in columns.T] for one in columns.T]
        return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)

    def _columns(self) -> Array:
        """Return the ``SIZES`` of each different layer.

        The layer's weights stand for its parameters, because a file of a network's contents does not hold parameters.
        """
        found = [(x.macs, x.output_numel, x.weight_numel, x.input_numel) for x in self.table.layers]
        columns = np.column_stack([np.array(found, dtype=float), self.table.features.bytes])
        if columns.shape[1] != len(SIZES):
            raise ValueError(f"a layer has the sizes {', '.join(SIZES)}")
        return columns

    def _of(self, values: Array) -> Array:
        """Sum values of (layers,) to (size, kinds)."""
        table = self.table
        place = table.networks.index * len(KINDS) + self._kinds()[table.which]
        weights = values[table.which] * table.networks.count
        sums: Array = np.bincount(place, weights=weights, minlength=table.size * len(KINDS)).astype(float)
        return sums.reshape(table.size, len(KINDS))

    def _kinds(self) -> Index:
        return kinds_of(self.table.layers.tolist())


def _first_size(layer: LayerProfile) -> int:
    """Return the first dimension of what a layer reads, which is its batch size by convention."""
    shapes = [shape for shape in layer.input_shapes if shape]
    return int(shapes[0][0]) if shapes else 1


@cache
def _params() -> dict[str, int]:
    return {entry.name: entry.params for entry in suite.committed().architectures}
