"""The joint law of all cards as a law of seconds: what metered networks and timed ones of other cards say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from joulecast.energy.datasheets import DataSheet
from joulecast.energy.features import Array, Flags
from joulecast.energy.generic import chip_of_sheet, generation_of
from joulecast.energy.profile import Host, Law
from joulecast_calibration.evaluate.timed.laws import CardRows, Forecast
from joulecast_calibration.evaluate.timed.pricing import fastest
from joulecast_calibration.fit.across.hosts import decoding_draws, draw_of, pace_of
from joulecast_calibration.fit.across.operators import operator_sets
from joulecast_calibration.fit.across.population import Population, donor_of, fit_population
from joulecast_calibration.fit.across.sets import CardSet, published_sets
from joulecast_calibration.fit.across.timed import FOLDERS, of_other_chips, timed_sets_of
from joulecast_calibration.fit.across.transfer import alone
from joulecast_calibration.rows.latencies.tables import LatencyRow

JOINT = "joint"
"""The law fitted on metered networks and operators of other chips, and on some of the rows seen (ADR 0169)."""
_METERED = 60
"""Networks of each metered card: a fit is made for each card and chip, and more rows move the scores little."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JointLaw:
    """The joint fit; ``folder`` holds the tables of operators and the metered networks."""

    folder: Path

    def fit(self, seen: Sequence[tuple[CardRows, Flags]], sheet: DataSheet) -> Forecast:
        """Fit the rows that are seen, to forecast rows of the card ``sheet`` with what their table adds to all rows."""
        product = sheet.labels[0]
        metered = of_other_chips(published_sets(self.folder), [product])
        timed = (*timed_sets_of(list(_rows(seen))), *of_other_chips(operator_sets(self.folder), [product]))
        sets = (*(each.thinned(_METERED) for each in metered), *timed)
        population = fit_population([donor_of(self.folder, each, product) for each in sets])
        own = next((each.name for each in timed if each.sheet is sheet), "")
        law = population.laws[own] if own else population.law(alone(self.folder, sheet, product))
        host = population.hosts[own] if own else self._host(sheet, sets, population)

        def forecast(card: CardRows, asked: Flags) -> Array:
            rows = [row for row, here in zip(card.timed.rows, asked.tolist(), strict=True) if here]
            added = np.array([population.offsets.get(FOLDERS[row.table], 0.0) for row in rows])
            seconds: Array = _seconds(card, asked, law, host) * np.exp(added)
            return seconds

        return forecast

    def _host(self, sheet: DataSheet, sets: Sequence[CardSet], population: Population) -> Host:
        draws = [draw_of(each, population.laws[each.name]) for each in sets]
        return pace_of(generation_of(sheet), [*filter(None, draws), *decoding_draws(self.folder)]).host


def _rows(seen: Sequence[tuple[CardRows, Flags]]) -> Iterator[LatencyRow]:
    for card, kept in seen:
        yield from (row for row, here in zip(card.timed.rows, kept.tolist(), strict=True) if here)


def _seconds(card: CardRows, asked: Flags, law: Law, host: Host) -> Array:
    table = card.timed.table.take(asked)
    computing = fastest(table.features, table.layers.tolist(), law, card.sheet)
    return table.compose(law, host, chip_of_sheet(card.sheet), np.ones(table.size), computing).seconds
