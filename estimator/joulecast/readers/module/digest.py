"""The identity of a traced graph: equal for models that differ in names alone."""

from __future__ import annotations

import hashlib
import json

from joulecast.readers.module.calls import Call, Trace


def graph_digest(trace: Trace) -> str:
    """Return ``sha256:`` and 64 hexadecimal digits that are equal for passes that differ in names alone.

    The digest covers every call's function, arguments, shapes, dtypes and strides, which call's result each reads, and
    the inputs and outputs.
    """
    numbers: dict[str, int] = {}
    for spec in trace.inputs:
        numbers[spec.name] = len(numbers)
    state = hashlib.sha256()
    for call in trace.calls:
        state.update(json.dumps(_entry(call, numbers), sort_keys=True).encode())
    state.update(json.dumps([numbers.get(name, -1) for name in trace.outputs]).encode())
    return f"sha256:{state.hexdigest()}"


def _entry(call: Call, numbers: dict[str, int]) -> list[object]:
    read = [numbers.setdefault(spec.name, len(numbers)) for spec in call.tensors]
    written = [numbers.setdefault(spec.name, len(numbers)) for spec in call.outputs]
    return [call.to_json(), read, written]
