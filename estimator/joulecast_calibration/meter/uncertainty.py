"""Estimate the error and the drift of a mean of few successive readings."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

_LARGEST_CORRELATION = 0.9  # beyond, the readings are hardly more than one; an error 4.4 times the naive one says so


def correlation(values: Sequence[float]) -> float:
    """Return the lag-1 autocorrelation, corrected for the bias of −(1 + 4 ρ)/n of short series.

    After Marriott and Pope (1954). It is never below 0: a negative correlation of neighbours is not relied on.
    """
    series = np.asarray(values, dtype=float)
    deviations = series - series.mean()
    spread = float(deviations @ deviations)
    if len(series) < 3 or spread <= 0.0:
        return 0.0
    found = float(deviations[1:] @ deviations[:-1]) / spread
    corrected = (found * len(series) + 1.0) / (len(series) - 4.0) if len(series) > 8 else found + 1.0 / len(series)
    return min(max(corrected, 0.0), _LARGEST_CORRELATION)


def scatter(values: Sequence[float]) -> float:
    """Return the standard deviation of successive readings; infinite for fewer than two."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else math.inf


def scatter_of_neighbours(values: Sequence[float]) -> float:
    """Return the standard deviation of readings of a value that changes on purpose.

    Only what differs between neighbours is scatter: s² = Σ(vᵢ₊₁ − vᵢ)²/2(n − 1) (von Neumann 1941).
    """
    if len(values) < 2:
        return math.inf
    steps = np.diff(np.asarray(values, dtype=float))
    return math.sqrt(float(steps @ steps) / 2.0 / len(steps))


def error_of_mean(scatter: float, count: int, *, correlation: float = 0.0, explained: float = 0.0) -> float:
    """Return the standard error of the mean of ``count`` correlated readings: s/√n · √((1 + ρ)/(1 − ρ)).

    ``explained``: the part of s, as a standard deviation, that comes from the uncertain moments of the edges between
    them; what one reading gains by it the next one loses, so it does not add up. At most three quarters of s² are
    removed.
    """
    if math.isinf(scatter):
        return math.inf
    left = max(scatter**2 - explained**2, scatter**2 / 4.0)
    return math.sqrt(left * (1.0 + correlation) / (1.0 - correlation) / count)


def largest_gap(phases: Sequence[float]) -> float:
    """Return the largest part of a circle of circumference 1 that holds none of the phases (each in [0, 1)).

    The result is 1 without phases.
    """
    if not len(phases):
        return 1.0
    ordered = np.sort(np.asarray(phases, dtype=float))
    return float(np.max(np.diff(ordered, append=ordered[0] + 1.0)))


def drift(seconds: Sequence[float], values: Sequence[float]) -> tuple[float, float]:
    """Return by how much a straight line through the values rises from the first to the last, and its standard error.

    Both have the values' unit; (0, infinite) for fewer than three values.
    """
    if len(values) < 3:
        return 0.0, math.inf
    times = np.asarray(seconds, dtype=float) - np.mean(seconds)
    series = np.asarray(values, dtype=float)
    weight = float(times @ times)
    slope = float(times @ series) / weight
    residuals = series - series.mean() - slope * times
    slope_error = math.sqrt(float(residuals @ residuals) / (len(series) - 2) / weight)
    span = float(times[-1] - times[0])
    return slope * span, slope_error * span
