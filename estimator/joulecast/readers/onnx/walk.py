"""One pass over a model in node order: every value's shape, and the content of the small ones."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from onnx import AttributeProto, FunctionProto, GraphProto, NodeProto, TensorProto

from joulecast.errors import ModelFormatError, UnresolvedShapeError, UnsupportedOperatorError
from joulecast.graph import Node
from joulecast.readers.onnx import attributes, blame, control
from joulecast.readers.onnx.blame import one_line
from joulecast.readers.onnx.scope import GraphRecord, Scope
from joulecast.readers.onnx.shapes import contradictions, contrib, corrections, experimental, guards, sequences
from joulecast.readers.onnx.shapes.folding import Folding
from joulecast.readers.onnx.shapes.inference import Inference, ShapeConflictError
from joulecast.readers.onnx.values import Value, from_array, from_sparse, from_tensor
from joulecast.readers.onnx.when import When
from joulecast.readers.onnx.workload import steering

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from joulecast.readers.onnx.workload.hints import Hints

MAX_NODES = 500_000
"""Nodes visited, loop iterations and inlined functions included: the largest exports seen have some 50,000."""

MAX_DEPTH = 40
"""Graphs and functions inside one another; exporters that make a function of every module stay below 15."""

MAX_SECONDS = 60.0
"""Processor time of a walk, the same on a busy machine; a Llama of 6,000 nodes takes under a second."""

STEERING_NUMEL = 64
"""Inputs of at most so many elements have their content kept in the graph's nodes."""


@dataclass(slots=True)
class WalkBudget:
    """The limits of a walk, so that an untrusted file costs at most that much."""

    nodes: int = MAX_NODES
    depth: int = 0
    deadline: float = field(default_factory=lambda: time.thread_time() + MAX_SECONDS)

    def spend(self) -> None:
        self.nodes -= 1
        if self.nodes < 0 or time.thread_time() > self.deadline:
            raise ModelFormatError(
                f"the model unfolds into more than {MAX_NODES} nodes or takes more than {MAX_SECONDS:.0f} s of"
                " processor time; give a smaller loop count with --value or export it without nested loops",
                reason="ModelTooLarge",
            )

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Count one graph or function more of depth until the block ends, by an error or not."""
        self.depth += 1
        try:
            if self.depth > MAX_DEPTH:
                raise ModelFormatError(
                    f"graphs or functions are nested more than {MAX_DEPTH} deep; the file is cyclic or damaged"
                )
            yield
        finally:
            self.depth -= 1


@dataclass(slots=True)
class Walk:
    """The walk of one model under one set of operator set versions.

    ``using`` returns a walk for a function's own versions.
    """

    inference: Inference
    folding: Folding
    functions: Mapping[tuple[str, str, str], FunctionProto]
    hints: Hints
    budget: WalkBudget = field(default_factory=WalkBudget)
    bodies: dict[tuple[Any, ...], Sequence[NodeProto]] = field(default_factory=dict)

    @property
    def opsets(self) -> dict[str, int]:
        return self.inference.opsets

    def using(self, opsets: dict[str, int]) -> Walk:
        if opsets == self.opsets:
            return self
        return replace(self, inference=Inference(opsets), folding=Folding(opsets))

    def graph(self, graph: GraphProto, scope: Scope, record: GraphRecord) -> list[Value]:
        """Walk a nested graph whose formal inputs ``scope`` already holds; gives its outputs."""
        with self.budget.inside():
            add_stored(graph, scope, record, self.hints)
            for node in graph.node:
                self.node(node, scope, record)
        return [scope[output.name] for output in graph.output]

    def node(self, node: NodeProto, scope: Scope, record: GraphRecord) -> None:
        """Record one node and put its outputs into ``scope``."""
        self.budget.spend()
        try:
            self._node(node, scope, record)
        except blame.UNEXPECTED as error:
            raise blame.of_node(error, node, label(node), self.opsets) from error

    def _node(self, node: NodeProto, scope: Scope, record: GraphRecord) -> None:
        inputs = [scope.optional(name) for name in node.input]
        outputs = self._special(node, inputs, scope, record)
        if outputs is None:
            outputs = self._plain(node, inputs, record)
        for name, value in zip(node.output, outputs, strict=False):
            scope[name] = value

    def _special(
        self, node: NodeProto, inputs: list[Value | None], scope: Scope, record: GraphRecord
    ) -> list[Value] | None:
        """Walk constants, control flow and functions, which leave no node of their own.

        Return ``None`` for other nodes.
        """
        function = self.functions.get((node.domain, node.op_type, node.overload))
        if function is not None:
            record.free_nodes += 1
            return self._call(function, node, inputs, record)
        if node.domain:
            return None
        if node.op_type == "Constant":
            record.free_nodes += 1
            return [record.hold(node, lambda: constant(node))]
        if node.op_type in control.RULES:
            return control.RULES[node.op_type](self, node, inputs, scope, record)
        return None

    def _call(
        self, function: FunctionProto, node: NodeProto, inputs: Sequence[Value | None], record: GraphRecord
    ) -> list[Value]:
        walk = self.using({entry.domain: entry.version for entry in function.opset_import} or self.opsets)
        scope = Scope()
        for index, name in enumerate(function.input):
            given = inputs[index] if index < len(inputs) else None
            scope[name] = given if given is not None else Value(name="")
        with self.budget.inside():
            for inner in self._body(function, node):
                walk.node(_without_absent(inner, scope), scope, record)
        return [scope[name] for name in function.output]

    def _body(self, function: FunctionProto, call: NodeProto) -> Sequence[NodeProto]:
        """Return the function's nodes with the attributes of the call.

        Equal calls get the same nodes, so that what they store is one tensor.
        """
        actual = {attribute.name: attribute for attribute in (*function.attribute_proto, *call.attribute)}
        told = (*function.attribute, *(attribute.name for attribute in function.attribute_proto))
        key = (id(function), *(actual[name].SerializeToString() for name in told if name in actual))
        if key not in self.bodies:
            self.bodies[key] = tuple(attributes.bind(inner, actual) for inner in function.node)
        return self.bodies[key]

    def _plain(self, node: NodeProto, inputs: list[Value | None], record: GraphRecord) -> list[Value]:
        outputs = sequences.outputs(node, inputs)
        if outputs is None:
            outputs = self._inferred(node, inputs)
        outputs = [replace(value, name=name) for name, value in zip(node.output, outputs, strict=False)]
        outputs = [self.hints.apply(value, node) for value in outputs]
        known = outputs if any(value.known for value in outputs) else self._folded(node, inputs, outputs)
        known = self.hints.selections.sized(node, inputs, known)
        known = [self._shaped(value, node, inputs, record) for value in known]
        when = When.of(node, inputs, known)
        known = [when.placed(value) for value in known]
        known = [record.add(value) if value.name else value for value in known]
        record.nodes.append(recorded(node, inputs, known, when))
        return known

    def _shaped(self, value: Value, node: NodeProto, inputs: Sequence[Value | None], record: GraphRecord) -> Value:
        """Return the value with a static shape; where the workload does not say one, take an example and ask for it."""
        if not value.name or value.container is not None or value.static:
            return value
        problem = (
            f"the shape of {value.name!r}, output of the {node.op_type} node {label(node)!r}, depends on data that the"
            " workload does not give"
        )
        return steering.shaped(value, inputs, problem, record, self.hints.asked)

    def _inferred(self, node: NodeProto, inputs: list[Value | None]) -> list[Value]:
        try:
            outputs = self._typed(node, inputs)
            contradictions.check(node, inputs, outputs)
        except ShapeConflictError as error:
            shapes = ", ".join(_described(value) for value in inputs if value is not None)
            raise UnresolvedShapeError(
                f"the {node.op_type} node {label(node)!r} does not accept its inputs ({shapes}): {one_line(error)};"
                " check --input and --value, or export the model again"
            ) from error
        return outputs

    def _typed(self, node: NodeProto, inputs: list[Value | None]) -> list[Value]:
        """Infer the outputs by the first rule that applies. Raises ``ShapeConflictError``."""
        own = contrib.outputs(node, inputs, self.inference)
        if own is not None:
            return own
        schema = self.inference.schema(node)
        if schema is None:
            return experimental.outputs(node, inputs, self.inference) or self._unsupported(node)
        own = corrections.before(node, inputs)
        if own is not None:
            return own
        guards.check(node, inputs)
        attributes.require_kinds(node, schema)
        return corrections.after(node, inputs, self.inference.outputs(schema, node, inputs))

    def _unsupported(self, node: NodeProto) -> list[Value]:
        """Return the shapes that the file declares, so that the walk can go on; the row lowers coverage."""
        declared = [self.hints.declared(name) for name in node.output]
        if any(name and value is None for name, value in zip(node.output, declared, strict=True)):
            raise UnsupportedOperatorError(
                f"operator {node.op_type!r} of domain {node.domain or 'ai.onnx'!r} (node {label(node)!r}) has no"
                f" counting rule, and the file"
                " does not say its output shape; export the model with standard operators, or with static shape"
                " annotations"
            )
        return [value if value is not None else Value(name="") for value in declared]

    def _folded(self, node: NodeProto, inputs: Sequence[Value | None], outputs: list[Value]) -> list[Value]:
        arrays = self.folding.values(node, inputs, outputs)
        if arrays is None:
            return outputs
        return [
            replace(value, shape=tuple(array.shape), data=array) for value, array in zip(outputs, arrays, strict=False)
        ]


def add_stored(graph: GraphProto, scope: Scope, record: GraphRecord, hints: Hints) -> None:
    """Put the graph's initializers into ``scope``."""
    for tensor in graph.initializer:
        scope[tensor.name] = record.hold(tensor, partial(_stored, tensor, hints))
    for sparse in graph.sparse_initializer:
        scope[sparse.values.name] = record.hold(sparse, partial(from_sparse, sparse.values.name, sparse))


def _stored(tensor: TensorProto, hints: Hints) -> Value:
    return hints.stored(from_tensor(tensor.name, tensor))


def _without_absent(node: NodeProto, scope: Scope) -> NodeProto:
    """Return the node of a function without the names of formal inputs that the call leaves out."""
    absent = [index for index, name in enumerate(node.input) if name and scope[name].name == ""]
    if not absent:
        return node
    found = NodeProto()
    found.CopyFrom(node)
    for index in absent:
        found.input[index] = ""
    return found


def constant(node: NodeProto) -> Value:
    """Return the value of a Constant node in any of its attribute forms."""
    (name,) = node.output
    for attribute in node.attribute:
        if attribute.type == AttributeProto.TENSOR:
            return from_tensor(name, attribute.t)
        if attribute.type == AttributeProto.SPARSE_TENSOR:
            return from_sparse(name, attribute.sparse_tensor)
        if attribute.name.startswith("value_"):
            return replace(from_array(name, _constant_array(attribute)), stored=(name,))
    raise ModelFormatError(f"the Constant node {label(node)!r} holds no value; the file is damaged, export it again")


def _constant_array(attribute: AttributeProto) -> Any:
    import numpy as np

    forms: dict[str, tuple[Any, Any]] = {
        "value_int": (attribute.i, np.int64), "value_ints": (list(attribute.ints), np.int64),
        "value_float": (attribute.f, np.float32), "value_floats": (list(attribute.floats), np.float32),
        "value_string": (attribute.s.decode("utf-8", "replace"), object),
        "value_strings": ([s.decode("utf-8", "replace") for s in attribute.strings], object),
    }  # fmt: skip
    if attribute.name not in forms:
        raise ModelFormatError(
            f"a Constant node holds the unknown attribute {attribute.name!r}; the file is damaged, export it again"
        )
    content, dtype = forms[attribute.name]
    return np.array(content, dtype=dtype)


def recorded(node: NodeProto, inputs: Sequence[Value | None], outputs: Sequence[Value], when: When) -> Node:
    """Return the framework-free form of a node."""
    values = {i: attributes.nested(v.data) for i, v in enumerate(inputs) if v is not None and _steers(v)}
    return Node(
        name=label(node),
        op_type=node.op_type,
        domain=node.domain,
        inputs=tuple(v.name if v is not None else "" for v in inputs),
        outputs=tuple(v.name for v in outputs),
        attributes=attributes.plain(node),
        values=values,
        scope=attributes.module_path(node),
        folded=when.folded,
        loaded=when.computed and not when.open,
    )


def _steers(value: Value) -> bool:
    return value.data is not None and value.container is None and value.data.size <= STEERING_NUMEL


def label(node: NodeProto) -> str:
    """Return the node's name, or its first output's."""
    return node.name or next((name for name in node.output if name), node.op_type)


def _described(value: Value) -> str:
    if value.container is not None:
        return f"{value.name}: not a tensor"
    return f"{value.name}: {value.dtype}{list(value.shape) if value.shape is not None else ''}"
