"""A trace in ONNX's operator names. No torch is needed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from joulecast.graph import STORED, ModelGraph, Node, Tensor
from joulecast.readers.module.calls import Call, TensorSpec, Trace
from joulecast.readers.module.conservation import verify
from joulecast.readers.module.names import rule_of
from joulecast.readers.module.names.reading import Reading
from joulecast.readers.module.reads import read

OPSET = 24
"""The operator set whose meanings the nodes have."""

UNNAMED = "aten"
"""Domain of operators that the table does not know; none of them has a counting rule."""


def graph_of(trace: Trace) -> ModelGraph:
    """Return the graph of a pass: the nodes of every call, in order, and every value.

    Raises InternalInconsistencyError where the graph contradicts what the pass showed (``conservation``).
    """
    tensors = {spec.name: _tensor(spec) for spec in trace.inputs}
    nodes: list[Node] = []
    latest: dict[str, str] = {}
    ends: list[int] = []
    for call in trace.calls:
        nodes += _read(_renamed(call, tensors, latest), tensors)
        ends.append(len(nodes))
    names = (latest.get(name, name) for name in (*trace.outputs, *trace.states))
    graph = ModelGraph(
        name=trace.name,
        nodes=tuple(replace(node, loaded=_stored_alone(node, tensors)) for node in nodes),
        tensors=tensors,
        inputs=tuple(spec.name for spec in trace.inputs),
        outputs=tuple(dict.fromkeys(name for name in names if name in tensors)),
        opset=OPSET,
    )
    graph = replace(graph, tensors=_of_use(graph))
    if trace.witness is not None:
        verify(trace.calls, trace.witness, ends, graph)
    return graph


def _renamed(call: Call, tensors: dict[str, Tensor], latest: dict[str, str]) -> Call:
    """Return the call with a new name for each tensor that was overwritten since it was named; extends ``latest``."""
    for spec in call.tensors:
        if spec.over:
            parts = [latest.get(name, name) for name in spec.over]
            parts = [name for name in dict.fromkeys(parts) if name in tensors]
            name = spec.name if spec.name not in tensors else f"{spec.name}@{len(tensors)}"
            stored = tuple(dict.fromkeys(one for part in parts for one in tensors[part].stored or (part,)))
            made = _tensor(spec, stored=stored if spec.role in STORED else ())
            tensors[name] = replace(made, name=name, after=tuple(parts))
            latest[spec.name] = name
    if not any(spec.name in latest for spec in call.tensors):
        return call
    renamed = (replace(spec, name=latest.get(spec.name, spec.name), over=()) for spec in call.tensors)
    return replace(call, tensors=tuple(renamed))


def _of_use(graph: ModelGraph) -> dict[str, Tensor]:
    """Return the values without orderings that no node reads, such as those of a kernel's extra statistics."""
    used, new = set[str](), {*graph.outputs, *(name for node in graph.nodes for name in node.inputs if name)}
    while new:
        used |= new
        new = {other for name in new for other in graph.tensors[name].after} - used
    tensors = graph.tensors.items()
    return {name: replace(each, after=()) if each.after and name not in used else each for name, each in tensors}


def _stored_alone(node: Node, tensors: Mapping[str, Tensor]) -> bool:
    """Decide whether all that the node makes is computed of stored values alone.

    Eager mode computes it in every pass; a runtime that folds constants does so once, when it loads the network.
    """
    return all(tensors[name].role in STORED for name in node.outputs if name)


def graph_of_call(call: Call) -> ModelGraph:
    """Return a single call as a model of its own; a recurrence of several layers has a node for each."""
    named = _named(call)
    inputs = tuple(spec for spec in named.tensors if spec.role in ("activation", "input"))
    outputs = tuple(spec.name for spec in named.outputs)
    return graph_of(Trace(name=call.function, calls=(named,), inputs=inputs, outputs=outputs))


def _named(call: Call) -> Call:
    """Give names to the tensors of a call, because its JSON form has none."""
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
    entry = rule_of(call.function)
    if entry is None:
        reading = Reading(call)
        reading.node(call.function, [spec.name for spec in call.tensors], domain=UNNAMED)
    else:
        reading = Reading(call, entry.parameters)
        entry.rule(reading)
    tensors.update(reading.tensors)
    _complete(call, reading.nodes, tensors)
    return reading.nodes


def _complete(call: Call, nodes: Sequence[Node], tensors: dict[str, Tensor]) -> None:
    """Let the results come after what the call reads and no node does, and those that no node makes after its first.

    A rule names the operands that cost something, but the others were computed for the call too.
    """
    named = {name for node in nodes for name in node.inputs}
    made = {name for node in nodes for name in node.outputs}
    operands = [spec.name for spec in read(call) if spec.name not in named and spec.role not in STORED]
    first = [name for node in nodes[-1:] for name in node.outputs[:1]]
    for spec in call.outputs:
        after = operands if spec.name in made else [*operands, *first]
        if after:
            tensors[spec.name] = replace(tensors[spec.name], after=tuple(after))


def _stored(specs: Iterable[TensorSpec], tensors: dict[str, Tensor]) -> Iterable[str]:
    """Yield the names of the stored tensors that the values are computed from."""
    for spec in specs:
        if spec.role in STORED:
            yield from tensors[spec.name].stored or (spec.name,)


def _tensor(spec: TensorSpec, *, stored: tuple[str, ...] = ()) -> Tensor:
    return Tensor(name=spec.name, dtype=spec.dtype, shape=spec.shape, role=spec.role, stored=stored)
