"""Fit ``mac-linear``: y = a·MACs + b (after Desislavov, Martínez-Plumed & Hernández-Orallo 2023)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from joulecast.energy.features import Array
from joulecast_calibration.evaluate.systems.features import SIZES, NetworkFeatures, sums_of
from joulecast_calibration.evaluate.systems.least_squares import nonnegative
from joulecast_calibration.rows.networks import Truth


@dataclass(frozen=True, slots=True, kw_only=True)
class MacLinear:
    """The fitted line.

    - ``coefficients``: a in J, b in J.
    """

    coefficients: Array

    def predict(self, rows: Sequence[NetworkFeatures]) -> Array:
        found: Array = _columns(rows) @ self.coefficients
        return found


def fit(rows: Sequence[NetworkFeatures], truth: Truth, weight: Array) -> MacLinear:
    """Fit a and b ≥ 0 by least squares of relative errors."""
    return MacLinear(coefficients=nonnegative(_columns(rows), truth.joules, weight))


def _columns(rows: Sequence[NetworkFeatures]) -> Array:
    macs = sums_of(rows)[:, :, SIZES.index("macs")].sum(axis=1)
    return np.column_stack([macs, np.ones(len(rows))])
