"""Adapt every published form to our rows: a fit for each precision, a factor for the clock, and balanced weights.

The weights keep one architecture's many rows from deciding alone. All systems are adapted in the same way, so that the
comparison is one of their forms.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Protocol

import numpy as np

from joulecast.energy.features import Array, Index
from joulecast_calibration.evaluate.systems.clocks import ClockFactor, fit_clock
from joulecast_calibration.evaluate.systems.features import NetworkFeatures
from joulecast_calibration.rows.networks import Truth

_LOWEST = 0.01
"""No forecast is below this share of the smallest joules that were fitted: a sum of layer types that were never seen
would be nothing at all."""


class System(Protocol):
    """A fitted system that forecasts joules."""

    def predict(self, rows: Sequence[NetworkFeatures]) -> Array:
        """Return the joules of each row, (rows,)."""
        ...


Weigh = Callable[[Index], Array]
"""Weights of the rows at some positions, (positions,); their mean square is 1."""

FEWEST = 2
"""Fewest rows of a precision that are fitted by themselves; a cross-validation needs two."""

Form = Callable[[Sequence[NetworkFeatures], Truth, Array], System]
"""How a paper's form is fitted: rows, their truth at one clock, weights of the rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapted:
    """A form fitted for each precision.

    - ``systems``: by precision.
    - ``pooled``: makes the system for a precision with too few fitted rows.
    """

    systems: Mapping[str, System]
    pooled: Callable[[], System]
    clock: ClockFactor
    lowest_joules: float

    def predict(self, rows: Sequence[NetworkFeatures]) -> Array:
        """Return the joules of each row, (rows,), always positive."""
        joules = np.zeros(len(rows))
        for precision in sorted({row.row.precision for row in rows}):
            own = [position for position, row in enumerate(rows) if row.row.precision == precision]
            system = self.systems.get(precision) or self.pooled()
            joules[own] = system.predict([rows[i] for i in own])
        found: Array = np.maximum(np.nan_to_num(joules * self.clock.at(rows)), self.lowest_joules)
        return found


def fit_adapted(form: Form, rows: Sequence[NetworkFeatures], truth: Truth, weigh: Weigh | None = None) -> Adapted:
    """Fit ``form`` on ``rows`` at one clock, for each precision that occurs and for all together.

    ``weigh``: replaces ``balanced``.
    """
    weigh = weigh or (lambda kept: balanced([rows[i] for i in kept.tolist()]))
    counts = Counter(row.row.precision for row in rows)
    everything = np.arange(len(rows))
    clock, pace = fit_clock(rows, truth.joules), fit_clock(rows, truth.seconds)
    level = Truth(joules=truth.joules / clock.at(rows), seconds=truth.seconds / pace.at(rows))
    return Adapted(
        systems={
            precision: _fit_some(form, rows, level, weigh, [row.row.precision == precision for row in rows])
            for precision, count in sorted(counts.items())
            if count >= FEWEST
        },
        pooled=cache(lambda: form(rows, level, weigh(everything))),
        clock=clock,
        lowest_joules=_LOWEST * float(truth.joules.min()),
    )


def _fit_some(
    form: Form, rows: Sequence[NetworkFeatures], truth: Truth, weigh: Weigh, wanted: Sequence[bool]
) -> System:
    kept = np.flatnonzero(wanted)
    return form([rows[i] for i in kept.tolist()], truth.take(kept), weigh(kept))


def balanced(rows: Sequence[NetworkFeatures]) -> Array:
    """Return weights whose squares lie half way between one per row and one per architecture, as for ``physical``."""
    counts = Counter(row.row.architecture for row in rows)
    weight = np.array([counts[row.row.architecture] ** -0.25 for row in rows])
    scaled: Array = weight / np.sqrt(np.mean(weight**2))
    return scaled
