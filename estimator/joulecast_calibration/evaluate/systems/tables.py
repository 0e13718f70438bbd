"""Convert the layers and networks of a table to the features of the published systems."""

from __future__ import annotations

import numpy as np

from joulecast.energy.features import Array
from joulecast.layers import LayerProfile
from joulecast_calibration import suite
from joulecast_calibration.evaluate.systems.features import KINDS, NetworkFeatures, kinds_of
from joulecast_calibration.fit.across.sets import network_row
from joulecast_calibration.fit.table import Table


def measured_features(table: Table) -> NetworkFeatures:
    """Compute the features of every row of ``table`` from its graph alone; a layer is a network of one layer."""
    cells = table.networks.index * len(KINDS) + kinds_of(table.layers.tolist())[table.which]

    def summed(values: Array) -> Array:
        """Sum values of the different layers, (layers,), over each network's layers of each kind, (size, kinds)."""
        weights = values[table.which] * table.networks.count
        sums: Array = np.bincount(cells, weights=weights, minlength=table.size * len(KINDS)).astype(float)
        return sums.reshape(table.size, len(KINDS))

    columns = _sizes(table).T
    layers = table.layers[table.which]
    first = np.searchsorted(table.networks.index, np.arange(table.size))
    batches = [row.batch_size or _first_size(layers[first[place]]) for place, row in enumerate(table.rows)]
    weights = table.networks.sum(np.array([layer.weight_numel for layer in layers])).tolist()
    known = {entry.name: entry.params for entry in suite.committed().architectures}
    params = [known.get(row.name, own) if row.is_network else own for row, own in zip(table.rows, weights, strict=True)]
    return NetworkFeatures(
        rows=tuple(network_row(row, batch) for row, batch in zip(table.rows, batches, strict=True)),
        counts=summed(np.array([layer.repeats for layer in table.layers], dtype=float)),
        sums=np.stack([summed(column) for column in columns], axis=-1),
        products=np.stack([np.stack([summed(one * other) for other in columns], axis=-1) for one in columns], axis=-2),
        activations=table.networks.sum(np.array([layer.output_numel if layer.macs else 0 for layer in layers])),
        params=np.array(params, dtype=float),
    )


def _sizes(table: Table) -> Array:
    """Return the ``SIZES`` of each different layer, (layers, sizes).

    The layer's weights stand for its parameters, because a file of a network's contents does not hold parameters.
    """
    found = [(x.macs, x.output_numel, x.weight_numel, x.input_numel) for x in table.layers]
    return np.column_stack([np.array(found, dtype=float), table.features.bytes])


def _first_size(layer: LayerProfile) -> int:
    """Return the first dimension of what a layer reads, which is its batch size by convention."""
    shapes = [shape for shape in layer.input_shapes if shape]
    return int(shapes[0][0]) if shapes else 1
