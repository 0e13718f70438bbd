"""Adapt every published form to our rows: a fit for each precision, a factor for the clock, and balanced weights.

The weights keep one architecture's many rows from deciding alone. All systems are adapted in the same way, so that the
comparison is one of their forms.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Protocol

import numpy as np

from joulecast.energy.features import Array, Index
from joulecast_calibration.evaluate.systems.features import NetworkFeatures
from joulecast_calibration.evaluate.systems.least_squares import ordinary
from joulecast_calibration.fit.networks import balanced
from joulecast_calibration.rows.networks import Truth

_LOWEST = 0.01
"""No forecast is below this share of the smallest joules that were fitted: a sum of layer types that were never seen
would be nothing at all."""


class System(Protocol):
    """A fitted system that forecasts joules."""

    def predict(self, networks: NetworkFeatures) -> Array:
        """Return the joules of each network, (networks,)."""
        ...


Weigh = Callable[[Index], Array]
"""Weights of the rows at some positions, (positions,); their mean square is 1."""

FEWEST = 2
"""Fewest rows of a precision that are fitted by themselves; a cross-validation needs two."""

Form = Callable[[NetworkFeatures, Truth, Array], System]
"""How a paper's form is fitted: networks, their truth at one clock, weights of the networks."""


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

    def predict(self, networks: NetworkFeatures) -> Array:
        """Return the joules of each network, (networks,), always positive."""
        joules = np.zeros(networks.size)
        for precision in np.unique(networks.precisions).tolist():
            own = np.flatnonzero(networks.precisions == precision)
            system = self.systems.get(precision) or self.pooled()
            joules[own] = system.predict(networks.take(own))
        found: Array = np.maximum(np.nan_to_num(joules * self.clock.at(networks)), self.lowest_joules)
        return found


def fit_adapted(form: Form, networks: NetworkFeatures, truth: Truth, weigh: Weigh | None = None) -> Adapted:
    """Fit ``form`` on ``networks`` at one clock, for each precision that occurs and for all together.

    ``weigh``: replaces ``balanced``.
    """
    weigh = weigh or (lambda kept: balanced(networks.architectures[kept].tolist()))
    clock, pace = fit_clock(networks, truth.joules), fit_clock(networks, truth.seconds)
    level = Truth(joules=truth.joules / clock.at(networks), seconds=truth.seconds / pace.at(networks))
    members = {name: np.flatnonzero(networks.precisions == name) for name in np.unique(networks.precisions).tolist()}
    return Adapted(
        systems={
            precision: form(networks.take(kept), level.take(kept), weigh(kept))
            for precision, kept in members.items()
            if kept.size >= FEWEST
        },
        pooled=cache(lambda: form(networks, level, weigh(np.arange(networks.size)))),
        clock=clock,
        lowest_joules=_LOWEST * float(truth.joules.min()),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockFactor:
    """The factor exp(b₁·l + b₂·l²), l = log(clock / ``reference_mhz``); an unlocked clock is ``highest_mhz``."""

    reference_mhz: float
    highest_mhz: float
    coefficients: Array

    def at(self, networks: NetworkFeatures) -> Array:
        """Return the factor of each network, (networks,)."""
        found: Array = np.exp(self.terms(networks) @ self.coefficients)
        return found

    def terms(self, networks: NetworkFeatures) -> Array:
        clocks = [self.highest_mhz if row.clock_mhz is None else row.clock_mhz for row in networks.rows]
        logarithm = np.log(np.array(clocks) / self.reference_mhz)
        return np.column_stack([logarithm, logarithm**2])


def fit_clock(networks: NetworkFeatures, values: Array) -> ClockFactor:
    """Fit the factor on rows that differ in the clock alone.

    Within such a group the network's own cost cancels. Without such groups the factor is 1.
    """
    clocks = [row.clock_mhz for row in networks.rows if row.clock_mhz is not None] or [1.0]
    factor = ClockFactor(reference_mhz=float(np.median(clocks)), highest_mhz=max(clocks), coefficients=np.zeros(2))
    if len(set(clocks)) < 2:
        return factor
    _, group = np.unique([repr(replace(row, clock_mhz=None)) for row in networks.rows], return_inverse=True)
    known = np.isfinite(values)
    table = np.column_stack([factor.terms(networks)[known], np.log(values[known])])
    within = _within(table, group[known])
    return replace(factor, coefficients=ordinary(within[:, :-1], within[:, -1]))


def _within(values: Array, group: Index) -> Array:
    """Subtract their group's mean from ``values`` (rows, columns)."""
    counts = np.maximum(np.bincount(group), 1)
    means = np.column_stack([np.bincount(group, column) / counts for column in values.T])
    found: Array = values - means[group]
    return found
