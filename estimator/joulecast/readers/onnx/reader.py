"""The way of one model: bytes, bound inputs, walk, roles, framework-free graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnx import ModelProto, defs

from joulecast.errors import ModelFormatError, WorkloadError
from joulecast.graph import ModelGraph, Tensor
from joulecast.readers.onnx import inputs, ordering, roles
from joulecast.readers.onnx.folding import Folding
from joulecast.readers.onnx.hints import Hints, declared_types
from joulecast.readers.onnx.inference import Inference
from joulecast.readers.onnx.scope import Recording, Scope
from joulecast.readers.onnx.values import Value, static_shape
from joulecast.readers.onnx.walk import MALFORMED, Walk, add_stored, one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from onnx import GraphProto, NodeProto, ValueInfoProto

    from joulecast.layers import Workload

MAX_SKELETON_BYTES = 1 << 28
"""256 MiB: a skeleton holds no payload, and the largest graphs known stay below 50 MB."""


def read(skeleton: bytes, workload: Workload, *, name: str) -> ModelGraph:
    """The graph that ``skeleton`` executes under ``workload``, as filed (not canonicalised).

    ``skeleton``: a serialised ModelProto whose tensor payloads may be absent; nothing outside it is read. ``name``:
    for messages.
    Raises ModelFormatError, WorkloadError, UnresolvedShapeError, UnsupportedOperatorError.
    """
    model = parse(skeleton, name)
    try:
        return _walked(model, workload, name)
    except MALFORMED as error:
        raise ModelFormatError(
            f"{name} cannot be understood ({one_line(error)}); the file is damaged, export it again"
        ) from error


def _walked(model: ModelProto, workload: Workload, name: str) -> ModelGraph:
    opsets = operator_sets(model, name)
    ordering.sort(model)
    walk = Walk(
        inference=Inference(opsets),
        folding=Folding(opsets),
        functions={(f.domain, f.name, f.overload): f for f in model.functions},
        hints=_hints(model.graph, workload),
    )
    scope, record = Scope(), Recording()
    add_stored(model.graph, scope, record)
    names = []
    for value in inputs.bind(free_inputs(model.graph, workload), workload):
        scope[value.name] = value
        record.values[value.name] = value
        names.append(value.name)
    for node in model.graph.node:
        walk.node(node, scope, record)
    outputs = tuple(scope[output.name].name for output in model.graph.output)
    return _graph(name, record, tuple(names), outputs, opsets.get("", defs.onnx_opset_version()))


def parse(skeleton: bytes, name: str) -> ModelProto:
    """The model that the bytes hold. Raises ``ModelFormatError``."""
    if len(skeleton) > MAX_SKELETON_BYTES:
        raise ModelFormatError(
            f"{name}: the graph without its weights is {len(skeleton)} bytes, over the limit of {MAX_SKELETON_BYTES}"
        )
    try:
        model: ModelProto = ModelProto.FromString(skeleton)
    except Exception as error:  # protobuf's DecodeError, whose module ships no types
        raise ModelFormatError(
            f"{name} is not an ONNX model: its bytes are no protobuf message of that kind ({error})"
        ) from error
    if not model.HasField("graph"):
        raise ModelFormatError(f"{name} is not an ONNX model: it holds no graph")
    return model


def operator_sets(model: ModelProto, name: str) -> dict[str, int]:
    """Version by domain; ``ai.onnx`` is the default domain. Raises ``ModelFormatError`` for one newer than we know."""
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
    """The inputs that the model is fed: those without a stored default, and those that the workload overrides."""
    stored = {tensor.name for tensor in graph.initializer} | {sparse.values.name for sparse in graph.sparse_initializer}
    return [info for info in graph.input if info.name not in stored or info.name in workload.input_values]


def _hints(graph: GraphProto, workload: Workload) -> Hints:
    """What the workload says of values inside the graph. Raises ``WorkloadError`` for a name that the model does not
    have."""
    fed = {info.name for info in free_inputs(graph, workload)}
    inside = {name for node in _all_nodes(graph) for name in node.output}
    for name in (*workload.input_shapes, *workload.input_values):
        if name not in fed and name not in inside:
            raise WorkloadError(f"the model has no input {name!r}; its inputs are {', '.join(sorted(fed)) or 'none'}")
    return Hints(
        shapes={name: tuple(shape) for name, shape in workload.input_shapes.items() if name not in fed},
        contents={name: content for name, content in workload.input_values.items() if name not in fed},
        annotations=declared_types(graph),
    )


def _all_nodes(graph: GraphProto) -> Iterator[NodeProto]:
    """Every node, those of nested graphs included."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _all_nodes(attribute.g)


def _graph(name: str, record: Recording, names: tuple[str, ...], outputs: tuple[str, ...], opset: int) -> ModelGraph:
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
