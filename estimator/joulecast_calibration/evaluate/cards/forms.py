"""The published systems and two simple rules as systems that forecast a card which was left out.

Joules of other cards are scaled by power limit over the peak of the row's precision, seconds by that peak, and clock
locks by the boost clock, so that only the shape of a network's cost is left to learn.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from joulecast.energy.features import ARITHMETIC, Array, Index
from joulecast_calibration.evaluate.cards.systems import CardForecast, CardSystem
from joulecast_calibration.evaluate.cardscores import JOULES, SECONDS, WATTS
from joulecast_calibration.evaluate.systems.adaptation import Form, fit_adapted
from joulecast_calibration.evaluate.systems.features import NetworkFeatures, joined, network_features
from joulecast_calibration.evaluate.systems.tables import measured_features
from joulecast_calibration.fit.across.sets import CardSet
from joulecast_calibration.fit.crossvalidation import Forecast, Refits, nested
from joulecast_calibration.rows.networks import ForecastRow, Truth


def features_of_set(found: CardSet) -> NetworkFeatures:
    """Return the features of a set's networks, each row with its precision by name and its clock over boost."""
    features = measured_features(found.table) if found.own else network_features(found.rows)
    return replace(features, rows=tuple(_comparable(row, found.sheet.boost_mhz or 1.0) for row in found.rows))


def _comparable(row: ForecastRow, boost_mhz: float) -> ForecastRow:
    precision = "fp32" if row.precision == "default" else row.precision  # torch's default for a float32 graph
    return replace(row, precision=precision, clock_mhz=row.clock_mhz and row.clock_mhz / boost_mhz)


def peak_flops(found: CardSet) -> Array:
    """Return the peak of the arithmetic that each network runs in, (size,).

    Of several arithmetics it is the harmonic mean, weighted by their FLOPs.
    """
    table = found.table
    peaks = np.array([found.sheet.peaks[name].value if name in found.sheet.peaks else math.nan for name in ARITHMETIC])
    flops, kind = table.features.flops[table.which], table.features.arithmetic[table.which]
    shortest = np.where(kind >= 0, flops / peaks[kind], 0.0)
    reached: Array = table.networks.sum(np.where(kind >= 0, flops, 0.0)) / table.networks.sum(shortest)
    return np.nan_to_num(reached, nan=max(fact.value for fact in found.sheet.peaks.values()))


def joules_a_flop(found: CardSet) -> Array:
    """Return power limit over ``peak_flops``, (size,)."""
    limit = found.sheet.power_limit_watts
    joules: Array = (limit.value if limit else 1.0) / peak_flops(found)
    return joules


@dataclass(frozen=True, slots=True)
class ScaledForm:
    """A published form, fitted on the rows of other cards as if data sheets told cards apart."""

    name: str
    form: Form

    def forecast(self, folder: Path, asked: CardSet, others: Sequence[CardSet]) -> CardForecast | None:  # noqa: ARG002
        """Forecast joules and, by a fit of the same form on seconds, seconds; watts are their quotient.

        Intervals are from fits that leave out an architecture of the other cards; watts have none.
        """
        donors = [_donor(each) for each in others]
        if len({name for features, _ in donors for name in features.architectures.tolist()}) < 2:
            return None
        truth = Truth(
            joules=np.concatenate([own.joules for _, own in donors]),
            seconds=np.concatenate([own.seconds for _, own in donors]),
        )
        networks = joined([*(features for features, _ in donors), features_of_set(asked)])
        timed = bool(np.isfinite(truth.seconds).all())
        found = {}
        if timed or self.name != "neuralpower":
            joules, width = self._by_nested_fits(networks, truth)
            found[JOULES] = joules * joules_a_flop(asked), width
        if timed:
            seconds, width = self._by_nested_fits(networks, Truth(joules=truth.seconds, seconds=truth.seconds))
            found[SECONDS] = seconds / peak_flops(asked), width
        values = {quantity: values for quantity, (values, _) in found.items()}
        widths = {quantity: np.full(len(asked.rows), width) for quantity, (_, width) in found.items()}
        if timed:
            values[WATTS] = values[JOULES] / values[SECONDS]
        return CardForecast(values=values, log_half_widths=widths) if values else None

    def _by_nested_fits(self, networks: NetworkFeatures, truth: Truth) -> tuple[Array, float]:
        """Return ``truth.joules`` as forecast for those ``networks`` that come after the rows of ``truth``."""

        def fit(kept: Index) -> Forecast:
            system = fit_adapted(self.form, networks.take(kept), truth.take(kept))
            return lambda some: system.predict(networks.take(some))

        number = truth.joules.size
        train, test = np.arange(number), np.arange(number, networks.size)
        return nested(Refits(fit), networks.architectures, truth.joules, train, test)


def _donor(found: CardSet) -> tuple[NetworkFeatures, Truth]:
    """Return a set's features and its joules and seconds as multiples of what one FLOP takes at the peak."""
    table = found.table
    truth = Truth(joules=table.joules / joules_a_flop(found), seconds=table.seconds * peak_flops(found))
    return features_of_set(found), truth


@dataclass(frozen=True, slots=True)
class ProportionalToMacs:
    """Joules ∝ MACs × power limit ÷ peak; the one factor is the median of the other cards' rows."""

    name: str = "∝ MACs × TDP ÷ peak"

    def forecast(self, folder: Path, asked: CardSet, others: Sequence[CardSet]) -> CardForecast | None:  # noqa: ARG002
        if not others:
            return None
        logs = [np.log(each.table.joules / _size(each)) for each in others]
        return CardForecast(values={JOULES: np.exp(np.median(np.concatenate(logs))) * _size(asked)})


def _size(found: CardSet) -> Array:
    return features_of_set(found).total("macs") * joules_a_flop(found)


@dataclass(frozen=True, slots=True)
class LimitTimesSeconds:
    """The power limit, times the seconds that another system forecasts."""

    of: CardSystem
    name: str = "TDP × our seconds"

    def forecast(self, folder: Path, asked: CardSet, others: Sequence[CardSet]) -> CardForecast | None:
        found = self.of.forecast(folder, asked, others)
        limit = asked.sheet.power_limit_watts
        if found is None or SECONDS not in found.values or limit is None:
            return None
        seconds = found.values[SECONDS]
        return CardForecast(values={JOULES: limit.value * seconds, WATTS: np.full(seconds.size, limit.value)})
