"""Made-up networks whose joules follow a form that the tests know."""

from __future__ import annotations

import numpy as np

from joulecast.energy.features import Array
from joulecast.layers import Contraction, LayerProfile
from joulecast_calibration.evaluate.systems.features import KINDS, SIZES, NetworkFeatures, features_of, joined
from joulecast_calibration.rows.networks import ForecastRow, Truth


def network(
    name: str, layers: list[LayerProfile], *, batch: int = 1, precision: str = "bf16", clock: float | None = 900.0
) -> NetworkFeatures:
    row = ForecastRow(
        architecture=name,
        config="",
        precision=precision,
        batch_size=batch,
        sequence=None,
        mode="",
        attention="",
        clock_mhz=clock,
    )
    return features_of(row, layers, "default")


def layer(op_type: str, *, macs: int = 0, elements: int = 1000, params: int = 0) -> LayerProfile:
    return LayerProfile(
        name=op_type,
        op_type=op_type,
        kind="counted" if macs else "zero",
        dtype="bfloat16",
        macs=macs,
        params=params,
        weight_numel=params,
        activations=elements if macs else 0,
        input_numel=elements,
        output_numel=elements,
        float_numel=2 * elements + params,
        bytes_moved=2 * (2 * elements + params),
        contractions=(Contraction(batch=1, m=1, n=1, k=macs),) if macs else (),
    )


OPERATORS = ("Conv", "Gemm", "LayerNormalization", "Relu", "Softmax", "MaxPool", "Add")


def drawn(
    count: int = 60, *, clocks: tuple[float, ...] = (900.0,), precisions: tuple[str, ...] = ("bf16",)
) -> NetworkFeatures:
    """Networks of random layers, each at every clock and precision."""
    random = np.random.default_rng(0)
    found = []
    for number in range(count):
        layers = [layer("Gemm", macs=10**6, params=10**3)]  # none is without work
        layers += [_drawn_layer(random) for _ in range(random.integers(4, 30))]
        batch = int(random.choice([1, 4, 16]))
        found += [
            network(f"net{number}", layers, batch=batch, precision=precision, clock=clock)
            for clock in clocks
            for precision in precisions
        ]
    return joined(found)


def _drawn_layer(random: np.random.Generator) -> LayerProfile:
    op_type = str(random.choice(OPERATORS))
    elements, params = (int(size) for size in 10 ** random.uniform(3, 6, size=2))
    weighted = op_type in ("Conv", "Gemm")
    macs = int(10 ** random.uniform(6, 9)) if weighted else 0
    return layer(op_type, macs=macs, elements=elements, params=params if weighted else 0)


def truth(joules: Array, seconds: Array | None = None) -> Truth:
    return Truth(joules=joules, seconds=joules / 150 if seconds is None else seconds)


def by_kind(networks: NetworkFeatures, name: str, kind: str) -> Array:
    """Sum of a size over the layers of a kind, of each network."""
    return networks.sums[:, KINDS.index(kind), SIZES.index(name)]


def layers_of_kind(networks: NetworkFeatures, kind: str) -> Array:
    return networks.counts[:, KINDS.index(kind)]
