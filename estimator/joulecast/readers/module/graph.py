"""A trace in ONNX's operator names. No torch is needed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from joulecast.graph import ModelGraph, Node, Tensor
from joulecast.readers.module.calls import Call, TensorSpec, Trace
from joulecast.readers.module.names import entry_of
from joulecast.readers.module.names.reading import Reading

OPSET = 24
"""The operator set whose meanings the nodes have."""

STORED = ("parameter", "constant")

UNNAMED = "aten"
"""Domain of operators that the table does not know; none of them has a counting rule."""


def graph_of(trace: Trace) -> ModelGraph:
    """The nodes of every call, in order, and every value."""
    tensors = {spec.name: _tensor(spec) for spec in trace.inputs}
    nodes: list[Node] = []
    for call in trace.calls:
        nodes += _read(call, tensors)
    return ModelGraph(
        name=trace.name,
        nodes=tuple(replace(node, loaded=_stored_alone(node, tensors)) for node in nodes),
        tensors=tensors,
        inputs=tuple(spec.name for spec in trace.inputs),
        outputs=tuple(name for name in trace.outputs if name in tensors),
        opset=OPSET,
    )


def _stored_alone(node: Node, tensors: Mapping[str, Tensor]) -> bool:
    """Whether all that the node makes is computed of stored values alone: eager mode does so in every pass, a runtime
    that folds constants once, when it loads the network."""
    return all(tensors[name].role in STORED for name in node.outputs if name)


def graph_of_call(call: Call) -> ModelGraph:
    """A lone call as a model of its own; a recurrence of several layers has a node for each."""
    named = _named(call)
    inputs = tuple(spec for spec in named.tensors if spec.role in ("activation", "input"))
    outputs = tuple(spec.name for spec in named.outputs)
    return graph_of(Trace(name=call.function, calls=(named,), inputs=inputs, outputs=outputs))


def _named(call: Call) -> Call:
    """The call with names for its tensors, which its JSON form has not."""
    return replace(
        call,
        tensors=tuple(replace(spec, name=spec.name or f"in{place}") for place, spec in enumerate(call.tensors)),
        outputs=tuple(replace(spec, name=spec.name or f"out{place}") for place, spec in enumerate(call.outputs)),
    )


def _read(call: Call, tensors: dict[str, Tensor]) -> list[Node]:
    for spec in call.tensors:
        tensors.setdefault(spec.name, _tensor(spec))
    stored = tuple(dict.fromkeys(_stored(call.tensors, tensors)))
    for spec in call.outputs:
        tensors[spec.name] = _tensor(spec, stored=stored if spec.role in STORED else ())
    entry = entry_of(call.function)
    if entry is None:
        reading = Reading(call)
        reading.node(call.function, [spec.name for spec in call.tensors], domain=UNNAMED)
    else:
        reading = Reading(call, entry.parameters)
        entry.rule(reading)
    tensors.update(reading.tensors)
    return reading.nodes


def _stored(specs: Iterable[TensorSpec], tensors: dict[str, Tensor]) -> Iterable[str]:
    """Names of the stored tensors that the values are computed from."""
    for spec in specs:
        if spec.role in STORED:
            yield from tensors[spec.name].stored or (spec.name,)


def _tensor(spec: TensorSpec, *, stored: tuple[str, ...] = ()) -> Tensor:
    return Tensor(name=spec.name, dtype=spec.dtype, shape=spec.shape, role=spec.role, stored=stored)
