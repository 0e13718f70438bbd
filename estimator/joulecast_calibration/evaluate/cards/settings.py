"""How often forecasts name the setting of one card that spends fewer joules an inference, and what a wrong name costs.

Two rows of a set make a pair where they differ in the batch size alone, or in the locked clock alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np

from joulecast.energy.features import Array, Flags, Index
from joulecast.planning.comparison import SAME_CARD
from joulecast_calibration.evaluate.cards.ranking import RankedSet, costs, usual
from joulecast_calibration.evaluate.cardscores import OTHER_ARCHITECTURES, OWN_ROWS, USUAL, SettingScore
from joulecast_calibration.rows.networks import ForecastRow

SETTINGS: Mapping[str, tuple[Callable[[ForecastRow], ForecastRow], Callable[[ForecastRow], float]]] = {
    "batch size": (lambda row: replace(row, batch_size=0), lambda row: row.batch_size),
    "clock": (lambda row: replace(row, clock_mhz=None), lambda row: row.clock_mhz or np.inf),
}
"""What two rows of a pair differ in, by name: the row without it, and its value."""


def setting_rankings(sets: Sequence[RankedSet]) -> Iterator[SettingScore]:
    """Yield the scores of every forecast set with two settings of a network, of each kind of setting."""
    for each in (known for known in sets if known.forecasts):
        for name, (without, value) in SETTINGS.items():
            pairs = _pairs(each.rows, without, value)
            if pairs.size:
                yield from _of_pairs(each, name, pairs)


def _pairs(
    rows: Sequence[ForecastRow], without: Callable[[ForecastRow], ForecastRow], value: Callable[[ForecastRow], float]
) -> Index:
    """Return the positions (2, pairs) of rows with different values that are alike without them, smaller ones first."""
    places: dict[ForecastRow, list[int]] = defaultdict(list)
    for position in sorted(range(len(rows)), key=lambda position: value(rows[position])):
        places[without(rows[position])].append(position)
    found = [
        pair
        for alike in places.values()
        for pair in combinations(alike, 2)
        if value(rows[pair[0]]) != value(rows[pair[1]])
    ]
    return np.array(found, dtype=np.intp).reshape(-1, 2).T


def _of_pairs(asked: RankedSet, name: str, pairs: Index) -> Iterator[SettingScore]:
    batch = np.array([row.batch_size for row in asked.rows], dtype=float)
    truth = (asked.truth / batch)[pairs]
    for by, joules in asked.forecasts.items():
        forecast = (joules / batch)[pairs]
        known = np.isfinite(forecast).all(axis=0)
        if known.any():
            label = OTHER_ARCHITECTURES if by == OWN_ROWS else by
            told = _told_apart(forecast[:, known], asked.log_half_widths.get(by), pairs[:, known])
            yield _score(asked.name, name, label, truth[:, known], forecast[:, known].argmin(axis=0), told)
    yield _score(asked.name, name, USUAL, truth, usual(truth), None)


def _told_apart(forecast: Array, log_half_width: Array | None, pairs: Index) -> Flags | None:
    """Decide which pairs a plan tells apart (pairs,), as ADR 0178 has it; None without intervals."""
    if log_half_width is None:
        return None
    told: Flags = np.abs(np.log(forecast[0] / forecast[1])) > SAME_CARD * np.hypot(*log_half_width[pairs])
    return told


def _score(name: str, setting: str, by: str, truth: Array, named: Index, told: Flags | None) -> SettingScore:
    cheapest, spent = costs(truth, named)
    right = spent == cheapest
    return SettingScore(
        set=name,
        setting=setting,
        by=by,
        n=named.size,
        right=float(right.mean()),
        mean_regret=float(100 * np.mean(spent / cheapest - 1)),
        told_apart=None if told is None else float(told.mean()),
        told_apart_right=float(right[told].mean()) if told is not None and told.any() else None,
    )
