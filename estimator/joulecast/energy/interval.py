"""Prediction intervals: how wide, from how many groups, and what makes one wider."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from joulecast.energy.features import ARITHMETIC, Array, Features
from joulecast.energy.model import LayerEnergy
from joulecast.energy.physical import LOWEST_CLOCK
from joulecast.energy.profile import AcceleratorProfile, Interval
from joulecast.layers import LayerProfile

MINIMUM_GROUPS = 9
"""Groups from which on a split-conformal interval of level 0.9 exists: 9/10 is the highest finite level of nine (Vovk
2005)."""

CARRIES = 0.1
"""Share of a forecast's joules above which some of its rows speak for it: a forecast takes the weakest origin among the
rows that carry more, and says so where more are without joules of their own, or off the training range."""

# Log half-widths that reasons add in quadrature. None is fitted: ADR 0042 says why each is what it is.
_UNVERIFIED = 0.15
_OTHER_RUNTIME = 0.25
_OFF_RANGE = 0.2
_OVER_LIMIT = 0.2
_MOST_SELECTED = 0.9  # largest share of a forecast that a selection may take away; all of it would have no logarithm
_NO_JOULES = 0.25
_UNMEASURED_CLOCK = 0.2
_MEASURED_RUNTIME = "torch-eager"


@dataclass(frozen=True, slots=True, kw_only=True)
class Widening:
    """One reason that widens an interval, as a clause, and the log half-width that it adds in quadrature."""

    reason: str
    log_half_width: float


def half_width(interval: Interval, wider: Sequence[Widening]) -> float:
    """Log half-width of a forecast: its profile's own and every reason, added in quadrature."""
    return math.sqrt(interval.log_half_width**2 + sum(widening.log_half_width**2 for widening in wider))


def widenings(
    accelerator: AcceleratorProfile,
    runtime: str,
    table: Features,
    rows: Sequence[LayerProfile],
    layers: Sequence[LayerEnergy],
    joules: float,
    other_host_joules: float,
    *,
    over_the_limit: bool = False,
) -> tuple[Widening, ...]:
    """Return every reason that widens this forecast's interval.

    ``other_host_joules``: the same network on a host that launches at another pace. ``over_the_limit``: whether the
    power limit cannot be held even at the lowest clock of the law.
    """
    found = [
        _other_host(accelerator, runtime, joules, other_host_joules),
        _other_runtime(runtime),
        _off_range(accelerator, table, layers, joules),
        _selected(rows, layers, joules),
        _power_off_range(accelerator, over_the_limit=over_the_limit),
        _unverified(accelerator, table),
        _no_joules(accelerator, layers, joules),
    ]
    return tuple(widening for widening in found if widening is not None)


def unmeasured_clock(accelerator: AcceleratorProfile) -> Widening:
    """Return the widening of a cap on a card of which no row ran at another clock."""
    return Widening(
        reason=f"a cap: no rows of {accelerator.product} carry the clock that they ran at",
        log_half_width=_UNMEASURED_CLOCK,
    )


def split_conformal(scores: Array, level: float) -> float:
    """Return the ⌈(n+1)·level⌉-th smallest of n scores, one a group (Vovk 2005).

    Infinity where n is too small for ``level``.
    """
    rank = math.ceil((scores.size + 1) * level - 1e-9)
    return float(np.sort(scores)[rank - 1]) if rank <= scores.size else math.inf


def group_weighted_quantile(scores: Array, groups: Sequence[str], level: float, *, size_power: float = 0.0) -> float:
    """Return the smallest score below which lie scores of weight ``level``; a group of n rows weighs n^``size_power``.

    0: every group the same; 1: every row the same; 0.5: half way between, as the fit itself weighs them (ADR 0043).
    """
    _, group, counts = np.unique(np.array(groups), return_inverse=True, return_counts=True)
    weight = (counts ** (size_power - 1.0))[group.ravel()]
    order = np.argsort(scores, kind="stable")
    reached = np.cumsum(weight[order]) / weight.sum()
    return float(scores[order[min(int(np.searchsorted(reached, level - 1e-9)), scores.size - 1)]])


def _other_host(accelerator: AcceleratorProfile, runtime: str, joules: float, other: float) -> Widening | None:
    change = abs(math.log(other / joules)) if joules > 0 and other > 0 else 0.0
    if change < 0.01:  # below the rounding of any figure shown
        return None
    owner = accelerator.hosts[runtime].measured_on
    return Widening(reason=f"another host: its launch times are taken from {owner}", log_half_width=change)


def _other_runtime(runtime: str) -> Widening | None:
    if runtime == _MEASURED_RUNTIME:
        return None
    return Widening(reason=f"another runtime: no joules were measured under {runtime}", log_half_width=_OTHER_RUNTIME)


def _off_range(
    accelerator: AcceleratorProfile, table: Features, layers: Sequence[LayerEnergy], joules: float
) -> Widening | None:
    limits = accelerator.training_range
    if not limits:
        return None
    (_, most_flops), (_, most_bytes) = limits["flops"], limits["bytes"]
    beyond = (table.flops > most_flops) | (table.bytes > most_bytes)
    carried = sum(layer.joules for layer, outside in zip(layers, beyond.tolist(), strict=True) if outside)
    if carried <= CARRIES * joules:
        return None
    return Widening(reason="off the training range: rows larger than any that was fitted", log_half_width=_OFF_RANGE)


def _selected(rows: Sequence[LayerProfile], layers: Sequence[LayerEnergy], joules: float) -> Widening | None:
    """Return the widening for rows sized by the most that a selection may keep, whose cost may be absent."""
    bounded = [(row, layer) for row, layer in zip(rows, layers, strict=True) if row.upper_bound]
    share = sum(layer.joules for _, layer in bounded) / joules if joules else 0.0
    if not bounded:
        return None
    names = ", ".join(dict.fromkeys(row.op_type for row, _ in bounded))
    return Widening(
        reason=f"an upper bound on sizes: {names} work on what a selection by content keeps, at most {share:.1%} of the"
        " joules",
        log_half_width=-math.log1p(-min(share, _MOST_SELECTED)),
    )


def _power_off_range(accelerator: AcceleratorProfile, *, over_the_limit: bool) -> Widening | None:
    if not over_the_limit:
        return None
    return Widening(
        reason=f"below the law's clocks: the power limit of {accelerator.power_limit_watts:g} W does not hold even at"
        f" {LOWEST_CLOCK:.0%} of the boost clock",
        log_half_width=_OVER_LIMIT,
    )


def _unverified(accelerator: AcceleratorProfile, table: Features) -> Widening | None:
    used = {f"peak {ARITHMETIC[position]}" for position in table.arithmetic.tolist() if position >= 0}
    names = [name for name in accelerator.unverified if not name.startswith("peak ") or name in used]
    if not names:
        return None
    reason = f"unverified data sheet values: {', '.join(names)}"
    return Widening(reason=reason, log_half_width=_UNVERIFIED)


def _no_joules(accelerator: AcceleratorProfile, layers: Sequence[LayerEnergy], joules: float) -> Widening | None:
    if not accelerator.held_out:
        return None  # no network was measured: its own interval already says so
    lacking: dict[str, float] = {}
    for layer in layers:
        if layer.origin not in ("measured", "public"):
            lacking[layer.op_type] = lacking.get(layer.op_type, 0.0) + layer.joules
    if sum(lacking.values()) <= CARRIES * joules:
        return None
    most = sorted(lacking, key=lambda name: -lacking[name])[:3]
    return Widening(
        reason=f"no layer rows: no joules of {', '.join(most)} were measured here", log_half_width=_NO_JOULES
    )
