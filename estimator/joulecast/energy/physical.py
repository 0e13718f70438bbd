"""The physical law: time and energy of kernels from what they compute and move, and of networks from their kernels.

With x = SM clock / boost clock and V²(x) = w + (1 − w)·x^q, the square of the supply voltage relative to boost:

    contraction   t_c = repeats · 2·b·m·n·(k + k₀) / (P·η·φ·x) / u,   u = b·m·n / (b·m·n + o·SMs)
    row           t_m = bytes / (β·ψ·bandwidth) · (1 + γ·(1/x − 1)),   t = ((Σ t_c)^p + t_m^p)^(1/p) + tail·kernels
    row           E = (P_static + P_clock·x·V²)·t + e_F·V²·FLOPs + e_B·bytes
    network       T = max(Σ t, a·kernels + b·views + c),   E = Σ E_row + (P_gap + P_clock·x·V²)·(T − Σ t)
    cap           if E/T exceeds the power limit, x falls until it holds: sums first, then the cap, for the whole
    network

φ and ψ belong to the family of the kernel (attention, convolution, …), the other letters are the fields of
``profile.Law``. The roofline is Williams 2009; u is the share of the machine that an output of that size can fill; V²
and x·V² are CMOS switching power.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from joulecast.energy.features import ARITHMETIC, FAMILIES, Array, Features, Flags, Index, executed, features, subset
from joulecast.energy.model import LayerEnergy, Origin
from joulecast.energy.profile import AcceleratorProfile, Host, Law
from joulecast.errors import NotCalibratedError
from joulecast.layers import LayerProfile
from joulecast.units import Joules, Seconds

LOWEST_CLOCK = 0.15
"""Clocks are never lowered below this share of boost: 210 of 1410 MHz, the idle clock of an A100 (its nvidia-smi -q -d
CLOCK)."""
_CAP_STEPS = 24  # halvings of [LOWEST_CLOCK, 1]: the clock is then known to 1e-7 of boost


@dataclass(frozen=True, slots=True, kw_only=True)
class Chip:
    """What the law needs of the hardware. ``peak_flops`` (arithmetics,): 0 where there is none."""

    peak_flops: Array
    bandwidth_bytes_per_second: float
    multiprocessors: float
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
class Networks:
    """Which of ``size`` networks each row belongs to, (n,), and how often it occurs there, (n,)."""

    index: Index
    count: Array
    size: int

    def sum(self, values: Array) -> Array:
        """(n,) per row to (size,) per network."""
        total: Array = np.bincount(self.index, weights=values * self.count, minlength=self.size).astype(float)
        return total

    def subset(self, networks: Flags, rows: Flags) -> Networks:
        """Only some networks, and only the rows that are theirs."""
        renumbered = np.cumsum(networks) - 1
        return Networks(index=renumbered[self.index[rows]], count=self.count[rows], size=int(networks.sum()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Composed:
    """A forecast of whole networks at the clock share ``clock``: (size,) arrays; ``busy`` per row."""

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
        power_limit_watts=profile.power_limit_watts,
    )


def voltage_squared(law: Law, clock: Array) -> Array:
    """V² relative to boost at the clock share ``clock``."""
    return law.voltage_floor + (1 - law.voltage_floor) * clock**law.voltage_exponent


def busy(rows: Features, law: Law, chip: Chip, clock: Array) -> Busy:
    """Cost of each row at its clock share ``clock`` (n,)."""
    compute, memory = compute_seconds(rows, law, chip, clock), memory_seconds(rows, law, chip, clock)
    longest = np.maximum(np.maximum(compute, memory), np.finfo(float).tiny)
    shorter = np.minimum(compute, memory) / longest
    seconds = longest * (1 + shorter**law.sharpness) ** (1 / law.sharpness) + law.tail_seconds * rows.kernels
    squared = voltage_squared(law, clock)
    return Busy(
        seconds=seconds,
        static_joules=(law.static_watts + law.clock_watts * clock * squared) * seconds,
        compute_joules=_table(law.flop_joules, ARITHMETIC)[rows.arithmetic] * squared * rows.flops,
        memory_joules=law.byte_joules * rows.bytes,
    )


def compute_seconds(rows: Features, law: Law, chip: Chip, clock: Array) -> Array:
    """Σ t_c of each row, (n,)."""
    if not rows.row.size:
        return np.zeros_like(rows.bytes)
    arithmetic, pace = rows.arithmetic[rows.row], clock[rows.row]
    share = _table(law.compute_efficiency, ARITHMETIC)[arithmetic]
    rate = chip.peak_flops[arithmetic] * share * pace * _table(law.family_compute, FAMILIES, 1.0)[rows.family[rows.row]]
    outputs = rows.products * rows.m * rows.n
    filled = outputs + law.parallel_outputs * chip.multiprocessors
    seconds = rows.repeats * (2 * filled * (rows.k + law.depth) / rate)
    total: Array = np.bincount(rows.row, weights=seconds, minlength=rows.bytes.size).astype(float)
    return total


def memory_seconds(rows: Features, law: Law, chip: Chip, clock: Array) -> Array:
    """t_m of each row, (n,)."""
    slower = 1 + law.clock_bandwidth * (1 / clock - 1)
    share = law.memory_efficiency * _table(law.family_memory, FAMILIES, 1.0)[rows.family]
    return rows.bytes / (share * chip.bandwidth_bytes_per_second) * slower


def compose(
    rows: Features, law: Law, chip: Chip, host: Host, networks: Networks, clock: Array, launches: Array | None = None
) -> Composed:
    """Whole networks whose clock is locked at, or may rise to, the share ``clock`` (size,), under the power limit.

    ``launches``: (size,) host seconds, if known better than from the rows.
    """
    waits = host_seconds(rows, host, networks) if launches is None else launches
    top = _at(rows, law, chip, networks, waits, clock)
    over = top.joules > chip.power_limit_watts * top.seconds
    if not over.any():
        return top
    mine = over[networks.index]
    few, fewer = subset(rows, mine), networks.subset(over, mine)
    lower = clock.copy()
    lower[over] = _capped(few, law, chip, fewer, waits[over], clock[over])
    return _at(rows, law, chip, networks, waits, lower)


def _capped(rows: Features, law: Law, chip: Chip, networks: Networks, waits: Array, clock: Array) -> Array:
    """The highest clock shares below ``clock`` at which the power limit holds, by bisection; the lowest one where none
    does."""
    low, high = np.minimum(LOWEST_CLOCK, clock), clock
    for _ in range(_CAP_STEPS):
        middle = (low + high) / 2
        tried = _at(rows, law, chip, networks, waits, middle)
        holds = tried.joules <= chip.power_limit_watts * tried.seconds
        low, high = np.where(holds, middle, low), np.where(holds, high, middle)
    return low


def host_seconds(rows: Features, host: Host, networks: Networks) -> Array:
    """a·kernels + b·views + c of each network, (size,)."""
    a_row = host.kernel_seconds * rows.kernels + host.view_seconds * rows.views
    return networks.sum(a_row) + host.forward_seconds


def _at(rows: Features, law: Law, chip: Chip, networks: Networks, waits: Array, clock: Array) -> Composed:
    spent = busy(rows, law, chip, clock[networks.index])
    active = networks.sum(spent.seconds)
    seconds = np.maximum(active, waits)
    idle_watts = law.gap_watts + law.clock_watts * clock * voltage_squared(law, clock)
    gap = idle_watts * (seconds - active)
    return Composed(seconds=seconds, joules=networks.sum(spent.joules) + gap, gap_joules=gap, clock=clock, busy=spent)


def _table(values: Mapping[str, float], names: Sequence[str], absent: float = 0.0) -> Array:
    """``values`` in the order of ``names``, and a last 0 that the position −1 picks: no arithmetic, no compute."""
    return np.array([*(values.get(name, absent) for name in names), 0.0])


@dataclass(frozen=True, slots=True)
class Physical:
    """The law as an ``EnergyModel`` of one accelerator under one runtime."""

    profile: AcceleratorProfile
    runtime: str = "torch-eager"

    def predict(
        self, layers: Sequence[LayerProfile], *, precision: str, clock_mhz: float | None = None
    ) -> tuple[LayerEnergy, ...]:
        """Each executed row alone, at the clock asked for and not capped: the cap is the whole network's."""
        rows = executed(layers)
        table = features(rows, precision=precision, runtime=self.runtime, lacks=self.profile.lacks)
        clock = np.full(len(rows), clock_share(self.profile, clock_mhz))
        return layer_energies(rows, table, busy(table, self.profile.law, chip_of(self.profile), clock), self.profile)


def clock_share(profile: AcceleratorProfile, clock_mhz: float | None) -> float:
    """``clock_mhz`` as a share of boost, 1 if None. Raises NotCalibratedError where boost is unknown or the clock is
    not one of the card's."""
    if clock_mhz is None:
        return 1.0
    if profile.boost_clock_mhz is None:
        raise NotCalibratedError(
            f"{profile.product} has no trusted boost clock, so a clock of {clock_mhz:g} MHz cannot be priced:"
            " leave it out"
        )
    if not 0 < clock_mhz <= 1.25 * profile.boost_clock_mhz:  # peaks are quoted at clocks up to 1.1 × below the highest
        raise NotCalibratedError(
            f"{clock_mhz:g} MHz is no clock of {profile.product}, whose boost clock is {profile.boost_clock_mhz:g} MHz"
        )
    return max(clock_mhz / profile.boost_clock_mhz, LOWEST_CLOCK)


def layer_energies(
    rows: Sequence[LayerProfile], table: Features, spent: Busy, profile: AcceleratorProfile
) -> tuple[LayerEnergy, ...]:
    """One ``LayerEnergy`` a row, with the origin of the joules that price it."""
    columns = zip(
        rows,
        spent.seconds.tolist(),
        spent.static_joules.tolist(),
        spent.compute_joules.tolist(),
        spent.memory_joules.tolist(),
        table.arithmetic.tolist(),
        table.priced.tolist(),
        strict=True,
    )
    return tuple(
        LayerEnergy(
            name=row.name,
            op_type=row.op_type,
            scope=row.scope,
            seconds=Seconds(seconds),
            static_joules=Joules(static),
            compute_joules=Joules(compute),
            memory_joules=Joules(memory),
            origin=row_origin(profile, row.op_type, ARITHMETIC[arithmetic] if arithmetic >= 0 else ""),
            priced=priced,
        )
        for row, seconds, static, compute, memory, arithmetic, priced in columns
    )


def row_origin(profile: AcceleratorProfile, op_type: str, arithmetic: str) -> Origin:
    """The strongest origin of joules that cover this op type in this arithmetic (``""``: it computes none)."""
    for entry in profile.energy_rows:
        if (not arithmetic or arithmetic in entry.arithmetics) and ("*" in entry.op_types or op_type in entry.op_types):
            return entry.origin
    return "datasheet" if profile.origin == "datasheet" else "transferred"
