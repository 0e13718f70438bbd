"""The law fitted on whole networks: energies and times of measured forward passes, with priors on every coefficient."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares

from joulecast.energy.features import Array
from joulecast.energy.physical import LOWEST_CLOCK, Chip, Composed, compose, host_seconds
from joulecast.energy.profile import Host, Law
from joulecast_calibration.fit.coefficients import Laws
from joulecast_calibration.rows.networks import NetworkRow, Stacked, Truth

TIME_WEIGHT = 0.5
"""A second's residual beside a joule's: time steers the fit, joules decide it."""
_ROBUST = 0.1  # log residuals beyond it count linearly, so that one odd network does not bend the law


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """A law and its host, as found."""

    law: Law
    host: Host


def fit_networks(
    laws: Laws, chip: Chip, boost_clock_mhz: float, rows: Sequence[NetworkRow], table: Stacked, truth: Truth
) -> Fitted:
    """The coefficients whose forecasts come nearest to ``truth``, in robust least squares of logarithms, priors
    included.

    A row without seconds (nan) counts with its joules alone.
    """
    weight = _balanced(rows)
    clock = clock_shares(table, boost_clock_mhz)
    joules, seconds = np.log(truth.joules), np.log(truth.seconds)

    def residuals(vector: Array) -> Array:
        law, host = laws.at(vector)
        forecast = forecast_networks(law, host, chip, table, clock)
        return np.concatenate(
            [
                weight * _robust(np.log(forecast.joules) - joules),
                TIME_WEIGHT * weight * np.nan_to_num(_robust(np.log(forecast.seconds) - seconds)),
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


PRIOR_WEIGHT = 0.1
"""A prior's residual of one standard deviation weighs as a log residual of a tenth on a row of average weight."""


def forecast_networks(law: Law, host: Host, chip: Chip, table: Stacked, clock: Array) -> Composed:
    """Every network at its clock share ``clock`` (networks,)."""
    waits = host_seconds(table.table, host, table.networks, views=table.views, modules=table.modules)
    return compose(table.table, law, chip, table.networks, clock, waits)


def clock_shares(table: Stacked, boost_clock_mhz: float) -> Array:
    """Clock over boost of each network, (networks,): 1 where none is locked."""
    return np.clip(np.nan_to_num(table.clock_mhz, nan=boost_clock_mhz) / boost_clock_mhz, LOWEST_CLOCK, None)


def _balanced(rows: Sequence[NetworkRow]) -> Array:
    """Weights whose squares lie half way between one a row and one an architecture; their mean square is 1."""
    counts = Counter(row.architecture for row in rows)
    weight = np.array([counts[row.architecture] ** -0.25 for row in rows])
    scaled: Array = weight / np.sqrt(np.mean(weight**2))
    return scaled


def _robust(residual: Array) -> Array:
    """Signed square root of the soft-l1 loss 2·s²·(√(1 + (r/s)²) − 1), s = 0.1."""
    scaled = residual / _ROBUST
    robust: Array = np.sign(residual) * _ROBUST * np.sqrt(2 * (np.sqrt(1 + scaled**2) - 1))
    return robust
