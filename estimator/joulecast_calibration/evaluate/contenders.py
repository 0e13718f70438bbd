"""Give all systems one interface, and forecast the rows of a set with it: fit some rows, forecast others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from joulecast.energy.features import Array, Flags, Index
from joulecast_calibration.evaluate.evaluation import (
    IN_SAMPLE,
    LearningScore,
    MeasuredSet,
    NoiseScore,
    OpTypeScore,
    ScoredForecasts,
    Unscored,
)
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


Outcome = ScoredForecasts | Unscored | MeasuredSet | OpTypeScore | LearningScore | NoiseScore


@dataclass(frozen=True, slots=True)
class Trial:
    """Rows with measured joules, and the systems that are fitted on them.

    - ``rows``: (size,) what a forecast may know of each row.
    - ``truth``: (size,) measured joules and seconds.
    - ``networks``: (size,) rows that are scored.
    """

    name: str
    rows: tuple[ForecastRow, ...]
    truth: Array
    networks: Flags
    contenders: tuple[Contender, ...]

    @property
    def systems(self) -> tuple[Contender, ...]:
        """Return each system once."""
        return tuple(contender for contender in self.contenders if not contender.on_layers)

    @property
    def architectures(self) -> Array:
        """Return the names of the architectures, (size,)."""
        return np.array([row.architecture for row in self.rows])

    def forecasts(self, split: str, system: str, joules: Array, width: Array, study: str = "") -> ScoredForecasts:
        """Return the forecasts of the networks that have one.

        ``joules``, ``width``: of all rows, (size,), nan where there is no forecast.
        """
        kept = self.networks & np.isfinite(joules) & np.isfinite(width)
        return ScoredForecasts(
            set=self.name,
            split=split,
            system=system,
            rows=tuple(row for row, own in zip(self.rows, kept.tolist(), strict=True) if own),
            joules=joules[kept],
            truth=self.truth[kept],
            log_half_width=width[kept],
            study=study,
        )

    def unscored(self, split: str, reason: str, number: int | None = None) -> Unscored:
        """Report rows that were not scored; ``number``: how many, all unless given."""
        return Unscored(set=self.name, split=split, reason=reason, n=len(self.rows) if number is None else number)


def in_sample(trial: Trial) -> Iterator[ScoredForecasts]:
    """Forecast the rows that were fitted themselves, which shows how well the form can fit at all.

    The width of the interval comes from these errors.
    """
    if not trial.networks.any():
        return
    for contender in trial.systems:
        joules = contender.everything()
        errors = np.abs(np.log(joules / trial.truth))[trial.networks]
        width = np.full(joules.size, float(np.quantile(errors, 0.9)))
        yield trial.forecasts(IN_SAMPLE, contender.name, joules, width)
