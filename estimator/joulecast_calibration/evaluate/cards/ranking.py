"""How often forecasts name the card that spends fewer joules on a network, and what a wrong name costs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations, product

import numpy as np

from joulecast.energy.features import Array, Index
from joulecast_calibration.evaluate.cardscores import NEVER_ASKED, RankingScore
from joulecast_calibration.rows.networks import ForecastRow


@dataclass(frozen=True, slots=True, kw_only=True)
class RankedSet:
    """Rows of one card, (size,), with measured joules and forecasts of them by the name of what made them.

    - ``log_half_widths``: of the intervals, by the same names, of those forecasts that have intervals.
    """

    name: str
    card: str
    rows: tuple[ForecastRow, ...]
    truth: Array
    forecasts: Mapping[str, Array]
    log_half_widths: Mapping[str, Array] = field(default_factory=dict)


def rankings(sets: Sequence[RankedSet]) -> Iterator[RankingScore]:
    """Yield the scores of every two sets of different cards that share a network, workload and precision."""
    for one, other in combinations(sets, 2):
        pairs = _pairs(one, other) if one.card != other.card else []
        if pairs:
            first, second = np.array(pairs, dtype=np.intp).T
            yield from _of_two(one, other, first, second)


def _pairs(one: RankedSet, other: RankedSet) -> list[tuple[int, int]]:
    """Return the positions of all rows in both sets that differ in the card and in its clock alone."""
    places: dict[ForecastRow, list[int]] = defaultdict(list)
    for position, row in enumerate(other.rows):
        places[replace(row, clock_mhz=None)].append(position)
    return [
        pair
        for position, row in enumerate(one.rows)
        for pair in product([position], places.get(replace(row, clock_mhz=None), []))
    ]


def _of_two(one: RankedSet, other: RankedSet, first: Index, second: Index) -> Iterator[RankingScore]:
    truth = np.stack([one.truth[first], other.truth[second]])
    cards = f"{one.name}, {other.name}"
    for by in one.forecasts:
        if by in other.forecasts:
            forecast = np.stack([one.forecasts[by][first], other.forecasts[by][second]])
            known = np.isfinite(forecast).all(axis=0)
            if known.any():
                yield _score(cards, by, truth[:, known], forecast[:, known].argmin(axis=0))
    yield _score(cards, NEVER_ASKED, truth, usual(truth))


def usual(truth: Array) -> Index:
    """Return the choice (pairs,) of the same row in all pairs of ``truth`` (2, pairs), the one more often cheaper."""
    return np.full(truth.shape[1], int((truth.argmin(axis=0) == 1).mean() >= 0.5))


def costs(truth: Array, named: Index) -> tuple[Array, Array]:
    """Return what the cheaper of the two rows of ``truth`` (2, pairs) costs, and what the one ``named`` does, (pairs,)
    each."""
    return truth.min(axis=0), np.take_along_axis(truth, named[np.newaxis], axis=0)[0]


def _score(cards: str, by: str, truth: Array, named: Index) -> RankingScore:
    """Score the choice ``named`` (pairs,) between the two rows of ``truth`` (2, pairs)."""
    cheapest, spent = costs(truth, named)
    return RankingScore(
        cards=cards,
        by=by,
        n=named.size,
        right=float(np.mean(spent == cheapest)),
        mean_regret=float(100 * np.mean(spent / cheapest - 1)),
        total_regret=float(100 * (spent.sum() / cheapest.sum() - 1)),
        regret_joules=float(np.mean(spent - cheapest)),
    )
