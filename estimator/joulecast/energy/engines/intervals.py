"""Intervals of forecasts of engines: what scored cases told, and what makes a case less certain."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from joulecast.energy.engines.coefficients import engine_named
from joulecast.energy.interval import Widening
from joulecast.errors import NotCalibratedError

# Log half-widths that reasons add in quadrature; ADR 0157 says why each is what it is.
_BASE = 0.3
_OTHER_CARD = 0.2
_UNMEASURED_CLOCK = 0.2  # as of networks, ADR 0042


def widenings(engine: str, product: str, clock_mhz: float | None = None) -> list[Widening]:
    """Return what makes a case under ``engine`` less certain: never scored, a card without tables, a locked clock."""
    found = []
    if engine_named(engine).interval is None:
        found.append(Widening(reason=f"the interval of {engine} is a prior: no case was scored", log_half_width=_BASE))
    if product not in engine_named(engine).cards:
        reason = f"no kernels of {engine} were timed on {product}: taken from cards like it"
        found.append(Widening(reason=reason, log_half_width=_OTHER_CARD))
    if clock_mhz is not None:
        reason = f"a cap: no rows of {engine}'s kernels carry the clock that they ran at"
        found.append(Widening(reason=reason, log_half_width=_UNMEASURED_CLOCK))
    return found


def refuse_limit(engine: str, power_limit_watts: float | None) -> None:
    """Raise NotCalibratedError for a power limit: an engine's kernels were timed at whatever clock their card chose.

    How much longer they take under a lower limit, no row of theirs tells.
    """
    if power_limit_watts is not None:
        raise NotCalibratedError(
            f"a power limit of {power_limit_watts:g} W cannot be priced under {engine}: its kernels were timed at"
            " clocks that nobody wrote down; give a clock lock (clock_mhz) instead, which is forecast with a wider"
            " interval",
            reason="PowerLimitNotPriced",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Widths:
    """Log half-widths of a forecast's intervals."""

    seconds: float
    joules: float


def widths(engine: str, wider: Sequence[Widening]) -> Widths:
    """Return the intervals of scored cases under ``engine``, with every reason added in quadrature."""
    own, scored = math.sqrt(sum(each.log_half_width**2 for each in wider)), engine_named(engine).interval
    if scored is None:
        return Widths(seconds=own, joules=own)
    return Widths(seconds=math.hypot(scored.seconds, own), joules=math.hypot(scored.joules, own))
