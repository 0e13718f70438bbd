"""Estimate from its trace the most memory that a forward pass needs at once."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import accumulate

from joulecast.graph import ITEMSIZE_BYTES, STORED
from joulecast.readers.module.calls import TensorSpec, Trace

MARGIN = 1.15
"""Margin for workspaces of libraries and the allocator's fragments, which a trace does not show."""


def stored_bytes(spec: TensorSpec) -> float:
    """Return the bytes that the tensor's elements occupy in memory: an expanded dimension occupies none."""
    own = [size for size, stride in zip(spec.shape, spec.strides, strict=True) if stride or size == 0]
    return math.prod(own) * ITEMSIZE_BYTES[spec.dtype]


def peak_bytes(trace: Trace, launches: Sequence[bool]) -> int:
    """Return the most bytes of stored tensors, inputs, and activations that live at once.

    A result is freed after its last reader, as in Python's reference counting. ``launches``: whether each call runs a
    kernel; the others return views, which keep their origin alive.
    """
    origins = _origins(trace, launches)
    made = {name: (place, size) for name, place, size in _made(trace, origins)}
    last = _last_uses(trace, origins)
    change = [0.0] * (len(trace.calls) + 2)
    for name, (place, size) in made.items():
        change[place] += size
        change[last.get(name, place) + 1] -= size
    return math.ceil(max(accumulate(change)) + _kept_bytes(trace, made))


def _origins(trace: Trace, launches: Sequence[bool]) -> dict[str, str]:
    """Return the name of the tensor whose memory each tensor lies in."""
    origins: dict[str, str] = {}
    for call, launched in zip(trace.calls, launches, strict=True):
        read = [origins.setdefault(spec.name, spec.name) for spec in call.tensors]
        for spec in call.outputs:
            origins.setdefault(spec.name, spec.name if launched or not read else read[0])
    return origins


def _made(trace: Trace, origins: dict[str, str]) -> Iterator[tuple[str, int, float]]:
    """Yield every activation that has memory of its own: name, the call that makes it, bytes."""
    seen = {spec.name for spec in trace.inputs}
    for place, call in enumerate(trace.calls):
        seen.update(spec.name for spec in call.tensors)
        for spec in call.outputs:
            if spec.name not in seen and origins[spec.name] == spec.name:
                yield spec.name, place, stored_bytes(spec)
            seen.add(spec.name)


def _last_uses(trace: Trace, origins: dict[str, str]) -> dict[str, int]:
    """Return, by origin, the last call that reads it; what the pass returns lives to the end."""
    last = {origins[spec.name]: place for place, call in enumerate(trace.calls) for spec in call.tensors}
    return last | {origins[name]: len(trace.calls) for name in trace.outputs if name in origins}


def _kept_bytes(trace: Trace, made: dict[str, tuple[int, float]]) -> float:
    """Return the bytes of stored tensors and inputs, each counted once."""
    read = {spec.name: spec for call in trace.calls for spec in call.tensors if spec.role in STORED}
    kept = {spec.name: spec for spec in trace.inputs} | read
    return sum(stored_bytes(spec) for name, spec in kept.items() if name not in made)
