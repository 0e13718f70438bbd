"""Fit ``hidden-joules``: y = e^c · MACs^A · activations^B · params^C (Yang & Armour 2025)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from joulecast.energy.features import Array
from joulecast_calibration.evaluate.systems.features import SIZES, NetworkFeatures, sums_of
from joulecast_calibration.evaluate.systems.least_squares import ordinary
from joulecast_calibration.rows.networks import Truth


@dataclass(frozen=True, slots=True, kw_only=True)
class HiddenJoules:
    """The fitted power law.

    - ``coefficients``: c, A, B, C.
    """

    coefficients: Array

    def predict(self, rows: Sequence[NetworkFeatures]) -> Array:
        found: Array = np.exp(_columns(rows) @ self.coefficients)
        return found


def fit(rows: Sequence[NetworkFeatures], truth: Truth, weight: Array) -> HiddenJoules:
    """Fit logarithms by ordinary least squares; where rows do not determine the exponents, take the smallest ones."""
    return HiddenJoules(
        coefficients=ordinary(_columns(rows) * weight[:, None], np.log(truth.joules) * weight),
    )


def _columns(rows: Sequence[NetworkFeatures]) -> Array:
    macs = sums_of(rows)[:, :, SIZES.index("macs")].sum(axis=1)
    sizes = np.column_stack([macs, np.array([(row.activations, row.params) for row in rows])])
    return np.column_stack([np.ones(len(rows)), np.log(np.maximum(sizes, 1.0))])
