"""Where forecasts are off, and to which side: signed errors of groups of rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from joulecast.calibration.evaluate.scores import Forecasts
from joulecast.calibration.rows.networks import NetworkRow
from joulecast.energy.features import Array


@dataclass(frozen=True, slots=True, kw_only=True)
class Bias:
    """``signed``: median of forecast less measured, in percent of measured; ``spread``: half the distance between the
    quarters of the rows, likewise: what is left when the bias is taken out."""

    group: str
    n: int
    signed: float
    spread: float


def biases(own: Forecasts) -> Iterator[Bias]:
    """Of all rows, and of those of each architecture, precision, clock, batch size and number of tokens."""
    signed = 100 * (own.joules / own.truth - 1)
    yield _bias("all", signed)
    for group in _GROUPS:
        places = [group(row) for row in own.rows]
        known = sorted({place for place in places if place is not None})
        for place in known if len(known) > 1 else ():
            yield _bias(place[1], signed[[each == place for each in places]])


def _bias(group: str, signed: Array) -> Bias:
    low, middle, high = np.quantile(signed, (0.25, 0.5, 0.75)).tolist()
    return Bias(group=group, n=signed.size, signed=middle, spread=(high - low) / 2)


def _banded(noun: str, value: float | None, lower: float, upper: float) -> tuple[int, str] | None:
    """``value`` as one of three bands with its place among them; None if it has none."""
    if value is None:
        return None
    if value > upper:
        return 2, f"{noun} > {upper:g}"
    return (0, f"{noun} ≤ {lower:g}") if value <= lower else (1, f"{noun} {lower:g} – {upper:g}")


_GROUPS: tuple[Callable[[NetworkRow], tuple[int, str] | None], ...] = (
    lambda row: (0, row.architecture),
    lambda row: (0, row.precision),
    lambda row: _banded("clock in MHz", row.clock_mhz, 800, 1100),
    lambda row: _banded("batch size", row.batch_size, 1, 8),
    lambda row: _banded("tokens", row.sequence, 128, 512),
)
