"""Find what decides a shape that cannot be inferred: stored contents that were not read, inputs without content."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from joulecast.readers.onnx.values import SMALL_NUMEL

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from joulecast.graph import Node
    from joulecast.readers.onnx.scope import GraphRecord
    from joulecast.readers.onnx.values import Value
    from joulecast.readers.onnx.workload.asked import Asked

_MAX_VISITED = 1000
"""Values looked at on the way from a shape back to what steers it: shape arithmetic is some tens of nodes."""

_MAX_RANK = 16
"""Dimensions of a tensor; no operator takes more than a handful, and an untrusted file may state any number."""


def shaped(value: Value, inputs: Sequence[Value | None], problem: str, record: GraphRecord, asked: Asked) -> Value:
    """Give ``value`` an example in place of its unknown shape, and note in ``asked`` what would say it.

    That is the content of what steers it where that is found, else the shape itself.
    """
    steers = list(_steers(inputs, record))
    for source in steers:
        asked.open_content(source.name, f"{problem} ({_where(source)})")
    sizes = value.shape if value.shape is not None else _likely(inputs)
    if steers:
        return replace(value, shape=tuple(1 if size is None else size for size in sizes))
    return replace(value, shape=asked.shape(value.name, sizes, problem))


def _likely(inputs: Sequence[Value | None]) -> tuple[int | None, ...]:
    """Return as many unknown dimensions as the target shape has numbers, else as the first input has."""
    first, last = (inputs[0], inputs[-1]) if inputs else (None, None)
    if last is not None and last.shape is not None and len(last.shape) == 1 and 0 < (last.shape[0] or 0) <= _MAX_RANK:
        return (None,) * (last.shape[0] or 0)
    return (None,) * len(first.shape) if first is not None and first.shape else (None,)


def _where(value: Value) -> str:
    if value.role == "input":
        return f"the content of the input {value.name!r} steers it"
    if value.location:
        return f"the content of {value.name!r} lies in the external data file {value.location!r}, which was not read"
    return f"the content of the stored tensor {value.name!r} was not read"


def _steers(inputs: Sequence[Value | None], record: GraphRecord) -> Iterator[Value]:
    """Yield the inputs and stored tensors that decide unknown operands: small and of unknown content."""
    makers = _makers(record)
    waiting = [value for value in inputs if value is not None and value.data is None]
    seen: set[str] = set()
    while waiting and len(seen) < _MAX_VISITED:
        value = waiting.pop()
        if value.name in seen or not _is_small(value):
            continue
        seen.add(value.name)
        if value.role == "input" or value.stored == (value.name,):
            yield value
        elif (node := makers.get(value.name)) is not None:
            waiting += [found for name in node.inputs if name and (found := _value(name, record)) and not found.known]


def _is_small(value: Value) -> bool:
    return value.numel is not None and value.numel <= SMALL_NUMEL and len(value.shape or ()) <= 1


def _makers(record: GraphRecord) -> dict[str, Node]:
    found: dict[str, Node] = {}
    level: GraphRecord | None = record
    while level is not None:
        found |= {name: node for node in level.nodes for name in node.outputs}
        level = level.outer
    return found


def _value(name: str, record: GraphRecord) -> Value | None:
    level: GraphRecord | None = record
    while level is not None:
        if name in level.values:
            return level.values[name]
        level = level.outer
    return None
