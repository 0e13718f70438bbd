"""Signed errors of groups of rows: where forecasts are too high or too low."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from joulecast.energy.features import Array
from joulecast_calibration.evaluate.scores import ScoredForecasts

_Place = tuple[float, str] | None
"""Sort key and name of a row's group; None for a row without a group."""
_FEW = 4
"""Number of different values up to which each is shown by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bias:
    """Signed error of one group of rows, in percent of the measured joules.

    - ``signed``: median of forecast less measured.
    - ``spread``: half the distance between the quartiles of the rows: what is left when the bias is removed.
    """

    group: str
    n: int
    signed: float
    spread: float


def biases(own: ScoredForecasts) -> Iterator[Bias]:
    """Yield the bias of all rows, and by architecture, precision, clock, batch size and number of tokens."""
    signed = 100 * (own.joules / own.truth - 1)
    yield _bias("all", signed)
    for group in _GROUPS:
        places = group(own)
        known = sorted({place for place in places if place is not None})
        for place in known if len(known) > 1 else ():
            yield _bias(place[1], signed[[each == place for each in places]])


def _bias(group: str, signed: Array) -> Bias:
    low, middle, high = np.quantile(signed, (0.25, 0.5, 0.75)).tolist()
    return Bias(group=group, n=signed.size, signed=middle, spread=(high - low) / 2)


def _named(values: Sequence[str]) -> list[_Place]:
    return [(0, value) for value in values]


def _banded(noun: str, values: Sequence[float | None], lower: float, upper: float) -> list[_Place]:
    """Group few different values one by one, and many into three bands."""
    if len(set(values)) <= _FEW:
        return [None if value is None else (value, f"{noun} {value:g}") for value in values]
    return [None if value is None else _band(noun, value, lower, upper) for value in values]


def _band(noun: str, value: float, lower: float, upper: float) -> _Place:
    if value > upper:
        return 2, f"{noun} > {upper:g}"
    return (0, f"{noun} ≤ {lower:g}") if value <= lower else (1, f"{noun} {lower:g} – {upper:g}")


_GROUPS: tuple[Callable[[ScoredForecasts], list[_Place]], ...] = (
    lambda own: _named(own.groups.tolist()),
    lambda own: _named([row.precision for row in own.rows]),
    lambda own: _banded("clock in MHz", [row.clock_mhz for row in own.rows], 800, 1100),
    lambda own: _banded("batch size", [row.batch_size for row in own.rows], 1, 8),
    lambda own: _banded("tokens", [row.sequence for row in own.rows], 128, 512),
)
