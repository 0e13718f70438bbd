"""The law's coefficients as a vector to search: logarithms, each with a start and a prior spread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from joulecast.energy.features import Array
from joulecast.energy.profile import Host, Law


@dataclass(frozen=True, slots=True, kw_only=True)
class Coefficient:
    """One unknown coefficient.

    - ``path``: a field of ``Law`` or ``host``, with a key after a dot where the field is a mapping.
    - ``centre``: expected value.
    - ``spread``: standard deviation of its logarithm about the centre (a Gaussian prior).
    """

    path: str
    centre: float
    spread: float


_INSIDE = 0.85  # a usual share of a peak
_SHARES = ("law.compute_efficiency", "law.held_share", "law.voltage_floor")


@dataclass(frozen=True, slots=True, kw_only=True)
class Laws:
    """A law and a host with some coefficients unknown; the others stay as in ``law`` and ``host``."""

    law: Law
    host: Host
    unknown: tuple[Coefficient, ...]

    @property
    def centre(self) -> Array:
        return np.log([unknown.centre for unknown in self.unknown])

    @property
    def spread(self) -> Array:
        return np.array([unknown.spread for unknown in self.unknown])

    def at(self, vector: Sequence[float] | Array) -> tuple[Law, Host]:
        """Return the law and host whose unknowns have the logarithms ``vector``."""
        values = {"law": asdict(self.law), "host": asdict(self.host)}
        for unknown, logarithm in zip(self.unknown, vector, strict=True):
            _put(values, unknown.path, float(np.exp(logarithm)))
        return Law(**values["law"]), Host(**values["host"])

    @property
    def highest(self) -> Array:
        """Return upper bounds of the logarithms: shares of a peak and of boost's voltage are at most 1, others
        unbounded."""
        shares = [unknown.path.startswith(_SHARES) for unknown in self.unknown]
        return np.where(shares, 0.0, np.inf)

    @property
    def start(self) -> Array:
        """Return the start of a search: the centre, moved inside the bounds, because a search cannot move on them."""
        inside: Array = np.minimum(self.centre, self.highest + np.log(_INSIDE))
        return inside

    def value(self, path: str) -> float | None:
        """Return the value of ``law`` or ``host`` at ``path``, or None where a mapping does not have the key."""
        part, _, rest = path.partition(".")
        name, _, key = rest.partition(".")
        found = getattr(self.law if part == "law" else self.host, name)
        return found.get(key) if key else found  # type: ignore[no-any-return]


def _put(values: Mapping[str, dict[str, Any]], path: str, value: float) -> None:
    part, _, rest = path.partition(".")
    name, _, key = rest.partition(".")
    if key:
        values[part][name] = {**values[part][name], key: value}
    else:
        values[part][name] = value


SPREADS: Mapping[str, float] = {
    "law.compute_efficiency.bf16": 0.2,
    "law.compute_efficiency.tf32": 0.2,
    "law.compute_efficiency.fp32": 0.2,
    "law.tile_edge.bf16": 0.15,
    "law.tile_edge.fp32": 0.3,
    "law.transposed_depth.fp32": 0.3,
    "law.family_compute.convolution": 0.4,
    "law.family_compute.batched": 0.5,
    "law.memory_efficiency": 0.1,
    "law.family_memory.convolution": 0.3,
    "law.family_memory.batched": 0.3,
    "law.family_memory.normalisation": 0.3,
    "law.family_memory.softmax": 0.3,
    "law.family_memory.broadcast": 0.2,
    "law.family_memory.other": 0.1,
    "law.instructions.normalisation": 0.25,
    "law.instructions.softmax": 0.25,
    "law.instructions.broadcast": 0.25,
    "law.instructions.other": 0.15,
    "law.instructions.depthwise": 1.0,
    "law.tail_seconds": 0.5,
    "law.flop_joules.bf16": 0.4,
    "law.flop_joules.tf32": 0.5,
    "law.flop_joules.fp32": 0.5,
    "law.instruction_joules": 0.7,
    "law.byte_joules": 0.5,
    "law.static_watts": 0.3,
    "law.clock_watts": 0.5,
    "law.gap_watts": 0.3,
    "law.held_share": 0.02,
    "law.voltage_floor": 0.3,
    "law.voltage_exponent": 0.4,
    "host.kernel_seconds": 0.5,
    "host.view_seconds": 0.5,
    "host.module_call_seconds": 0.5,
    "host.forward_seconds": 1.0,
}
"""Path of a coefficient to the standard deviation of its logarithm: how far the card may lie from what its tables and
the other cards say (ADR 0116)."""

_OF_THE_REST: Mapping[str, float] = {
    "law.compute_efficiency": 0.4,
    "law.flop_joules": 0.5,
    "law.family_compute": 0.5,
    "law.family_memory": 0.5,
}
"""Spread of arithmetics and families that ``SPREADS`` does not name: only the card's own rows determine them, so they
are known to within a factor of about two."""


def spread_of(path: str) -> float:
    """Return the spread of the coefficient at ``path``. Raises KeyError for a coefficient that no fit moves."""
    return SPREADS[path] if path in SPREADS else _OF_THE_REST[path.rpartition(".")[0]]
