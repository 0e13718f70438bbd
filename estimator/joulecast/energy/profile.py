"""What is known of one accelerator: its limits, the law's coefficients, where they come from and how wrong they may
be."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, cast

from joulecast.energy.model import Origin
from joulecast.errors import NotCalibratedError

SCHEMA_VERSION = 3
"""Raised when a field is renamed, removed or changes meaning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Law:
    """Coefficients of ``energy.physical``; see there for the equations.

    ``compute_efficiency``: share of the peak that the largest tiles reach, by arithmetic. ``tile_edge``: edge in
    elements at which a square tile spends as long on fetching its operands as on multiplying them, halved, by
    arithmetic. ``depth``: extra k of a product's prologue, in the fastest arithmetic. ``transposed_depth``: more of it
    where the weights lie as (n, k), by arithmetic; 0 where it is not named. ``family_compute``, ``family_memory``: what
    a family of kernels reaches relative to a matrix product's rate and to ``memory_efficiency``; 1 where it is not
    named.
    ``instructions``: that one thread issues for one element of a row without MACs, by family.
    ``sharpness``: exponent of the soft maximum.
    ``flop_joules``, ``instruction_joules``, ``byte_joules``: dynamic energy at boost. ``static_watts`` +
    ``clock_watts`` × x·V²(x): power of a busy chip before any dynamic energy; ``gap_watts`` + ``clock_watts`` ×
    x·V²(x): with a context alive, clocks up and no kernel. ``held_share``: what the card's control holds under its
    power limit. ``voltage_floor``, ``voltage_exponent``: V²(x) = floor + (1 − floor)·x^exponent, x = clock over boost
    clock.
    """

    compute_efficiency: Mapping[str, float]
    tile_edge: Mapping[str, float]
    depth: float
    transposed_depth: Mapping[str, float]
    family_compute: Mapping[str, float]
    memory_efficiency: float
    family_memory: Mapping[str, float]
    instructions: Mapping[str, float]
    sharpness: float
    tail_seconds: float
    flop_joules: Mapping[str, float]
    instruction_joules: float
    byte_joules: float
    static_watts: float
    clock_watts: float
    gap_watts: float
    held_share: float
    voltage_floor: float
    voltage_exponent: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """Seconds that the launching process spends: a kernel, a view, a module call, a forward pass.

    ``measured_on``: whose they are.
    """

    kernel_seconds: float
    view_seconds: float
    forward_seconds: float
    measured_on: str
    module_call_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyRows:
    """Joules that stand behind some rows: op types (``*``: any) in these arithmetics have ``origin``."""

    origin: Origin
    arithmetics: tuple[str, ...]
    op_types: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """Half-width of the prediction interval, as a natural logarithm: true / forecast lies within exp(±
    ``log_half_width``).

    ``groups`` calibration groups stood behind it; ``guaranteed`` from nine on. ``coverage``: on held-out rows, where
    that was measured.
    ``rule``: how the width was found, in one sentence.
    """

    level: float
    log_half_width: float
    groups: int
    guaranteed: bool
    rule: str
    coverage: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedFrom:
    """One source of rows that were fitted: what, how many, whose, under which licence."""

    name: str
    what: str
    rows: int
    origin: str
    licence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceleratorProfile:
    """Everything that prices a model on one accelerator. ``product``: the node label's value, normalised.

    ``peak_flops``: dense operations per second at the boost clock, by arithmetic; ``lacks``: arithmetics the hardware
    does not have.
    ``unverified``: data-sheet values that one unread source alone vouches for. ``held_out``: figures on rows the fit
    never saw.
    ``training_range``: smallest and largest FLOPs and bytes of a row that was fitted. ``driver``: None where the rows
    do not say. ``simulated``: fitted on rows of a simulated device, good for tests alone.
    """

    product: str
    origin: Origin
    architecture: str
    peak_flops: Mapping[str, float]
    lacks: tuple[str, ...]
    bandwidth_bytes_per_second: float
    power_limit_watts: float
    boost_clock_mhz: float | None
    multiprocessors: float
    law: Law
    hosts: Mapping[str, Host]
    interval: Interval
    energy_rows: tuple[EnergyRows, ...] = ()
    fitted_from: tuple[FittedFrom, ...] = ()
    unverified: tuple[str, ...] = ()
    held_out: Mapping[str, float] = field(default_factory=dict)
    training_range: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    driver: str | None = None
    suite: str | None = None
    simulated: bool = False
    schema_version: int = SCHEMA_VERSION

    @property
    def runtimes(self) -> tuple[str, ...]:
        return tuple(self.hosts)

    @property
    def precisions(self) -> tuple[str, ...]:
        """``default`` if it can be priced, and every arithmetic with a peak."""
        missing = {"fp32", "tf32"} - set(self.peak_flops) - set(self.lacks)
        return (*(() if missing else ("default",)), *self.peak_flops)

    def to_json(self) -> str:
        """The profile as JSON text, the same for the same profile."""
        return json.dumps(asdict(self), indent=1, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str) -> AcceleratorProfile:
        """The profile that ``to_json`` wrote. Raises NotCalibratedError for any other text."""
        try:
            return _profile(json.loads(text))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise NotCalibratedError(
                f"this is not an accelerator profile of schema version {SCHEMA_VERSION}"
                f" ({type(error).__name__}: {error}):"
                " make one with `joulecast fit`",
                reason="InvalidProfile",
            ) from error


def _profile(document: dict[str, Any]) -> AcceleratorProfile:
    if document["schema_version"] != SCHEMA_VERSION:
        raise ValueError(f"schema version {document['schema_version']!r}")
    if document["product"].lower().startswith("simulated-"):
        raise ValueError(f"{document['product']} does not exist, and nothing was measured on it")
    nested: dict[str, Any] = {
        "law": Law(**document["law"]),
        "interval": Interval(**document["interval"]),
        "hosts": {name: Host(**host) for name, host in document["hosts"].items()},
        "energy_rows": tuple(_energy_rows(entry) for entry in document["energy_rows"]),
        "fitted_from": tuple(FittedFrom(**entry) for entry in document["fitted_from"]),
        "training_range": {name: tuple(ends) for name, ends in document["training_range"].items()},
        "lacks": tuple(document["lacks"]),
        "unverified": tuple(document["unverified"]),
    }
    return AcceleratorProfile(**{**document, **nested})


def _energy_rows(entry: dict[str, Any]) -> EnergyRows:
    return EnergyRows(
        origin=cast("Origin", entry["origin"]),
        arithmetics=tuple(entry["arithmetics"]),
        op_types=tuple(entry["op_types"]),
    )
