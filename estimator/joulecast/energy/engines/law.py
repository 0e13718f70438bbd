"""The law of an engine's kernels, in CUDA graphs: no launch gaps, but each kernel's tail stays.

    product, experts   t_c = min over tiles i × j and splits s of
                             waves · SMs · 2·i·j·(k/s + depth) / (P·η·ε) + partial sums / bandwidth
    other kernels      t_c = FLOPs / (P·η)
    row                t = ‖t_c, bytes/(β·bandwidth), elements·ε_c/(SMs·clock)‖_p
                           + inputs·narrowing/(SMs·clock) + ⌈units/SMs⌉·unit + tail·launches
                       E = (P_static + P_clock·x·V²)·t + e_F·FLOPs·V² + e_B·bytes
    all-reduce         t = latency + message / bandwidth of the link
    pass               T = Σ t,  E = Σ E, at most what held power · (T + wait) leaves

P is the peak of the row's arithmetic and x the SM clock over boost; η, β, ε (of ``tile_edge``), ``depth``, the unit,
the conversion and p are the fields of ``coefficients.KernelLaw``; ``energy.physical`` explains tiles and V². Seconds
were fitted on kernels that ran at whatever clock their card chose, so the cap lowers joules and adds no time on
those cards. On a card with fewer watts per FLOP/s than they have, kernels compute at the clock that ``pace`` tells.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from joulecast.energy.engines.coefficients import COMPUTED, KERNELS, Card, KernelLaw
from joulecast.energy.engines.table import ALL_REDUCE, KernelTable
from joulecast.energy.features import Array, Index
from joulecast.energy.physical import LOWEST_CLOCK, SPLITS, TILES, voltage_squared
from joulecast.energy.profile import Law

_HALVINGS = 24  # of [LOWEST_CLOCK, 1]: the clock is then known to 1e-7 of boost
_PARTIAL_BYTES = 8.0  # a partial sum in fp32 is written and read again
_NEAREST = {"fp8": "bf16", "int8": "bf16", "fp4": "bf16"}
"""The arithmetic whose joules an operation of a narrow one is told in: ``KernelLaw.flop_energy`` has the relation."""


_ONE = ("byte_energy", "memory_share", "sharpness")
"""Coefficients that are 1 for a collective, whose time is not computed from them; the others are 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the law needs of the hardware. ``peak_flops`` (arithmetics of ``COMPUTED``,): 0 where it lacks one."""

    peak_flops: Array
    bandwidth_bytes_per_second: float
    multiprocessors: float
    clock_hertz: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """Each kernel, (n,) arrays: its seconds, the dynamic energy at boost that V² scales, and that it does not."""

    seconds: Array
    switched_joules: Array
    memory_joules: Array


def costs(table: KernelTable, card: Card, limits: Limits, law: Law, *, cards: int, clock: float = 1.0) -> Costs:
    """Compute the cost of each kernel where it computes at the clock share ``clock``.

    ``cards`` take part in each collective.
    """
    reduced = table.kernel == ALL_REDUCE
    alone = seconds_of(table, card.kernels, limits, clock)
    switched, moved = joules_of(table, card.kernels, law)
    return Costs(
        seconds=np.where(reduced, _collective_seconds(table, card, cards), alone),
        switched_joules=switched,
        memory_joules=moved,
    )


def joules_of(table: KernelTable, kernels: Mapping[str, KernelLaw], law: Law) -> tuple[Array, Array]:
    """Return the dynamic energy of each kernel's operations at boost, (n,), and of its bytes, (n,)."""
    own = _Coefficients(kernels)
    switched: Array = own.of(table, "flop_energy") * _flop_joules(law)[table.arithmetic] * table.flops
    moved: Array = own.of(table, "byte_energy") * law.byte_joules * table.bytes
    return switched, moved


def seconds_of(table: KernelTable, kernels: Mapping[str, KernelLaw], limits: Limits, clock: float = 1.0) -> Array:
    """Return the seconds of each kernel at the clock share ``clock``, (n,); collectives take none."""
    own = _Coefficients(kernels)
    computing = compute_seconds(table, kernels, limits) / clock
    return _row_seconds(table, own, limits, computing, clock)


def pace(law: Law, watts_per_flops: float, of_tables: float) -> float:
    """Return the share of the fitted rate at which a card computes whose power limit over peak is ``watts_per_flops``.

    ``of_tables``: the same of the cards whose tables were fitted, which large products bring to their limit. With less
    the clock x falls until x·V²(x) is the relation of the two.
    """
    wanted = watts_per_flops / of_tables if of_tables else 1.0
    if wanted >= 1:
        return 1.0
    low, high = LOWEST_CLOCK, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        over = middle * float(voltage_squared(law, np.array(middle))) > wanted
        low, high = (low, middle) if over else (middle, high)
    return low


def static_watts(law: Law, clock: float) -> float:
    """Return the power of a busy card before any dynamic energy."""
    return law.static_watts + law.clock_watts * clock * float(voltage_squared(law, np.array(clock)))


class _Coefficients:
    """Fields of every kind of kernel as arrays in the order of ``KERNELS``, with zeros for collectives."""

    def __init__(self, kernels: Mapping[str, KernelLaw]) -> None:
        self._kernels = kernels

    def of(self, table: KernelTable, name: str) -> Array:
        """Return a field for each kernel of ``table``, (n,)."""
        return self.at(table.kernel, name)

    def at(self, kernel: Index, name: str) -> Array:
        values = [getattr(self._kernels[kind], name) for kind in KERNELS]
        found: Array = np.array([*values, 1.0 if name in _ONE else 0.0])[kernel]
        return found


def _row_seconds(table: KernelTable, own: _Coefficients, limits: Limits, computing: Array, clock: float) -> Array:
    memory = table.bytes / (own.of(table, "memory_share") * limits.bandwidth_bytes_per_second)
    cycle = 1 / (limits.multiprocessors * limits.clock_hertz * clock)
    widening = own.of(table, "element_cycles") * table.elements * cycle
    narrowing = own.of(table, "input_cycles") * table.prepared * cycle
    sharpness = own.of(table, "sharpness")
    longest = _longest(_longest(computing, memory, sharpness), widening, sharpness)
    started = np.ceil(table.units / limits.multiprocessors) * own.of(table, "unit_seconds")
    return longest + narrowing + started + own.of(table, "tail_seconds") * table.launches


def compute_seconds(table: KernelTable, kernels: Mapping[str, KernelLaw], limits: Limits) -> Array:
    """Return t_c of each kernel at boost, (n,)."""
    own = _Coefficients(kernels)
    rate = np.append(limits.peak_flops, 0.0)[table.arithmetic] * own.of(table, "compute_share")
    seconds = _ratio(table.flops, rate, 0.0)
    tiled = np.zeros(table.bytes.size, dtype=bool)
    tiled[table.row] = True
    return np.where(tiled, _tiled_seconds(table, own, limits, rate), seconds) if tiled.any() else seconds


def _tiled_seconds(table: KernelTable, own: _Coefficients, limits: Limits, rate: Array) -> Array:
    """Return the seconds of each product, (n,), with the tile and split that are fastest for it, and 0 for others.

    The products of a group run in the same waves.
    """
    size, edge, depth = rate.size, own.of(table, "tile_edge"), own.of(table, "depth")
    largest = 1 / TILES[0][0] + 1 / TILES[0][1]
    outputs = np.bincount(table.row, weights=table.products * table.m * table.n, minlength=size)
    inner = np.zeros(size)
    np.maximum.at(inner, table.row, table.k)
    fastest = np.full(size, np.inf)
    for height, width in TILES:
        own_tiles = table.products * np.ceil(table.m / height) * np.ceil(table.n / width)
        tiles = np.bincount(table.row, weights=own_tiles, minlength=size)
        share = (1 + edge * largest) / (1 + edge * (1 / height + 1 / width))
        step = _ratio(2 * height * width * limits.multiprocessors, rate * share, 0.0)
        for split in SPLITS:
            waves = np.ceil(tiles * split / limits.multiprocessors)
            sums = 0.0 if split == 1 else _PARTIAL_BYTES * split * outputs / limits.bandwidth_bytes_per_second
            fastest = np.minimum(fastest, waves * step * (inner / split + depth) + sums)
    return fastest


def _collective_seconds(table: KernelTable, card: Card, cards: int) -> Array:
    if cards < 2:
        return np.zeros_like(table.bytes)
    link = card.collectives[str(min(degree for degree in (2, 4, 8) if degree >= min(cards, 8)))]
    return link.latency_seconds + table.message_bytes / link.bytes_per_second


def _flop_joules(law: Law) -> Array:
    """Return joules of an operation by position in ``COMPUTED``, and 0 for position −1."""
    known = law.flop_joules
    typical = known.get("bf16", max(known.values(), default=0.0))
    return np.array([*(known.get(_NEAREST.get(name, name), typical) for name in COMPUTED), 0.0])


def _ratio(over: Array | float, under: Array, otherwise: float) -> Array:
    """Return ``over`` / ``under``, or ``otherwise`` where ``under`` is 0."""
    over = np.broadcast_to(np.asarray(over, dtype=float), under.shape)
    found: Array = np.divide(over, under, out=np.full(under.shape, otherwise), where=under > 0)
    return found


def _longest(one: Array, other: Array, sharpness: Array) -> Array:
    """Compute the soft maximum (one^p + other^p)^(1/p) without overflow."""
    longest = np.maximum(np.maximum(one, other), np.finfo(float).tiny)
    soft: Array = longest * (1 + (np.minimum(one, other) / longest) ** sharpness) ** (1 / sharpness)
    return soft
