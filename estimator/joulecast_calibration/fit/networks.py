"""Fit the law on whole networks that others measured: energies and times, with priors on every coefficient."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares

from joulecast.energy.features import Array, Index
from joulecast.energy.physical import LOWEST_CLOCK, Chip, Composed
from joulecast.energy.profile import Host, Law
from joulecast_calibration.fit.coefficients import Laws
from joulecast_calibration.fit.crossvalidation import Forecast, Refits
from joulecast_calibration.fit.table import Table

TIME_WEIGHT = 0.5
"""Weight of a second's residual relative to a joule's, since joules are what is forecast."""
PRIOR_WEIGHT = 0.1
"""A prior's residual of one standard deviation weighs as a log residual of a tenth on a row of average weight."""
_ROBUST = 0.1  # log residuals beyond it count linearly, so that one odd network does not bend the law


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """A fitted law and its host."""

    law: Law
    host: Host


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Everything that a fit on one card needs."""

    laws: Laws
    chip: Chip
    boost_clock_mhz: float


def fit_networks(problem: Problem, table: Table) -> Fitted:
    """Fit the coefficients to ``table`` by robust least squares of logarithms with priors.

    A row without seconds (nan) counts with its joules alone.
    """
    laws, weight = problem.laws, balanced([row.name for row in table.rows])
    clock = clock_shares(table, problem.boost_clock_mhz)
    joules, seconds = np.log(table.joules), np.log(table.seconds)

    def residuals(vector: Array) -> Array:
        law, host = laws.at(vector)
        forecast = table.compose(law, host, problem.chip, clock)
        return np.concatenate(
            [
                weight * robust(np.log(forecast.joules) - joules),
                TIME_WEIGHT * weight * np.nan_to_num(robust(np.log(forecast.seconds) - seconds)),
                (vector - laws.centre) / laws.spread * PRIOR_WEIGHT,
            ]
        )

    found = least_squares(
        residuals,
        laws.start,
        bounds=(-np.inf, laws.highest),
        method="trf",
        x_scale=laws.spread,
        max_nfev=40,
        ftol=1e-5,
        xtol=1e-5,
    )
    law, host = laws.at(found.x)
    return Fitted(law=law, host=host)


def forecast_networks(problem: Problem, fitted: Fitted, table: Table) -> Composed:
    """Forecast every network at its locked clock, under the power limit."""
    return table.compose(fitted.law, fitted.host, problem.chip, clock_shares(table, problem.boost_clock_mhz))


def refits(problem: Problem, table: Table) -> Refits:
    """Prepare fits of the law on some rows of ``table``, which forecast joules."""

    def fit(kept: Index) -> Forecast:
        fitted = fit_networks(problem, table.take(table.flags(kept)))
        return lambda asked: forecast_networks(problem, fitted, table.take(table.flags(asked))).joules

    return Refits(fit)


def clock_shares(table: Table, boost_clock_mhz: float) -> Array:
    """Return clock over boost of each network, (networks,): 1 where the clock is not locked."""
    return np.clip(np.nan_to_num(table.clock_mhz, nan=boost_clock_mhz) / boost_clock_mhz, LOWEST_CLOCK, None)


def balanced(names: Sequence[str]) -> Array:
    """Return weights whose squares lie half way between one per row and one per architecture, with mean square 1.

    ``names``: architecture of each row.
    """
    counts = Counter(names)
    weight = np.array([counts[name] ** -0.25 for name in names])
    scaled: Array = weight / np.sqrt(np.mean(weight**2))
    return scaled


def robust(residual: Array) -> Array:
    """Return the signed square root of the soft-l1 loss 2·s²·(√(1 + (r/s)²) − 1), s = 0.1."""
    found: Array = np.sign(residual) * _ROBUST * np.sqrt(2 * (np.hypot(1, residual / _ROBUST) - 1))
    return found


def robust_slope(residual: Array) -> Array:
    """Return the derivative of ``robust``, which is 1 at 0."""
    scaled = np.maximum(np.abs(residual) / _ROBUST, 1e-4)  # below it the quotient of two roundings
    root = np.hypot(1, scaled)
    slope: Array = scaled / root / np.sqrt(2 * (root - 1))
    return slope
