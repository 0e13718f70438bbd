"""The passes through the body of a loop: their inputs, their records, and the node that joins their outputs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from joulecast.graph import FLOATING_DTYPES, Node
from joulecast.readers.onnx.attributes import module_path

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onnx import GraphProto, NodeProto

    from joulecast.graph import TensorRole
    from joulecast.readers.onnx.scope import GraphRecord
    from joulecast.readers.onnx.values import Value


class Passes:
    """The records of the passes. Neighbours that cost the same are kept once, with their number.

    - ``ends``: the names of all values that the kept passes return.
    """

    def __init__(self, record: GraphRecord) -> None:
        self._record = record
        self._kept: GraphRecord | None = None
        self._outputs: list[Value] = []
        self._signature: list[Any] = []
        self._count = 0
        self.ends: dict[str, None] = {}

    def inner(self) -> GraphRecord:
        return self._record.inner()

    def add(self, recording: GraphRecord, outputs: list[Value], count: int = 1) -> list[Value]:
        """Take a pass, run ``count`` times; gives its outputs under the names by which the model knows them."""
        signature = signature_of(recording)
        if self._kept is None or signature != self._signature:
            self.flush()
            self._kept, self._outputs, self._signature = recording, outputs, signature
        else:
            outputs = [_known_as(value, kept, recording) for value, kept in zip(outputs, self._outputs, strict=True)]
        self._count += count
        self.ends.update(dict.fromkeys(value.name for value in outputs if value.name))
        return outputs

    def flush(self) -> None:
        if self._kept is not None:
            self._record.append(self._kept, repeats=self._count)
        self._kept, self._count = None, 0


def _known_as(value: Value, kept: Value, recording: GraphRecord) -> Value:
    """Return the output under the name of the pass that is kept; a value made outside keeps its own."""
    return replace(value, name=kept.name) if value.name in recording.values else value


def signature_of(recording: GraphRecord) -> list[Any]:
    """Return what decides whether two passes cost the same.

    This is the operators, how often each runs, and the types and stored tensors that they touch.
    """
    return [
        (
            node.name,
            node.op_type,
            node.domain,
            node.repeats,
            node.folded,
            node.loaded,
            node.attributes,
            [_touched(recording, n) for n in (*node.inputs, *node.outputs)],
        )
        for node in recording.nodes
    ]


def _touched(recording: GraphRecord, name: str) -> Any:
    level: GraphRecord | None = recording
    while level is not None:
        if name in level.values:
            value = level.values[name]
            return value.shape, value.elem, value.role, value.stored
        level = level.outer
    return None


def unchanged(body: GraphProto, inputs: int, outputs: int, count: int) -> frozenset[int]:
    """Return the positions of carried values, of ``count``, that every pass returns unchanged.

    ``inputs``, ``outputs``: how many formal inputs and outputs of the body stand before the carried ones.
    """
    origin: dict[str, str] = {}
    for node in body.node:
        if node.op_type == "Identity" and not node.domain and node.input and node.output:
            origin[node.output[0]] = origin.get(node.input[0], node.input[0])
    after = [origin.get(info.name, info.name) for info in body.output[outputs : outputs + count]]
    before = [info.name for info in body.input[inputs : inputs + count]]
    return frozenset(position for position, (a, b) in enumerate(zip(before, after, strict=False)) if a == b)


def carried(value: Value, name: str, recording: GraphRecord) -> Value:
    """Return a value that passes change, as the body reads it.

    A known whole number remains shape arithmetic. Anything else exists only when the model runs, although the first
    pass may read a stored value, so no runtime knows it beforehand.
    """
    if value.container is None:
        counts = not value.runtime and value.known and value.dtype not in FLOATING_DTYPES
        role: TensorRole = "constant" if counts else "activation"
        value = replace(value, runtime=not counts, role=role, stored=(), computed=False, open=True)
    return recording.add(replace(value, name=name))


def joined(
    node: NodeProto, inputs: Sequence[Value | None], ends: Sequence[str], outputs: Sequence[Value], record: GraphRecord
) -> list[Value]:
    """Return the outputs of a loop under the file's names, made by one free node from all that its body returned."""
    named = [
        record.add(replace(value, name=name)) if name else replace(value, name="")
        for value, name in zip(outputs, node.output, strict=False)
    ]
    read = dict.fromkeys((*(value.name for value in inputs if value is not None), *ends))
    record.nodes.append(
        Node(
            name=node.name or next((name for name in node.output if name), node.op_type),
            op_type=node.op_type,
            inputs=tuple(name for name in read if name),
            outputs=tuple(value.name for value in named),
            scope=module_path(node),
        )
    )
    return named
