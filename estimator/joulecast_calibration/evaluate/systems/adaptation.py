"""Adapt every published form to our rows: a fit for each precision, a factor for the clock, and balanced weights.

The weights keep one architecture's many rows from deciding alone. All systems are adapted in the same way, so that the
comparison is one of their forms.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Protocol

import numpy as np

from joulecast.energy.features import Array, Index
from joulecast_calibration.evaluate.systems.clocks import ClockFactor, fit_clock
from joulecast_calibration.evaluate.systems.features import NetworkFeatures
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
