"""Read one model: bytes, bound inputs, walk, roles, framework-free graph."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from onnx import ModelProto, defs

from joulecast.errors import ModelFormatError, UnresolvedShapeError, WorkloadError
from joulecast.graph import ModelGraph, Tensor
from joulecast.layers import Workload
from joulecast.readers.onnx import blame, ordering, roles
from joulecast.readers.onnx.scope import GraphRecord, Scope
from joulecast.readers.onnx.shapes.folding import Folding
from joulecast.readers.onnx.shapes.inference import Inference
from joulecast.readers.onnx.uncertain import differing
from joulecast.readers.onnx.values import Value, from_type, static_shape
from joulecast.readers.onnx.walk import Walk, add_stored
from joulecast.readers.onnx.workload import inputs
from joulecast.readers.onnx.workload.asked import Asked
from joulecast.readers.onnx.workload.hints import Hints, declared_types
from joulecast.readers.onnx.workload.selections import Selections

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from onnx import GraphProto, NodeProto, ValueInfoProto

    from joulecast.graph import Shape
    from joulecast.readers.onnx.workload.binding import Binding

MAX_SKELETON_BYTES = 1 << 28
"""256 MiB: a skeleton holds no payload, and the largest graphs known stay below 50 MB."""


def read(skeleton: bytes, workload: Workload, *, name: str) -> ModelGraph:
    """Read the graph that ``skeleton`` executes under ``workload``, as the file holds it (not canonicalised).

    ``skeleton``: a serialised ModelProto whose tensor payloads may be absent; nothing outside it is read. ``name``:
    for messages.
    Raises ModelFormatError, WorkloadError, UnresolvedShapeError, UnsupportedOperatorError, and
    InternalInconsistencyError for a defect of joulecast itself, whose cause stays chained.
    """
    model = parse(skeleton, name)
    try:
        return _walked(model, workload, name)
    except blame.UNEXPECTED as error:
        raise blame.of_model(error, name) from error


def batch_size(skeleton: bytes, shapes: Mapping[str, Shape], *, size: int | None, default: int, name: str) -> int:
    """Return the batch size that the given shapes of the model's inputs say.

    It is ``size`` where that is given and agrees with them, and ``default`` where neither the shapes nor the model say
    it.

    Raises ModelFormatError, and WorkloadError where two of them disagree.
    """
    graph = parse(skeleton, name).graph
    return inputs.batch_size(free_inputs(graph, Workload()), graph.output, shapes, size=size, default=default)


def _walked(model: ModelProto, workload: Workload, name: str) -> ModelGraph:
    """Read the graph; one error asks for everything that the workload leaves open."""
    ordering.sort(model)
    asked = Asked()
    try:
        graph = _settled(model, workload, name, asked)
    except (UnresolvedShapeError, ModelFormatError) as error:
        if asked.found:  # an example may have led there
            raise asked.error(sound=False) from error
        raise
    if asked.found:
        raise asked.error(sound=True)
    return graph


def _settled(model: ModelProto, workload: Workload, name: str, asked: Asked) -> ModelGraph:
    """Read the graph with the most that each selection may keep.

    Where a product depends on one, ask for all of them.
    """
    most = Selections(most=True)
    graph = _graph_of(model, workload, name, asked, most)
    if not most.found:
        return graph
    uncertain = _uncertain(graph, model, workload, name)
    if uncertain is None:
        asked.found.update(most.found)
        return graph
    return replace(graph, upper_bounds=uncertain)


def _uncertain(most: ModelGraph, model: ModelProto, workload: Workload, name: str) -> frozenset[str] | None:
    """Return the values whose size depends on how much the selections keep; ``None`` where a product does."""
    try:
        least = _graph_of(model, workload, name, Asked(), Selections(most=False))
    except (UnresolvedShapeError, ModelFormatError):
        return None
    return differing(most, least)


def _graph_of(model: ModelProto, workload: Workload, name: str, asked: Asked, selections: Selections) -> ModelGraph:
    opsets = operator_sets(model, name)
    values, binding = inputs.bind(free_inputs(model.graph, workload), workload, asked)
    walk = Walk(
        inference=Inference(opsets),
        folding=Folding(opsets),
        functions={(f.domain, f.name, f.overload): f for f in model.functions},
        hints=_hints(model.graph, workload, binding, asked, selections),
    )
    scope, record = Scope(), GraphRecord()
    add_stored(model.graph, scope, record, walk.hints)
    undecided = {info.name for info in free_inputs(model.graph, workload) if not from_type(info.name, info.type).static}
    for bound in values:
        value = replace(bound, open=bound.name in undecided)
        scope[value.name] = value
        record.bind(value)
    for node in model.graph.node:
        walk.node(node, scope, record)
    outputs = tuple(scope[output.name].name for output in model.graph.output)
    names = tuple(value.name for value in values)
    graph = _graph(name, record, names, outputs, opsets.get("", defs.onnx_opset_version()))
    return replace(graph, steering=frozenset(walk.hints.steering).intersection(graph.tensors))


def parse(skeleton: bytes, name: str) -> ModelProto:
    """Parse the bytes of a model. Raises ``ModelFormatError``."""
    if len(skeleton) > MAX_SKELETON_BYTES:
        raise ModelFormatError(
            f"{name}: the graph without its weights is {len(skeleton)} bytes, and at most {MAX_SKELETON_BYTES} are"
            " read: export the model with its weights in a file beside it"
        )
    try:
        model: ModelProto = ModelProto.FromString(skeleton)
    except Exception as error:  # protobuf's DecodeError, whose module ships no types
        raise ModelFormatError(
            f"{name} is not an ONNX model: its bytes are not a protobuf message of that kind ({error})"
        ) from error
    if not model.HasField("graph"):
        raise ModelFormatError(f"{name} is not an ONNX model: it holds no graph")
    return model


def operator_sets(model: ModelProto, name: str) -> dict[str, int]:
    """Return the version by domain; ``ai.onnx`` is the default domain.

    Raises ``ModelFormatError`` for an unknown version.
    """
    found = {"" if entry.domain == "ai.onnx" else entry.domain: int(entry.version) for entry in model.opset_import}
    if any(not 0 < version < 2**31 for version in found.values()):
        raise ModelFormatError(
            f"{name} imports operator sets of impossible versions; the file is damaged, export it again"
        )
    newest = defs.onnx_opset_version()
    if not 1 <= found.setdefault("", newest if model.functions or not model.opset_import else 1) <= newest:
        raise ModelFormatError(
            f"{name} uses ONNX opset {found['']}, and 1 to {newest} are known; export it with --opset {newest}"
        )
    return found


def free_inputs(graph: GraphProto, workload: Workload) -> list[ValueInfoProto]:
    """Return the inputs that must be fed: those without a stored default, and those that the workload overrides."""
    stored = {tensor.name for tensor in graph.initializer} | {sparse.values.name for sparse in graph.sparse_initializer}
    return [info for info in graph.input if info.name not in stored or info.name in workload.input_values]


def _hints(graph: GraphProto, workload: Workload, binding: Binding, asked: Asked, selections: Selections) -> Hints:
    """Return what the workload says of values inside the graph. Raises ``WorkloadError`` for an unknown name."""
    fed = {info.name for info in free_inputs(graph, workload)}
    inside = {name for node in _all_nodes(graph) for name in node.output} | set(_stored_names(graph))
    for name in (*workload.input_shapes, *workload.input_values):
        if name not in fed and name not in inside:
            raise WorkloadError(
                f"the model has no input {name!r}; its inputs are {', '.join(sorted(map(str, fed))) or 'none'}"
            )
    return Hints(
        shapes={name: tuple(shape) for name, shape in workload.input_shapes.items() if name not in fed},
        contents={name: content for name, content in workload.input_values.items() if name not in fed},
        annotations=declared_types(graph, binding),
        asked=asked,
        selections=selections,
    )


def _stored_names(graph: GraphProto) -> Iterator[str]:
    """Yield stored tensors, those of nested graphs included."""
    yield from (tensor.name for tensor in graph.initializer)
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _stored_names(attribute.g)


def _all_nodes(graph: GraphProto) -> Iterator[NodeProto]:
    """Yield every node, those of nested graphs included."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _all_nodes(attribute.g)


def _graph(name: str, record: GraphRecord, names: tuple[str, ...], outputs: tuple[str, ...], opset: int) -> ModelGraph:
    used = {n for node in record.nodes for n in (*node.inputs, *node.outputs) if n} | set(names) | set(outputs)
    used |= {stored for n in used for stored in record.values[n].stored}
    values = roles.assign(record.nodes, {n: record.values[n] for n in used})
    tensors = {n: _tensor(value) for n, value in values.items()}
    return ModelGraph(
        name=name,
        nodes=tuple(record.nodes),
        tensors=tensors,
        inputs=names,
        outputs=outputs,
        opset=opset,
        free_nodes=record.free_nodes,
    )


def _tensor(value: Value) -> Tensor:
    stored = value.stored if value.stored != (value.name,) else ()
    return Tensor(name=value.name, dtype=value.dtype, shape=static_shape(value), role=value.role, stored=stored)
