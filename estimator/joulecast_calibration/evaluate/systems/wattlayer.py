"""Fit ``wattlayer``: one regression per layer type, layers summed (after Sardi et al. 2026).

Its features are MACs, activations, parameters, input size and batch size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from joulecast.energy.features import Array
from joulecast_calibration.evaluate.systems.features import SIZES, NetworkFeatures, counts_of, sums_of
from joulecast_calibration.evaluate.systems.least_squares import nonnegative
from joulecast_calibration.rows.networks import Truth

_FEATURES = [SIZES.index(name) for name in ("macs", "activations", "params", "input")]


@dataclass(frozen=True, slots=True, kw_only=True)
class WattLayer:
    """The fitted regressions.

    - ``coefficients``: of every feature of every layer type, one type after the other.
    """

    coefficients: Array

    def predict(self, rows: Sequence[NetworkFeatures]) -> Array:
        found: Array = _columns(rows) @ self.coefficients
        return found


def fit(rows: Sequence[NetworkFeatures], truth: Truth, weight: Array) -> WattLayer:
    """Fit all layer types at once on features summed by type, as the sum of linear regressions is one regression."""
    return WattLayer(coefficients=nonnegative(_columns(rows), truth.joules, weight))


def _columns(rows: Sequence[NetworkFeatures]) -> Array:
    counts, batches = counts_of(rows)[:, :, None], np.array([row.batch_size for row in rows])[:, None, None]
    return np.concatenate([sums_of(rows)[:, :, _FEATURES], counts * batches, counts], axis=2).reshape(len(rows), -1)
