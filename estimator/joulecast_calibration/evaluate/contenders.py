"""Give all systems one interface: fit some rows, forecast others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from joulecast.energy.features import Array, Flags, Index
from joulecast_calibration.evaluate.systems.adaptation import Weigh, fit_adapted
from joulecast_calibration.evaluate.systems.catalogue import FORMS, LAYER_WISE
from joulecast_calibration.evaluate.systems.features import NetworkFeatures, network_features
from joulecast_calibration.evaluate.systems.tables import measured_features
from joulecast_calibration.fit.crossvalidation import Forecast, Refits
from joulecast_calibration.fit.networks import Problem, refits
from joulecast_calibration.fit.prior import Prior
from joulecast_calibration.fit.search import SearchResult, law_refits, weights
from joulecast_calibration.fit.table import Table
from joulecast_calibration.rows.journals import FEWEST_ROWS
from joulecast_calibration.rows.networks import ForecastRow, Truth

PHYSICAL = "physical"
SYSTEMS = (PHYSICAL, *FORMS)
"""Names of systems, in the order of every table."""


@dataclass(frozen=True, slots=True)
class Contender:
    """A system on one set of rows.

    - ``among``: (size,) rows that it may be fitted on.
    - ``on_layers``: whether it is fitted on layers alone, as in its paper.
    """

    name: str
    refits: Refits
    among: Flags
    on_layers: bool = False

    def everything(self) -> Array:
        """Return the joules of all rows, (size,), by a fit on all rows that the system may use."""
        return self.refits.fitted(np.flatnonzero(self.among))(np.arange(self.among.size))


def published_contenders(problem: Problem, rows: Sequence[ForecastRow], table: Table) -> tuple[Contender, ...]:
    """Return every system for networks that others measured, ``physical`` first.

    ``neuralpower`` is included only where seconds were measured.
    """
    everything = np.ones(table.size, dtype=bool)
    names = [name for name in FORMS if name != "neuralpower" or np.isfinite(table.seconds).all()]
    features = network_features(rows)
    return (
        Contender(PHYSICAL, refits(problem, table), everything),
        *(Contender(name, _form(name, table, features), everything) for name in names),
    )


def measured_contenders(prior: Prior, table: Table, whole: SearchResult) -> tuple[Contender, ...]:
    """Return every system for rows of this project, ``physical`` first, which is fitted on layers and networks.

    The published systems are fitted on networks alone, which gives better forecasts of networks; the layer-wise ones
    are added a second time, fitted on layers alone. ``whole``: the law fitted on all rows.
    """
    features = measured_features(table)

    def weigh(kept: Index) -> Weigh:
        """Return the weights that ``physical`` gives to the rows ``kept``."""
        known = [table.rows[position] for position in kept.tolist()]
        return lambda some: weights([known[position] for position in some.tolist()])

    networks, everything = table.is_network, np.ones(table.size, dtype=bool)
    seen = networks if networks.sum() >= FEWEST_ROWS else everything
    found = [Contender(PHYSICAL, law_refits(prior, table, whole), everything)]
    found += [Contender(name, _form(name, table, features, weigh), seen) for name in FORMS]
    if (~networks).sum() >= FEWEST_ROWS:
        layer_wise = [name for name in FORMS if name in LAYER_WISE]
        found += [
            Contender(name, _form(name, table, features, weigh), ~networks, on_layers=True) for name in layer_wise
        ]
    return tuple(found)


def _form(
    name: str,
    table: Table,
    networks: NetworkFeatures,
    weigh: Callable[[Index], Weigh | None] = lambda _: None,
) -> Refits:
    truth = Truth(joules=table.joules, seconds=table.seconds)

    def fit(kept: Index) -> Forecast:
        system = fit_adapted(FORMS[name], networks.take(kept), truth.take(kept), weigh(kept))
        return lambda asked: system.predict(networks.take(asked))

    return Refits(fit)
