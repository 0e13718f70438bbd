"""All systems behind one question: fitted on these rows, what are those worth?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from joulecast.energy.features import Array, Index
from joulecast_calibration.evaluate.systems.catalogue import FORMS, fit_system
from joulecast_calibration.evaluate.systems.features import network_features
from joulecast_calibration.fit.holdout import Problem, fit_rows, forecast_rows, interval_width
from joulecast_calibration.rows.networks import NetworkSet

_Row = TypeVar("_Row")
PHYSICAL = "physical"
SYSTEMS = (PHYSICAL, *FORMS)
"""In the order of every table."""

Forecast = Callable[[Index], Array]
"""Joules of rows by their positions."""


@dataclass(frozen=True, slots=True)
class Contender:
    """A system on one set. ``fit``: from positions of rows to fit to what then forecasts; every fit is made once."""

    name: str
    fit: Callable[[Index], Forecast]
    _made: dict[bytes, Forecast] = field(default_factory=dict)

    def fitted(self, kept: Index) -> Forecast:
        """Fitted on the rows ``kept``, in their order."""
        key = np.sort(kept).tobytes()
        if key not in self._made:
            self._made[key] = self.fit(np.sort(kept))
        return self._made[key]


def contenders(problem: Problem, found: NetworkSet) -> tuple[Contender, ...]:
    """Every system on the rows of ``found``, ``physical`` first. ``neuralpower`` only where seconds were measured."""
    names = [name for name in FORMS if name != "neuralpower" or np.isfinite(found.truth.seconds).all()]
    return _physical(problem, found), *(_published(name, found) for name in names)


def _physical(problem: Problem, found: NetworkSet) -> Contender:
    def fit(kept: Index) -> Forecast:
        fitted = fit_rows(problem, _taken(found.rows, kept), found.truth.take(kept))
        return lambda asked: forecast_rows(problem, fitted, _taken(found.rows, asked))[0]

    return Contender(PHYSICAL, fit)


def _published(name: str, found: NetworkSet) -> Contender:
    table = network_features(found.rows)

    def fit(kept: Index) -> Forecast:
        system = fit_system(name, _taken(table, kept), found.truth.take(kept))
        return lambda asked: system.predict(_taken(table, asked))

    return Contender(name, fit)


def nested(contender: Contender, groups: Array, truth: Array, train: Index, test: Index) -> tuple[Array, float]:
    """Joules of the rows ``test`` by a fit on ``train``, and the log half-width that fits without each group of
    ``train`` in turn say; ``groups`` and ``truth``: (rows,) of the whole set."""
    errors = {}
    for name in sorted(set(groups[train].tolist())):
        inner, out = train[groups[train] != name], train[groups[train] == name]
        errors[name] = np.log(contender.fitted(inner)(out) / truth[out])
    return contender.fitted(train)(test), interval_width(errors)


def each_left_out(contender: Contender, groups: Array, truth: Array, among: Index) -> tuple[Array, Array]:
    """Joules of the rows ``among``, each group by a fit on the others, and log half-widths: (among,) each."""
    joules, width = np.zeros(among.size), np.zeros(among.size)
    for name in sorted(set(groups[among].tolist())):
        own = groups[among] == name
        joules[own], width[own] = nested(contender, groups, truth, among[~own], among[own])
    return joules, width


def _taken(rows: Sequence[_Row], kept: Index) -> list[_Row]:
    return [rows[position] for position in kept.tolist()]
