"""Fit ``getzner``: per layer type linear in MACs or a polynomial of degree 2, layers summed (Getzner et al. 2023)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from joulecast.energy.features import Array
from joulecast_calibration.evaluate.systems.features import (
    KINDS,
    SIZES,
    NetworkFeatures,
    counts_of,
    products_of,
    sums_of,
)
from joulecast_calibration.evaluate.systems.least_squares import nonnegative
from joulecast_calibration.rows.networks import Truth

_IN_MACS = [KINDS.index(name) for name in ("convolution", "linear", "attention", "recurrent")]
_IN_ELEMENTS = [KINDS.index("rectifier")]
_POLYNOMIAL = [KINDS.index(name) for name in ("squashing", "pooling", "normalisation", "other")]
_MACS, _ELEMENTS = SIZES.index("macs"), SIZES.index("input")


@dataclass(frozen=True, slots=True, kw_only=True)
class Getzner:
    """The fitted polynomial.

    - ``coefficients``: of each term of each layer type.
    """

    coefficients: Array

    def predict(self, rows: Sequence[NetworkFeatures]) -> Array:
        found: Array = _columns(rows) @ self.coefficients
        return found


def fit(rows: Sequence[NetworkFeatures], truth: Truth, weight: Array) -> Getzner:
    """Fit all layer types at once, on terms summed by type."""
    return Getzner(coefficients=nonnegative(_columns(rows), truth.joules, weight))


def _columns(rows: Sequence[NetworkFeatures]) -> Array:
    sums = sums_of(rows)
    return np.concatenate(
        [
            counts_of(rows),
            sums[:, _IN_MACS, _MACS],
            sums[:, _IN_ELEMENTS + _POLYNOMIAL, _ELEMENTS],
            products_of(rows)[:, _POLYNOMIAL, _ELEMENTS, _ELEMENTS],
        ],
        axis=1,
    )
