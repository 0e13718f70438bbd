"""Intervals of forecasts of engines: what scored cases told, and what makes a case less certain."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from joulecast.energy.engines.coefficients import engine_named
from joulecast.energy.interval import Widening

# Log half-widths that reasons add in quadrature; ADR 0157 says why each is what it is.
_BASE = 0.3
_OTHER_CARD = 0.2


def widenings(engine: str, product: str) -> list[Widening]:
    """Return a prior where no case was scored under ``engine``, and that of a card whose kernels were not timed."""
    found = []
    if engine_named(engine).interval is None:
        found.append(Widening(reason=f"the interval of {engine} is a prior: no case was scored", log_half_width=_BASE))
    if product not in engine_named(engine).cards:
        reason = f"no kernels of {engine} were timed on {product}: taken from cards like it"
        found.append(Widening(reason=reason, log_half_width=_OTHER_CARD))
    return found


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
