"""Shapes of one node's outputs, by ONNX's own shape inference given that node's inputs alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from onnx import NodeProto, TensorProto, defs, helper, numpy_helper, shape_inference

from joulecast.readers.onnx.values import Value, from_type

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from onnx import OperatorSetIdProto


SHAPE_OF_FIRST = frozenset(
    "Abs Add BatchNormalization Ceil Clip Div Dropout Elu Exp Floor GroupNormalization HardSigmoid Imputer"
    " InstanceNormalization LeakyRelu Log Max Mean MeanVarianceNormalization Min Mul Neg Normalizer PRelu Reciprocal"
    " Relu Scaler Selu Sigmoid Sqrt Sub Sum Tanh".split()
)
"""Operators some of whose versions have no inference at all, and whose outputs have the first input's shape there:
opset 1's
elementwise ones broadcast only towards the first input; GroupNormalization 18 and 21; MeanVarianceNormalization."""

LAYER_NORMALIZATION_SINCE = 17
"""onnxruntime's optimiser writes this operator into files of older opsets, too, where it registers it as its own."""


class ShapeConflictError(Exception):
    """The library refuses these inputs for this operator."""


@dataclass(slots=True)
class Inference:
    """Shape inference for the operator sets that a model imports; equal calls are answered once."""

    opsets: dict[str, int]
    _seen: dict[Any, list[Value]] = field(default_factory=dict)

    def schema(self, node: NodeProto) -> defs.OpSchema | None:
        """Return the operator's schema at the model's opset, ``None`` if the standard has none."""
        version = self.opsets.get(node.domain)
        if version is None:
            return None
        if (node.domain, node.op_type) == ("", "LayerNormalization"):
            version = max(version, LAYER_NORMALIZATION_SINCE)
        return _schema(node.op_type, version, node.domain)

    def outputs(self, schema: defs.OpSchema, node: NodeProto, inputs: Sequence[Value | None]) -> list[Value]:
        """Infer one value an output, ``name`` empty, unknown where the library cannot tell.

        Raises ``ShapeConflictError``.
        """
        schema = _with_inference(schema)
        bare = bare_node(node)
        key = (bare.SerializeToString(), tuple(_key(value) for value in inputs))
        if key not in self._seen:
            self._seen[key] = self._infer(schema, bare, inputs)
        return self._seen[key]

    def standard(
        self, op_type: str, inputs: Sequence[Value | None], attributes: Mapping[str, Any], count: int = 1
    ) -> list[Value]:
        """Infer what a standard operator at its newest version gives for these inputs.

        Raises ``ShapeConflictError``.
        """
        names = [f"i{index}" if value is not None else "" for index, value in enumerate(inputs)]
        node = helper.make_node(op_type, names, [f"o{index}" for index in range(count)], **attributes)
        return self.outputs(defs.get_schema(op_type), node, inputs)

    def _infer(self, schema: defs.OpSchema, node: NodeProto, inputs: Sequence[Value | None]) -> list[Value]:
        given = [(name, value) for name, value in zip(node.input, inputs, strict=True) if value is not None]
        types = {name: value.type_proto() for name, value in given}
        data = {name: proto for name, value in given if (proto := tensor_proto(value)) is not None}
        try:
            found = shape_inference.infer_node_outputs(schema, node, types, data, None, self._imports())
        except Exception as error:
            raise ShapeConflictError(str(error)) from error
        return [from_type("", found[name]) if name in found else Value(name="") for name in node.output]

    def _imports(self) -> list[OperatorSetIdProto]:
        return [helper.make_opsetid(domain, version) for domain, version in self.opsets.items()]


@lru_cache(maxsize=1024)
def _schema(op_type: str, version: int, domain: str) -> defs.OpSchema | None:
    try:
        return defs.get_schema(op_type, version, domain)
    except defs.SchemaError:
        return None


@lru_cache(maxsize=256)
def _with_inference(schema: defs.OpSchema) -> defs.OpSchema:
    """Return the schema, or the next version that infers shapes where this one does not.

    GreaterOrEqual 12 and the RNNs of opset 1 infer none.
    """
    if schema.has_type_and_shape_inference_function or schema.name in SHAPE_OF_FIRST:
        return schema
    later = (_later(schema, version) for version in range(schema.since_version + 1, defs.onnx_opset_version() + 1))
    return next((found for found in later if found is not None), schema)


def _later(schema: defs.OpSchema, version: int) -> defs.OpSchema | None:
    found = _schema(schema.name, version, schema.domain)
    return found if found is not None and found.has_type_and_shape_inference_function else None


def bare_node(node: NodeProto) -> NodeProto:
    """Return the node with inputs and outputs renamed by position, so that equal nodes are equal bytes."""
    bare = NodeProto(op_type=node.op_type, domain=node.domain)
    bare.input.extend(f"i{index}" if name else "" for index, name in enumerate(node.input))
    bare.output.extend(f"o{index}" if name else "" for index, name in enumerate(node.output))
    bare.attribute.extend(node.attribute)
    return bare


def tensor_proto(value: Value) -> TensorProto | None:
    """Return the value's content as ONNX takes it, ``None`` if unknown."""
    if value.data is None or value.container is not None:
        return None
    return numpy_helper.from_array(value.data)


def _key(value: Value | None) -> Any:
    if value is None:
        return None
    if value.container is not None:
        return value.container.SerializeToString()
    if value.data is None:
        return value.elem, value.shape
    content = value.data.tolist() if value.elem == TensorProto.STRING else value.data.tobytes()
    return value.elem, value.shape, str(content) if isinstance(content, list) else content
