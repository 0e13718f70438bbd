"""Errors of forecasts of a card that was left out: joules, seconds and watts apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from joulecast.energy.features import Array, Flags
from joulecast_calibration.evaluate.cards.systems import CardForecast
from joulecast_calibration.evaluate.cardscores import ALL, JOULES, QUANTITIES, SECONDS, WATTS, CardScore
from joulecast_calibration.evaluate.contenders import PHYSICAL
from joulecast_calibration.evaluate.evaluation import MOST_GROUPS, half_widths_percent
from joulecast_calibration.fit.across.sets import CardSet
from joulecast_calibration.suite.lineage import task_of


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOutCard:
    """Forecasts of a set by one system, beside the set with what was measured.

    - ``fitted_on``: names of the sets that were fitted.
    """

    set: CardSet
    system: str
    fitted_on: str
    forecast: CardForecast


def measured(found: CardSet) -> Mapping[str, Array]:
    """Return what was measured of each network, (size,) by quantity."""
    table = found.table
    return {JOULES: table.joules, SECONDS: table.seconds, WATTS: table.joules / table.seconds}


def card_scores(found: LeftOutCard) -> Iterator[CardScore]:
    """Yield the score of each quantity over all rows, and for this project's own system those of its parts."""
    truth = measured(found.set)
    for quantity in QUANTITIES:
        if quantity in found.forecast.values:
            known = np.isfinite(truth[quantity]) & np.isfinite(found.forecast.values[quantity])
            for part, rows in _parts(found):
                if (rows & known).any():
                    yield _score(found, quantity, truth[quantity], part, rows & known)


def _parts(found: LeftOutCard) -> Iterator[tuple[str, Flags]]:
    rows = found.set.rows
    yield ALL, np.ones(len(rows), dtype=bool)
    if found.system == PHYSICAL:
        names = [row.architecture for row in rows]
        yield from _named([task_of(row) for row in rows] if len(set(names)) > MOST_GROUPS else names)
        yield from _named([row.precision for row in rows])


def _named(names: list[str]) -> Iterator[tuple[str, Flags]]:
    """Yield each name with its rows, or nothing where all rows have the same."""
    different = sorted(set(names))
    if len(different) > 1:
        yield from ((name, np.array([each == name for each in names])) for name in different)


def _score(found: LeftOutCard, quantity: str, truth: Array, part: str, kept: Flags) -> CardScore:
    forecast, width = found.forecast.values[quantity][kept], found.forecast.log_half_widths.get(quantity)
    off = 100 * (forecast / truth[kept] - 1)
    inside = None if width is None else np.abs(np.log(forecast / truth[kept])) <= width[kept]
    return CardScore(
        set=found.set.name,
        card=found.set.product,
        fitted_on=found.fitted_on,
        system=found.system,
        quantity=quantity,
        part=part,
        n=int(kept.sum()),
        median_ape=float(np.median(np.abs(off))),
        mean_ape=float(np.mean(np.abs(off))),
        max_ape=float(np.max(np.abs(off))),
        bias=float(np.median(off)),
        interval_coverage=None if inside is None else float(inside.mean()),
        interval_half_width=None if width is None else float(np.median(half_widths_percent(width[kept]))),
    )
