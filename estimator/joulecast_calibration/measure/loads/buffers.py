"""Decide how many sets of buffers a layer rotates over, so that its weights come from memory as in a network."""

from __future__ import annotations

import math

from joulecast.graph import ITEMSIZE_BYTES
from joulecast.readers.module.calls import Call, TensorSpec
from joulecast_calibration.measure.loads.data import base_name, roles, storage_numel
from joulecast_calibration.measure.loads.devices import Device, out_of_memory

MOST_SETS = 64
CACHES = 3  # so many times the last cache lies between two uses of a buffer
SHARE_OF_MEMORY = 0.5  # the rest is workspace of the libraries, and what the allocator rounds up

_TABLES = {"embedding": "weight", "index": "self", "index_select": "self"}


def shared_positions(call: Call) -> frozenset[int]:
    """Find tables of which an execution reads a few rows: all sets share one table, and their indices differ."""
    parameter = _TABLES.get(base_name(call.function))
    return frozenset(
        position
        for position, role in roles(call).items()
        if role.parameter == parameter and call.tensors[position].role in ("parameter", "constant")
    )


def memory_bytes(spec: TensorSpec) -> int:
    """Return the bytes that the tensor occupies, including gaps between its elements."""
    return math.ceil(storage_numel(spec) * ITEMSIZE_BYTES[spec.dtype])


def set_bytes(call: Call) -> int:
    """Return the bytes of weights, inputs and outputs of one set."""
    shared = shared_positions(call)
    read = sum(memory_bytes(spec) for position, spec in enumerate(call.tensors) if position not in shared)
    return read + sum(memory_bytes(spec) for spec in call.outputs)


def set_count(call: Call, device: Device) -> int:
    """Return min(64, ceil(3 · cache / set)), or as many as fit. Raises MeasurementError (OutOfMemory)."""
    one = max(1, set_bytes(call))
    tables = sum(memory_bytes(call.tensors[position]) for position in shared_positions(call))
    free = device.free_bytes() - tables
    if one > free:
        needed = (one + tables) / 1e9
        raise out_of_memory(f"layer {call.function} {call.digest}", f"{needed:.3g} GB needed, {free / 1e9:.3g} GB free")
    wanted = min(MOST_SETS, math.ceil(CACHES * device.cache_bytes() / one))
    return max(1, min(wanted, int(free * SHARE_OF_MEMORY) // one))
