"""Scale joules and seconds with the clock, for forms without a term for it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from joulecast.energy.features import Array, Index
from joulecast_calibration.evaluate.systems.features import NetworkFeatures
from joulecast_calibration.evaluate.systems.least_squares import ordinary


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockFactor:
    """The factor exp(b₁·l + b₂·l²), l = log(clock / ``reference_mhz``); an unlocked clock is ``highest_mhz``."""

    reference_mhz: float
    highest_mhz: float
    coefficients: Array

    def at(self, networks: NetworkFeatures) -> Array:
        """Return the factor of each network, (networks,)."""
        found: Array = np.exp(self.terms(networks) @ self.coefficients)
        return found

    def terms(self, networks: NetworkFeatures) -> Array:
        clocks = [self.highest_mhz if row.clock_mhz is None else row.clock_mhz for row in networks.rows]
        logarithm = np.log(np.array(clocks) / self.reference_mhz)
        return np.column_stack([logarithm, logarithm**2])


def fit_clock(networks: NetworkFeatures, values: Array) -> ClockFactor:
    """Fit the factor on rows that differ in the clock alone.

    Within such a group the network's own cost cancels. Without such groups the factor is 1.
    """
    clocks = [row.clock_mhz for row in networks.rows if row.clock_mhz is not None] or [1.0]
    factor = ClockFactor(reference_mhz=float(np.median(clocks)), highest_mhz=max(clocks), coefficients=np.zeros(2))
    if len(set(clocks)) < 2:
        return factor
    _, group = np.unique([repr(replace(row, clock_mhz=None)) for row in networks.rows], return_inverse=True)
    known = np.isfinite(values)
    table = np.column_stack([factor.terms(networks)[known], np.log(values[known])])
    within = _within(table, group[known])
    return replace(factor, coefficients=ordinary(within[:, :-1], within[:, -1]))


def _within(values: Array, group: Index) -> Array:
    """Subtract their group's mean from ``values`` (rows, columns)."""
    counts = np.maximum(np.bincount(group), 1)
    means = np.column_stack([np.bincount(group, column) / counts for column in values.T])
    found: Array = values - means[group]
    return found
