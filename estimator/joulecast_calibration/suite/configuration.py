"""One configuration of a layer: what a single call costs, by count and by forecast. torch is not needed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from joulecast.accelerators.catalogue import find
from joulecast.canonical import canonicalise
from joulecast.counting import count
from joulecast.energy.physical import Physical
from joulecast.layers import LayerProfile
from joulecast.readers.module.calls import Call
from joulecast.readers.module.graph import graph_of_call
from joulecast.units import round_significant
from joulecast_calibration.rows.counted import launched_rows
from joulecast_calibration.suite.architecture import MEMORY_BYTES
from joulecast_calibration.suite.memory import stored_bytes

RUNTIME = "torch-eager"
ACCELERATOR = "NVIDIA-H100-80GB-HBM3"
"""Accelerator whose forecasts order and budget the suite: the one that is measured first."""

_DIGITS = 4  # of a forecast that is ± 36 % at best
_SUMMED = ("macs", "params", "activations", "input_numel", "bytes_moved", "views")


def described(call: Call) -> dict[str, Any]:
    """Describe a call: the fields of ``SuiteLayer`` that it determines, its call as ``document``, and ``signature``.

    ``signature`` is equal for configurations that no count can tell apart. A call without a kernel gives ``kernels``
    alone, 0.
    """
    rows = launched_rows(count(canonicalise(graph_of_call(call), eager=True)))
    if not rows:
        return {"kernels": 0}
    largest = max(rows, key=lambda row: (row.bytes_moved, row.macs))
    costs = Physical(find(ACCELERATOR)).predict(rows, precision="default")
    return {
        "digest": call.digest,
        "op_type": largest.op_type,
        "dtype": largest.dtype,
        "rows": len(rows),
        **{name: sum(getattr(row, name) for row in rows) for name in _SUMMED},
        "kernels": sum(row.kernels[RUNTIME] for row in rows),
        "fits": buffer_bytes(call) <= MEMORY_BYTES,
        "predicted_seconds": rounded(sum(cost.seconds for cost in costs)),
        "predicted_joules": rounded(sum(cost.joules for cost in costs)),
        "document": call.to_json(),
        "signature": _signature(rows),
    }


def buffer_bytes(call: Call) -> float:
    """Return the bytes of one set of everything that the call reads and writes."""
    return sum(stored_bytes(spec) for spec in (*call.tensors, *call.outputs))


def _signature(rows: Sequence[LayerProfile]) -> str:
    counts = [
        [row.op_type, row.dtype, row.macs, row.bytes_moved, row.weight_numel, [asdict(c) for c in row.contractions]]
        for row in rows
    ]
    counts.sort(key=lambda row: (row[:-1], json.dumps(row[-1])))  # rows may differ in their contractions alone
    return hashlib.sha256(json.dumps(counts).encode()).hexdigest()[:16]


def rounded(value: float) -> float:
    """Round a forecast to the digits that the index keeps."""
    return round_significant(value, _DIGITS)
