"""Fit the law on measured layers and networks: robust least squares of logarithms, priors and random effects.

Every row is fitted at the clock that it was measured at, which the power limit may have lowered; forecasts start at
boost and determine the clock themselves.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares
from threadpoolctl import threadpool_limits

from joulecast.energy.features import Array, Flags, Index
from joulecast.energy.physical import (
    COMPUTE_FIELDS,
    Chip,
    Composed,
    chip_of,
    compute_seconds,
)
from joulecast.energy.profile import AcceleratorProfile, Law
from joulecast_calibration.fit.crossvalidation import Forecast, Refits
from joulecast_calibration.fit.networks import PRIOR_WEIGHT, TIME_WEIGHT, Fitted, robust, robust_slope
from joulecast_calibration.fit.prior import Prior
from joulecast_calibration.fit.table import Measured, Table

_EFFECT_SPREAD = 0.03
"""Spread of a card's and run's own joules: NVML's sensors differ by a few percent in gain (Yang, Adamek, Armour)."""
_NEAR = 0.7
"""Share of the rows of a solved fit from which on the solution of a part of them is sought in its neighbourhood: a
family is a hundredth of them, and the largest, with all its relatives, a quarter."""
_STEPS = 40  # evaluations of a search from the prior
_CHORDS = 2  # steps with the slopes of the solution of nearly the same rows
_FAR = 0.2  # change of a coefficient's logarithm beyond which they are no longer its slopes
_SETTLED = 1e-3  # change below which a further step gains nothing
_DIFFERENCE = 1e-6  # of a logarithm, between two evaluations of a derivative


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchResult:
    """The result of a search.

    - ``vector``: logarithms of the coefficients.
    - ``effects``: log joules of each continuous hold of a card beside the law's.
    - ``slopes``: of all rows at ``vector``, see ``_Fit.slopes``.
    """

    fitted: Fitted
    vector: Array
    effects: dict[str, float]
    slopes: Array


def search(prior: Prior, table: Table) -> SearchResult:
    """Search the coefficients nearest to the rows of ``table``."""
    fit, laws = _Fit(prior, table), prior.laws
    with threadpool_limits(limits=1):  # its matrices are tall and narrow: threads spend their time waiting
        found = least_squares(
            fit.residuals, laws.start, jac=fit.jacobian, bounds=(-np.inf, laws.highest), method="trf",
            x_scale=laws.spread, max_nfev=_STEPS, ftol=1e-5, xtol=1e-5,
        )  # fmt: skip
    law, host = laws.at(found.x)
    effects = dict(zip(fit.holds.names.tolist(), (-fit.effects(fit.logs(found.x)[0])).tolist(), strict=True))
    return SearchResult(
        fitted=Fitted(law=law, host=host), vector=found.x, effects=effects, slopes=fit.slopes(found.x)
    )  # fmt: skip


def search_near(prior: Prior, table: Table, start: Array, slopes: Array) -> Fitted:
    """Search from ``start``, which was found on mostly the same rows as ``table``, by Gauss-Newton steps.

    ``slopes``: of the rows of ``table`` at ``start``. Where the steps lead far away, one more is made with new slopes.
    """
    fit, laws = _Fit(prior, table), prior.laws
    vector = begin = np.minimum(start, laws.highest)
    with threadpool_limits(limits=1):
        for _ in range(_CHORDS):
            before, vector = vector, fit.step(vector, slopes)
            if np.abs(vector - before).max() < _SETTLED:
                break
        if np.abs(vector - begin).max() > _FAR:
            vector = fit.step(vector, fit.slopes(vector))
    law, host = laws.at(vector)
    return Fitted(law=law, host=host)


def forecast(prior: Prior, fitted: Fitted, table: Table) -> Composed:
    """Forecast every row as if it had not been measured: from boost, under the power limit."""
    return forecast_on(prior.chip, fitted, table)


def forecast_on(chip: Chip, fitted: Fitted, table: Table) -> Composed:
    """Forecast every row as ``forecast`` does, on any chip."""
    return table.compose(fitted.law, fitted.host, chip, np.ones(table.size))


def forecast_by(profile: AcceleratorProfile, table: Table) -> Array:
    """Return the joules of each row, (size,), as ``profile`` prices its graph."""
    fitted = Fitted(law=profile.law, host=profile.hosts["torch-eager"])
    return forecast_on(chip_of(profile), fitted, table).joules


def weights(rows: Sequence[Measured]) -> Array:
    """Return the weights of rows, (rows,), whose mean square is 1.

    A configuration that was measured several times counts as one; a family or op type counts half way between one and
    its number of rows; layers and networks count the same.
    """
    times = Counter(row.configuration for row in rows)
    names = [(row.is_network, row.families[0] if row.is_network else row.op_type) for row in rows]
    groups = Counter(names)
    square = np.array([groups[name] ** -0.5 / times[row.configuration] for name, row in zip(names, rows, strict=True)])
    networks = np.array([row.is_network for row in rows], dtype=bool)
    for kind in (networks, ~networks):
        if kind.any():
            square[kind] /= square[kind].sum()
    scaled: Array = np.sqrt(square / square.mean())
    return scaled


class _Fit:
    """The least-squares problem of a table: n log joules, n log seconds, and one prior per coefficient."""

    def __init__(self, prior: Prior, table: Table) -> None:
        self._prior, self._table, self._laws = prior, table, prior.laws
        self._clock = prior.clock_shares(table)
        self._truth = np.log(np.stack([table.joules, table.seconds]))
        weight = weights(table.rows)
        self._weight = np.stack([weight, TIME_WEIGHT * weight])
        self.holds = _Holds(table)
        self._last: tuple[Array, Array] | None = None
        self._computed: tuple[list[object], Array] | None = None
        self._moving = False  # about a point whose ``compute_seconds`` are kept

    def logs(self, vector: Array) -> Array:
        """Return log joules and log seconds of each row, (2, size)."""
        law, host = self._laws.at(vector)
        found = self._table.compose(law, host, self._prior.uncapped, self._clock, self._computing(law))
        return np.log(np.stack([found.joules, found.seconds]))

    def _computing(self, law: Law) -> Array:
        """Return ``compute_seconds`` of ``law``; most steps of a derivative leave them unchanged."""
        key = [getattr(law, name) for name in COMPUTE_FIELDS]
        if self._computed is None or self._computed[0] != key:
            found = compute_seconds(self._table.features, law, self._prior.chip)
            if self._moving:
                return found
            self._computed = (key, found)
        return self._computed[1]

    def slopes(self, vector: Array) -> Array:
        """Return the derivatives of ``logs``, (2, size, coefficients)."""
        here = self.logs(vector)
        steps = np.eye(vector.size) * _DIFFERENCE
        self._moving = True
        found = np.stack([(self.logs(vector - step) - here) / -_DIFFERENCE for step in steps], axis=-1)
        self._moving = False
        return found

    def effects(self, log_joules: Array) -> Array:
        return self.holds.effects(log_joules - self._truth[0], self._weight[0])

    def residuals(self, vector: Array) -> Array:
        prior = (vector - self._laws.centre) / self._laws.spread * PRIOR_WEIGHT
        return np.concatenate([(self._weight * robust(self._off(vector))).ravel(), prior])

    def jacobian(self, vector: Array, slopes: Array | None = None) -> Array:
        """Return the derivatives of ``residuals`` with fixed random effects; ``slopes``: those of nearly the same
        point."""
        slopes = self.slopes(vector) if slopes is None else slopes
        rows = (self._weight * robust_slope(self._off(vector)))[..., np.newaxis] * slopes
        priors = np.diag(PRIOR_WEIGHT / self._laws.spread)
        return np.concatenate([rows.reshape(-1, vector.size), priors])

    def step(self, vector: Array, slopes: Array) -> Array:
        """Return one Gauss-Newton step, halved until it reduces the error, or ``vector`` itself if no step does."""
        residuals, jacobian = self.residuals(vector), self.jacobian(vector, slopes)
        change = np.linalg.solve(jacobian.T @ jacobian, -jacobian.T @ residuals)  # regular, for every one has a prior
        for share in (1.0, 0.5, 0.25):
            tried: Array = np.minimum(vector + share * change, self._laws.highest)
            if np.sum(self.residuals(tried) ** 2) < np.sum(residuals**2):
                return tried
        return vector

    def _off(self, vector: Array) -> Array:
        """Return the log errors without the random effects, (2, size), and keep those of the latest point."""
        if self._last is None or not np.array_equal(self._last[0], vector):
            self._last = (vector.copy(), self._errors(vector))
        return self._last[1]

    def _errors(self, vector: Array) -> Array:
        off = self.logs(vector) - self._truth
        off[0] -= self.holds.spread(self.holds.effects(off[0], self._weight[0]))
        return off


class _Holds:
    """Random effects: what each continuous hold of a card has in common, shrunk towards 0 where rows are few."""

    def __init__(self, table: Table) -> None:
        self.names, self._of = np.unique([row.hold for row in table.rows], return_inverse=True)

    def effects(self, off: Array, weight: Array) -> Array:
        """Return the shrunk weighted mean of the log errors ``off`` (size,) of each hold, (holds,); 0 for a single
        hold."""
        if self.names.size < 2:
            return np.zeros(self.names.size)
        square = weight**2
        sums, mass = np.bincount(self._of, weights=square * off), np.bincount(self._of, weights=square)
        middle = sums.sum() / mass.sum()
        typical = float(np.median(np.abs(off - middle)))
        shrunk: Array = (sums - mass * middle) / (mass + (typical / _EFFECT_SPREAD) ** 2)
        return shrunk

    def spread(self, effects: Array) -> Array:
        """Return the effect of each row's hold, (size,)."""
        return effects[self._of]


def law_refits(prior: Prior, table: Table, whole: SearchResult, *, seconds: bool = False) -> Refits:
    """Prepare fits of the law on some rows of ``table``, which forecast joules, (rows,), or also ``seconds``, (2,
    rows).

    ``whole``: the law on all rows.
    """
    solved = [(np.ones(table.size, dtype=bool), whole)]

    def fit(kept: Index) -> Forecast:
        fitted = _refitted(prior, table, table.flags(kept), solved)

        def forecast_of(asked: Index) -> Array:
            found = forecast(prior, fitted, table.take(table.flags(asked)))
            return np.stack([found.joules, found.seconds]) if seconds else found.joules

        return forecast_of

    return Refits(fit)


def _refitted(prior: Prior, table: Table, kept: Flags, solved: list[tuple[Flags, SearchResult]]) -> Fitted:
    """Fit near the solution of most of the same rows where one is known, else from the prior.

    ``solved`` gets the new solution. Its first element, the fit of all rows, is considered last.
    """
    for rows, found in (*solved[1:], solved[0]):
        if np.array_equal(rows, kept):
            return found.fitted
        if (rows | ~kept).all() and kept.sum() >= _NEAR * rows.sum():
            return search_near(prior, table.take(kept), found.vector, found.slopes[:, kept[rows]])
    found = search(prior, table.take(kept))
    solved.append((kept, found))
    return found.fitted
