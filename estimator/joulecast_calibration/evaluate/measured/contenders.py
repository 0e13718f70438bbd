"""All systems on measured layers and networks, and their forecasts of what is left out in turn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from threadpoolctl import threadpool_limits

from joulecast.energy.features import Array, Flags, Index
from joulecast_calibration.evaluate.contenders import PHYSICAL, Contender, Forecast
from joulecast_calibration.evaluate.measured.features import measured_features
from joulecast_calibration.evaluate.systems.catalogue import FORMS, LAYER_WISE, fit_system
from joulecast_calibration.evaluate.systems.features import NetworkFeatures
from joulecast_calibration.fit.holdout import interval_width
from joulecast_calibration.fit.measured.card import Prior
from joulecast_calibration.fit.measured.folds import Fold
from joulecast_calibration.fit.measured.search import Found, forecast, search, search_near, weights
from joulecast_calibration.fit.measured.table import Table
from joulecast_calibration.fit.networks import Fitted
from joulecast_calibration.rows.journals import FEWEST_ROWS
from joulecast_calibration.rows.networks import Truth

_NEAR = 0.7
"""Share of the rows of a solved fit from which on the solution of a part of them is sought in its neighbourhood: a
family is a hundredth of them, and the largest, with all its relatives, a quarter."""


@dataclass(frozen=True, slots=True)
class Entrant:
    """A system, and the rows ``among`` (size,) which it may be fitted; ``on_layers``: on layers alone, as its paper
    has it."""

    contender: Contender
    among: Flags
    on_layers: bool = False

    @property
    def name(self) -> str:
        return self.contender.name

    def everything(self) -> Array:
        """Joules of all rows by a fit on all that it may see, (size,)."""
        return self.contender.fitted(np.flatnonzero(self.among))(np.arange(self.among.size))


def entrants(prior: Prior, table: Table, whole: Found) -> tuple[Entrant, ...]:
    """Every system, ``physical`` first, on layers and networks; the published ones on networks alone, which serves
    their forecasts of networks better, and those that are made of layers once more on layers alone. ``whole``: the law
    on all rows."""
    rows = measured_features(table)
    networks, everything = table.is_network, np.ones(table.size, dtype=bool)
    seen = networks if networks.sum() >= FEWEST_ROWS else everything
    found = [Entrant(Contender(PHYSICAL, _Physical(prior, table, whole)), everything)]
    found += [Entrant(_published(name, table, rows), seen) for name in FORMS]
    if (~networks).sum() >= FEWEST_ROWS:
        found += [
            Entrant(_published(name, table, rows), ~networks, on_layers=True) for name in FORMS if name in LAYER_WISE
        ]
    return tuple(found)


@dataclass(frozen=True, slots=True)
class _Physical:
    """Fits of the law: near a solution of most of the same rows where one is known, else from the prior."""

    prior: Prior
    table: Table
    whole: Found
    solved: list[tuple[Flags, Found]] = field(default_factory=list)

    def __call__(self, kept: Index) -> Forecast:
        fitted = self._fitted(_flags(kept, self.table.size))
        return lambda asked: forecast(self.prior, fitted, self.table.take(_flags(asked, self.table.size))).joules

    def _fitted(self, kept: Flags) -> Fitted:
        for rows, found in (*self.solved, (np.ones(self.table.size, dtype=bool), self.whole)):
            if np.array_equal(rows, kept):
                return found.fitted
            if (rows | ~kept).all() and kept.sum() >= _NEAR * rows.sum():
                return search_near(self.prior, self.table.take(kept), found.vector, found.slopes[:, kept[rows]])
        found = search(self.prior, self.table.take(kept))
        self.solved.append((kept, found))
        return found.fitted


def _published(name: str, table: Table, rows: Sequence[NetworkFeatures]) -> Contender:
    """Weighted as ``physical`` is."""
    truth = Truth(joules=table.joules, seconds=table.seconds)

    def fit(kept: Index) -> Forecast:
        known = [table.rows[i] for i in kept.tolist()]
        system = fit_system(
            name,
            [rows[i] for i in kept.tolist()],
            truth.take(kept),
            lambda some: weights([known[i] for i in some.tolist()]),
        )
        return lambda asked: system.predict([rows[i] for i in asked.tolist()])

    return Contender(name, fit)


def left_out(entrant: Entrant, table: Table, folds: Sequence[Fold]) -> Array:
    """Joules of every row that is scored in one of ``folds``, by a fit of what that one trains on; nan where none is,
    or too few rows are left to fit. (size,)"""
    joules = np.full(table.size, np.nan)
    with threadpool_limits(limits=1):  # tall and narrow matrices: threads spend their time waiting
        for fold in folds:
            kept = fold.trains & entrant.among
            if kept.sum() >= FEWEST_ROWS and fold.scored.any():
                joules[fold.scored] = entrant.contender.fitted(np.flatnonzero(kept))(np.flatnonzero(fold.scored))
    return joules


def widths(joules: Array, table: Table, folds: Sequence[Fold], *, telling: Sequence[str] | None = None) -> Array:
    """Log half-width of each network's interval by what the other folds were off: (size,), nan where none is forecast.
    ``telling``: names of the folds that tell, all unless given."""
    errors = np.log(joules / table.joules)
    kept = np.isfinite(errors) & table.is_network
    groups = {fold.name: errors[fold.scored & kept] for fold in folds if (fold.scored & kept).any()}
    tells = {name: values for name, values in groups.items() if telling is None or name in telling}
    width = np.full(table.size, np.nan)
    for fold in folds:
        others = {name: values for name, values in tells.items() if name != fold.name}
        if others:
            width[fold.scored] = interval_width(others)
    return width


def _flags(positions: Index, size: int) -> Flags:
    found = np.zeros(size, dtype=bool)
    found[positions] = True
    return found
