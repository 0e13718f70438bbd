"""The physical law: time and energy of kernels from what they compute and move, and of networks from their kernels.

With x = SM clock / boost clock and V²(x) = w + (1 − w)·x^q, the square of the supply voltage relative to boost:

    contraction   t_c = repeats · α · min over tiles i × j and splits s of
                        waves · SMs · 2·i·j·(k/s + k₀·P/P_max + τ) / (P·η·φ·x·ε) + partial sums / bandwidth,
                  waves = ⌈b·⌈m/i⌉·⌈n/j⌉·s / SMs⌉, ε = (1 + g·(1/I + 1/J)) / (1 + g·(1/i + 1/j)), I × J the largest tile
    pass          t_m = max(bytes / (β·ψ·bandwidth), turns·``WAIT_SECONDS``),   t_i = elements·ι / (128·SMs·clock)
    row           t = ‖Σ t_c, ‖t_m, t_i‖_p‖_p + tail·kernels
    row           E = (P_static + P_clock·x·V²)·t + (e_F·FLOPs + e_I·ι·elements)·V² + e_B·bytes
    network       T = max(Σ t, a·kernels + b·views + c·modules + d),
                  E = Σ E_row + (P_gap + P_clock·x·V²)·(T − Σ t)
    cap           if E/T exceeds the power that the card holds under its limit, x falls until it does not: sums first,
                  then the cap, for the whole network

φ, ψ and ι belong to the family of the kernel (attention, convolution, …), τ is the ``transposed_depth`` of weights that
lie as (n, k), α the toll of unaligned products (``UNALIGNED``), P_max the peak of the chip's fastest arithmetic, the
other letters are the fields of ``profile.Law``. A prologue takes the same time whatever is multiplied, hence
k₀·P/P_max. The soft maximum of a roofline is Williams 2009; tiles, waves and splits are how libraries cut a product
(NVIDIA, Matrix Multiplication Background); V² and x·V² are CMOS switching power.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache, partial

import numpy as np

from joulecast.energy.features import ARITHMETIC, FAMILIES, Array, Features, Flags, Index, executed, features
from joulecast.energy.model import LayerEnergy, Origin
from joulecast.energy.profile import AcceleratorProfile, Host, Law
from joulecast.errors import NotCalibratedError
from joulecast.layers import LayerProfile

LOWEST_CLOCK = 0.15
"""Lowest clock of the law, as a share of boost: 210 of 1410 MHz, the idle clock of an A100 (its nvidia-smi -q -d
CLOCK)."""
HIGHEST_CLOCK = 1.1
"""Highest clock of the law, as a share of boost: peaks are quoted at a clock below the highest one, 1830 of 1980 MHz on
an H200 (its data sheet and nvidia-smi -q -d SUPPORTED_CLOCKS), 1.08."""
_TYPICAL_CLOCK_MHZ = 1500.0  # between an A100's boost and a T4's, where no source states one
TILES = ((256, 128), (128, 256), (128, 128), (256, 64), (64, 256), (128, 64), (64, 128), (64, 64), (64, 32), (32, 64))
"""Output tiles of cuBLAS and CUTLASS kernels, elements."""
SPLITS = (1, 2, 4, 8)
"""Blocks that share one output tile, each with a part of k; their partial sums pass through memory in fp32."""
UNALIGNED = 2.0
"""Of the time of a tensor-core product whose rows do not begin at multiples of 16 bytes: loads are then of single
elements (CUTLASS: most such kernels need 128-bit accesses; NVIDIA, Matrix Multiplication Background, section 2.2)."""
_ALIGNED_ELEMENTS = {"fp32": 1, "tf32": 4, "fp16": 8, "bf16": 8}  # outside tensor cores any row will do
WAIT_SECONDS = 3.4e-7
"""For which a thread waits for a load from memory before its next one: what EfficientFormerV2's bilinear interpolations
take in timm's benchmark on RTX 3090, 4090, 5090 and PRO 6000 Max-Q, 0.29 to 0.40 µs, nearly all of their time."""
_CAP_STEPS = 24  # halvings of [LOWEST_CLOCK, 1]: the clock is then known to 1e-7 of boost
_CAP_TOLERANCE = 1e-5  # of the clock and of the power that it gives, after so many halvings


@dataclass(frozen=True, slots=True, kw_only=True)
class Chip:
    """The limits of the hardware that the law needs. ``peak_flops`` (arithmetics,): 0 where the hardware lacks one."""

    peak_flops: Array
    bandwidth_bytes_per_second: float
    multiprocessors: float
    instructions_per_second: float
    power_limit_watts: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Busy:
    """Device-busy cost of each row, (n,) arrays: seconds and joules by cause."""

    seconds: Array
    static_joules: Array
    compute_joules: Array
    memory_joules: Array

    @property
    def joules(self) -> Array:
        return self.static_joules + self.compute_joules + self.memory_joules


@dataclass(frozen=True, slots=True, kw_only=True)
class AtBoost:
    """Each row at the boost clock, (n,) arrays: the time of each part alone, and its dynamic energy by cause."""

    compute_seconds: Array
    issue_seconds: Array
    memory_seconds: Array
    tail_seconds: Array
    switched_joules: Array
    memory_joules: Array

    def subset(self, kept: Flags | Index) -> AtBoost:
        """Select the rows of ``kept``: flags (n,), or positions, each as often as it occurs."""
        return AtBoost(**{field.name: getattr(self, field.name)[kept] for field in fields(self)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Networks:
    """The network of each row, (n,), out of ``size`` networks, and how often the row occurs there, (n,)."""

    index: Index
    count: Array
    size: int

    def sum(self, values: Array) -> Array:
        """Sum values (n,) per row to (size,) per network."""
        total: Array = np.bincount(self.index, weights=values * self.count, minlength=self.size).astype(float)
        return total

    def subset(self, networks: Flags, rows: Flags) -> Networks:
        """Select some networks and only the rows that belong to them."""
        renumbered = np.cumsum(networks) - 1
        return Networks(index=renumbered[self.index[rows]], count=self.count[rows], size=int(networks.sum()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Composed:
    """A forecast of whole networks, (size,) arrays.

    - ``clock``: the clock over boost that they run at.
    - ``busy``: the device's time, row by row.
    """

    seconds: Array
    joules: Array
    gap_joules: Array
    clock: Array
    busy: Busy


def chip_of(profile: AcceleratorProfile) -> Chip:
    return Chip(
        peak_flops=np.array([profile.peak_flops.get(name, 0.0) for name in ARITHMETIC]),
        bandwidth_bytes_per_second=profile.bandwidth_bytes_per_second,
        multiprocessors=profile.multiprocessors,
        instructions_per_second=instructions_per_second(profile.multiprocessors, profile.boost_clock_mhz),
        power_limit_watts=profile.power_limit_watts,
    )


def instructions_per_second(multiprocessors: float, boost_clock_mhz: float | None) -> float:
    """Return instructions per second of single threads at boost: four schedulers, each a warp of 32 threads a cycle."""
    return 4 * 32 * multiprocessors * (boost_clock_mhz or _TYPICAL_CLOCK_MHZ) * 1e6


def voltage_squared(law: Law, clock: Array) -> Array:
    """Return V² relative to boost at the clock share ``clock``."""
    return law.voltage_floor + (1 - law.voltage_floor) * clock**law.voltage_exponent


def busy(rows: Features, law: Law, chip: Chip, clock: Array) -> Busy:
    """Compute the cost of each row at its clock share ``clock`` (n,)."""
    return _at_clock(at_boost(rows, law, chip), law, clock)


def at_boost(rows: Features, law: Law, chip: Chip, computing: Array | None = None) -> AtBoost:
    """Compute what is independent of the clock or proportional to it.

    ``computing``: ``compute_seconds``, where known.
    """
    instructions = rows.elements * _table(law.instructions, FAMILIES)[rows.family]
    flop_joules = _table(law.flop_joules, ARITHMETIC)[rows.arithmetic]
    return AtBoost(
        compute_seconds=compute_seconds(rows, law, chip) if computing is None else computing,
        issue_seconds=instructions / chip.instructions_per_second,
        memory_seconds=memory_seconds(rows, law, chip),
        tail_seconds=law.tail_seconds * rows.kernels,
        switched_joules=flop_joules * rows.flops + law.instruction_joules * instructions,
        memory_joules=law.byte_joules * rows.bytes,
    )


def _at_clock(rows: AtBoost, law: Law, clock: Array) -> Busy:
    issued = _longest(rows.memory_seconds, rows.issue_seconds / clock, law.sharpness)
    seconds = _longest(rows.compute_seconds / clock, issued, law.sharpness) + rows.tail_seconds
    squared = voltage_squared(law, clock)
    return Busy(
        seconds=seconds,
        static_joules=(law.static_watts + law.clock_watts * clock * squared) * seconds,
        compute_joules=squared * rows.switched_joules,
        memory_joules=rows.memory_joules,
    )


COMPUTE_FIELDS = ("compute_efficiency", "family_compute", "tile_edge", "depth", "transposed_depth")
"""All that ``compute_seconds``, the dearest part of a forecast, takes from a law."""


def compute_seconds(rows: Features, law: Law, chip: Chip) -> Array:
    """Return Σ t_c of each row at boost, (n,)."""
    if not rows.row.size:
        return np.zeros_like(rows.bytes)
    arithmetic = rows.arithmetic[rows.row]
    share = _table(law.compute_efficiency, ARITHMETIC)[arithmetic]
    rate = chip.peak_flops[arithmetic] * share * _table(law.family_compute, FAMILIES, 1.0)[rows.family[rows.row]]
    seconds = rows.repeats * _tiled_seconds(rows, law, chip, rate)
    total: Array = np.bincount(rows.row, weights=seconds, minlength=rows.bytes.size).astype(float)
    return total


def _tiled_seconds(rows: Features, law: Law, chip: Chip, rate: Array) -> Array:
    """Return the seconds of each contraction (c,) with the tile and split that are fastest for it.

    ``rate`` (c,): FLOP/s of all multiprocessors.
    """
    arithmetic = rows.arithmetic[rows.row]
    edge = _table(law.tile_edge, ARITHMETIC)[arithmetic]
    turned = rows.transposed[rows.row] * _table(law.transposed_depth, ARITHMETIC)[arithmetic]
    depth = law.depth * chip.peak_flops[arithmetic] / chip.peak_flops.max() + turned
    largest = 1 / TILES[0][0] + 1 / TILES[0][1]
    outputs = rows.products * rows.m * rows.n
    fastest = np.full_like(rate, np.inf)
    for height, width in TILES:
        tiles = rows.products * np.ceil(rows.m / height) * np.ceil(rows.n / width)
        share = (1 + edge * largest) / (1 + edge * (1 / height + 1 / width))
        step = 2 * height * width * chip.multiprocessors / (rate * share)
        for split in SPLITS:
            waves = np.ceil(tiles * split / chip.multiprocessors)
            partial = 0.0 if split == 1 else 8 * split * outputs / chip.bandwidth_bytes_per_second
            fastest = np.minimum(fastest, waves * step * (rows.k / split + depth) + partial)
    return fastest * _slowed(rows)


def _slowed(rows: Features) -> Array:
    """Return α of each contraction, (c,). Convolutions and fused attention pad odd sizes."""
    aligned = _table(_ALIGNED_ELEMENTS, ARITHMETIC)[rows.arithmetic[rows.row]]
    odd = (rows.k % aligned > 0) | (rows.n % aligned > 0)
    products = np.isin(rows.family[rows.row], [FAMILIES.index(name) for name in ("matmul", "batched")])
    return np.where(odd & products, UNALIGNED, 1.0)


def memory_seconds(rows: Features, law: Law, chip: Chip) -> Array:
    """Return t_m of each row, (n,)."""
    share = law.memory_efficiency * _table(law.family_memory, FAMILIES, 1.0)[rows.family]
    return np.maximum(rows.bytes / (share * chip.bandwidth_bytes_per_second), rows.turns * WAIT_SECONDS)


def _longest(one: Array, other: Array, sharpness: float) -> Array:
    """Compute the soft maximum (one^p + other^p)^(1/p) without overflow."""
    longest = np.maximum(np.maximum(one, other), np.finfo(float).tiny)
    soft: Array = longest * (1 + (np.minimum(one, other) / longest) ** sharpness) ** (1 / sharpness)
    return soft


def compose(rows: Features, law: Law, chip: Chip, networks: Networks, clock: Array, waits: Array) -> Composed:
    """Compute whole networks whose clock is locked at, or may rise to, ``clock`` (size,), under the power limit.

    ``waits``: (size,) seconds that the host needs to launch each (``host_seconds``).
    """
    return compose_at_boost(at_boost(rows, law, chip), law, chip, networks, clock, waits)


def compose_at_boost(boost: AtBoost, law: Law, chip: Chip, networks: Networks, clock: Array, waits: Array) -> Composed:
    """Compute the same as ``compose`` from rows whose cost at the boost clock is known."""
    top = _at(boost, law, networks, waits, clock)
    over = top.joules > held_watts(law, chip) * top.seconds
    if not over.any():
        return top
    mine = over[networks.index]
    lower = clock.copy()
    few = boost.subset(mine), networks.subset(over, mine)
    lower[over] = _capped(*few, law, held_watts(law, chip), waits[over], clock[over])
    return _at(boost, law, networks, waits, lower)


def _capped(rows: AtBoost, networks: Networks, law: Law, watts: float, waits: Array, clock: Array) -> Array:
    """Return the highest clock shares below ``clock`` at which ``watts`` hold, by bisection, else the lowest one."""
    low, high = np.minimum(LOWEST_CLOCK, clock), clock
    for _ in range(_CAP_STEPS):
        middle = (low + high) / 2
        tried = _at(rows, law, networks, waits, middle)
        holds = tried.joules <= watts * tried.seconds
        low, high = np.where(holds, middle, low), np.where(holds, high, middle)
    return low


def held_watts(law: Law, chip: Chip) -> float:
    """Return the average watts that the card's own control holds below its limit."""
    return law.held_share * chip.power_limit_watts


def host_seconds(
    rows: Features, host: Host, networks: Networks, *, views: Array | float, modules: Array | float
) -> Array:
    """Return a·kernels + b·views + c·modules + d of each network, (size,).

    ``views``, ``modules``: (size,) free views of executed rows and others, and module calls.
    """
    launched = host.kernel_seconds * networks.sum(rows.kernels)
    return launched + host.view_seconds * views + host.module_call_seconds * modules + host.forward_seconds


def _at(rows: AtBoost, law: Law, networks: Networks, waits: Array, clock: Array) -> Composed:
    spent = _at_clock(rows, law, clock[networks.index])
    active = networks.sum(spent.seconds)
    seconds = np.maximum(active, waits)
    idle_watts = law.gap_watts + law.clock_watts * clock * voltage_squared(law, clock)
    gap = idle_watts * (seconds - active)
    return Composed(seconds=seconds, joules=networks.sum(spent.joules) + gap, gap_joules=gap, clock=clock, busy=spent)


def _table(values: Mapping[str, float], names: Sequence[str], absent: float = 0.0) -> Array:
    """Return ``values`` in the order of ``names``, with a last 0 for the position −1 of rows that compute nothing."""
    return np.array([*(values.get(name, absent) for name in names), 0.0])


@dataclass(frozen=True, slots=True)
class Physical:
    """The law of one accelerator under one runtime."""

    profile: AcceleratorProfile
    runtime: str = "torch-eager"

    def predict(
        self, layers: Sequence[LayerProfile], *, precision: str, clock_mhz: float | None = None
    ) -> tuple[LayerEnergy, ...]:
        """Predict each executed row alone, without the power cap, which applies to whole networks."""
        rows = executed(layers, self.runtime)
        table = features(rows, precision=precision, runtime=self.runtime, lacks=self.profile.lacks)
        clock = np.full(len(rows), clock_share(self.profile, clock_mhz))
        return layer_energies(rows, table, busy(table, self.profile.law, chip_of(self.profile), clock), self.profile)


def clock_share(profile: AcceleratorProfile, clock_mhz: float | None) -> float:
    """Return ``clock_mhz`` as a share of boost, 1 if None.

    Raises NotCalibratedError where boost is unknown or the clock lies outside [``LOWEST_CLOCK``, ``HIGHEST_CLOCK``].
    """
    if clock_mhz is None:
        return 1.0
    boost = profile.boost_clock_mhz
    if boost is None:
        raise NotCalibratedError(
            f"{profile.product} has no trusted boost clock, so a clock of {clock_mhz:g} MHz cannot be priced:"
            " leave it out"
        )
    share = clock_mhz / boost
    if not LOWEST_CLOCK <= share <= HIGHEST_CLOCK:
        raise NotCalibratedError(
            f"a clock of {clock_mhz:g} MHz cannot be priced on {profile.product}, whose boost clock is {boost:g} MHz:"
            f" give one from {math.ceil(LOWEST_CLOCK * boost)} to {math.floor(HIGHEST_CLOCK * boost)} MHz",
            reason="ClockOutOfRange",
        )
    return share


def over_the_limit(forecast: Composed, law: Law, chip: Chip) -> Flags:
    """Return which networks (size,) exceed the held power even at ``LOWEST_CLOCK``.

    For them the power limit lies below the law's range.
    """
    held = held_watts(law, chip) * forecast.seconds * (1 + _CAP_TOLERANCE)
    over: Flags = (forecast.joules > held) & (forecast.clock <= LOWEST_CLOCK * (1 + _CAP_TOLERANCE))
    return over


def layer_energies(
    rows: Sequence[LayerProfile], table: Features, spent: Busy, profile: AcceleratorProfile
) -> tuple[LayerEnergy, ...]:
    """Return one ``LayerEnergy`` a row, with the origin of the joules that price it."""
    origin = cache(partial(row_origin, profile))
    names = (*ARITHMETIC, "")  # the last one, at -1, is that of rows without MACs
    op_types = [row.op_type for row in rows]
    return LayerEnergy.of_columns(
        name=[row.name for row in rows],
        op_type=op_types,
        scope=[row.scope for row in rows],
        seconds=spent.seconds.tolist(),
        static_joules=spent.static_joules.tolist(),
        compute_joules=spent.compute_joules.tolist(),
        memory_joules=spent.memory_joules.tolist(),
        origin=list(map(origin, op_types, [names[place] for place in table.arithmetic.tolist()])),
        priced=table.priced.tolist(),
    )


def row_origin(profile: AcceleratorProfile, op_type: str, arithmetic: str) -> Origin:
    """Return the strongest origin of joules that cover this op type in this arithmetic (``""``: none)."""
    for entry in profile.energy_rows:
        if (not arithmetic or arithmetic in entry.arithmetics) and ("*" in entry.op_types or op_type in entry.op_types):
            return entry.origin
    return "datasheet" if profile.origin == "datasheet" else "transferred"
