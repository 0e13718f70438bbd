"""How far coefficients may lie from what is known before a joule of the card is fitted: the one home of spreads."""

from __future__ import annotations

from collections.abc import Mapping

SPREADS: Mapping[str, float] = {
    "law.compute_efficiency.bf16": 0.1,
    "law.compute_efficiency.tf32": 0.2,
    "law.compute_efficiency.fp32": 0.2,
    "law.tile_edge.bf16": 0.15,
    "law.tile_edge.fp32": 0.3,
    "law.transposed_depth.fp32": 0.3,
    "law.family_compute.convolution": 0.4,
    "law.memory_efficiency": 0.1,
    "law.family_memory.convolution": 0.3,
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
"""Of arithmetics and families that ``SPREADS`` does not name: nothing but the card's own rows tells them, so that they
are known to within a factor of about two."""


def spread_of(path: str) -> float:
    """The spread of the coefficient at ``path``. Raises KeyError for one that no fit moves."""
    return SPREADS[path] if path in SPREADS else _OF_THE_REST[path.rpartition(".")[0]]
