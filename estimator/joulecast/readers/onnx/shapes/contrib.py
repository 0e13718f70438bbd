"""Shapes of onnxruntime's own operators, which the standard's inference does not know.

Most are a standard operator with more inputs or attributes: those are asked of the library under the standard name.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from onnx import TensorProto

from joulecast.errors import UnresolvedShapeError
from joulecast.readers.onnx.attributes import plain
from joulecast.readers.onnx.shapes import contrib_attention
from joulecast.readers.onnx.shapes.inference import ShapeConflictError
from joulecast.readers.onnx.shapes.operands import given, like, made, shape_of
from joulecast.readers.onnx.values import Value

if TYPE_CHECKING:
    from collections.abc import Mapping

    from onnx import NodeProto

    from joulecast.readers.onnx.shapes.inference import Inference
    from joulecast.readers.onnx.shapes.operands import Inputs, Rule

MICROSOFT, NCHWC = "com.microsoft", "com.microsoft.nchwc"

SAME_AS_FIRST = frozenset(
    "BiasAdd BiasGelu BiasSoftmax FastGelu Gelu GemmaRotaryEmbedding Inverse QLinearLeakyRelu QLinearSigmoid"
    " QLinearSoftmax QuickGelu"
    " RotaryEmbedding ScaledSiLU Trilu GroupNorm ComplexMul ComplexMulConj MaxpoolWithMask MoE QMoE".split()
)

SHAPED_LIKE_STANDARD: Mapping[str, tuple[str, tuple[int, ...]]] = {
    "FusedConv": ("Conv", (0, 1)),
    "QLinearConv": ("Conv", (0, 3)),
    "ConvTransposeWithDynamicPads": ("ConvTranspose", (0, 1)),
    "FusedGemm": ("Gemm", (0, 1)),
    "GemmFloat8": ("Gemm", (0, 1)),
    "QGemm": ("Gemm", (0, 3)),
    "DynamicQuantizeMatMul": ("MatMul", (0, 1)),
    "MatMulIntegerToFloat": ("MatMul", (0, 1)),
    "MatMulInteger16": ("MatMul", (0, 1)),
    "GemmFastGelu": ("MatMul", (0, 1)),
    "SparseToDenseMatMul": ("MatMul", (0, 1)),
    "QLinearAdd": ("Add", (0, 3)),
    "QLinearMul": ("Mul", (0, 3)),
    "MulInteger": ("Mul", (0, 2)),
    "QLinearGlobalAveragePool": ("GlobalAveragePool", (0,)),
    "QLinearAveragePool": ("AveragePool", (0,)),
    "GatherND": ("GatherND", (0, 1)),
    "GridSample": ("GridSample", (0, 1)),
    "DynamicQuantizeLSTM": ("LSTM", (0, 1, 2)),
}
"""Standard operator of the same shapes, and where its inputs stand among the contrib operator's."""

ACCUMULATED = {"MatMulInteger16": TensorProto.INT32, "MulInteger": TensorProto.INT32}
"""Operators that widen their result."""


def outputs(node: NodeProto, inputs: Inputs, inference: Inference) -> list[Value] | None:
    """Return the outputs of a contrib operator, ``None`` for any other. Raises ``UnresolvedShapeError``."""
    if node.domain == NCHWC:
        node = _renamed(node)
    elif node.domain != MICROSOFT and (node.domain, node.op_type) != ("", "SimplifiedLayerNormalization"):
        return None
    rule = _rule(node.op_type)
    if rule is None:
        return None
    try:
        found = rule(node, inputs, inference)
    except (
        ShapeConflictError,
        IndexError,
        KeyError,
        ValueError,
        TypeError,
        ZeroDivisionError,
        AttributeError,
    ) as error:
        raise UnresolvedShapeError(
            f"the {node.op_type} node {node.name or node.output[0]!r} of onnxruntime's operators does not accept"
            f" its inputs ({error});"
            " check --input and --value, or export the model again"
        ) from error
    return [*found, *(Value(name="", elem=TensorProto.UNDEFINED, shape=()) for _ in node.output[len(found) :])]


def shaped() -> frozenset[str]:
    """Return the operators of ``com.microsoft`` whose shapes are known here."""
    return SAME_AS_FIRST | SHAPED_LIKE_STANDARD.keys() | RULES.keys()


def _rule(op_type: str) -> Rule | None:
    if op_type in SAME_AS_FIRST:
        return lambda node, inputs, inference: [like(inputs[0])]
    return _like_standard if op_type in SHAPED_LIKE_STANDARD else RULES.get(op_type)


def _renamed(node: NodeProto) -> NodeProto:
    """Return a blocked-layout node under the name of its rule."""
    names = {
        "Conv": "FusedConv",
        "MaxPool": "BlockedMaxPool",
        "AveragePool": "BlockedAveragePool",
        "Upsample": "BlockedUpsample",
    }
    copy = type(node)()
    copy.CopyFrom(node)
    copy.op_type = names.get(node.op_type, node.op_type)
    return copy


def _known_attributes(op_type: str, attributes: Mapping[str, Any]) -> dict[str, Any]:
    from onnx import defs

    return {name: value for name, value in attributes.items() if name in defs.get_schema(op_type).attributes}


def _like_standard(node: NodeProto, inputs: Inputs, inference: Inference) -> list[Value]:
    op_type, positions = SHAPED_LIKE_STANDARD[node.op_type]
    attributes = plain(node)
    if attributes.pop("channels_last", 0):
        return _channels_last(op_type, attributes, inputs, positions[-1], inference)
    operands = [like(inputs[position], TensorProto.FLOAT) for position in positions]
    if op_type == "GatherND":
        operands[1] = replace(operands[1], elem=TensorProto.INT64)
    if op_type == "LSTM":
        operands[1:] = [_transposed_weight(value) for value in operands[1:]]
    found = inference.standard(op_type, operands, _known_attributes(op_type, attributes), len(node.output))
    return [replace(value, elem=_result(node, inputs)) for value in found]


def _transposed_weight(value: Value) -> Value:
    """Transpose quantised recurrent weights, which are stored as ``(directions, features, gates × hidden)``."""
    shape = value.shape or ()
    return replace(value, shape=(shape[0], shape[2], shape[1]))


def _result(node: NodeProto, inputs: Inputs) -> int:
    """Return the element type of the result: quantised operators keep the input's unless they return floats."""
    if node.op_type in ACCUMULATED:
        return ACCUMULATED[node.op_type]
    if node.op_type in ("DynamicQuantizeMatMul", "MatMulIntegerToFloat", "DynamicQuantizeLSTM"):
        return int(TensorProto.FLOAT)
    if node.op_type == "QGemm" and not given(inputs, 7):
        return int(TensorProto.FLOAT)
    return inputs[0].elem if inputs[0] is not None else 0


def _channels_last(
    op_type: str, attributes: dict[str, Any], inputs: Inputs, weight: int, inference: Inference
) -> list[Value]:
    """Infer an operator on data ``(batch, *spatial, channels)``, whose kernel keeps its usual layout."""
    data = shape_of(inputs, 0)
    first = Value(name="", elem=TensorProto.FLOAT, shape=(data[0], data[-1], *data[1:-1]))
    operands = [first] if weight == 0 else [first, like(inputs[weight], TensorProto.FLOAT)]
    (found,) = inference.standard(op_type, operands, _known_attributes(op_type, attributes))
    shape = found.shape or ()
    return [
        like(replace(found, shape=(shape[0], *shape[2:], shape[1])), inputs[0].elem if inputs[0] is not None else 0)
    ]


def _nhwc(op_type: str, weight: int) -> Rule:
    return lambda node, inputs, inference: _channels_last(op_type, plain(node), inputs, weight, inference)


def _nchw(op_type: str) -> Rule:
    def rule(node: NodeProto, inputs: Inputs, inference: Inference) -> list[Value]:
        found = inference.standard(op_type, [like(inputs[0])], _known_attributes(op_type, plain(node)))
        return [like(found[0])]

    return rule


def _upsample(node: NodeProto, inputs: Inputs, inference: Inference) -> list[Value]:
    data, scales = shape_of(inputs, 0), plain(node)["scales"]
    return [made(inputs, tuple(int(d * s) for d, s in zip(data, scales, strict=True)))]


def _reorder_output(node: NodeProto, inputs: Inputs, inference: Inference) -> list[Value]:
    """Infer the conversion from blocks back to plain layout; the true number of channels is an attribute."""
    data, attributes = shape_of(inputs, 0), plain(node)
    channels = int(attributes["channels"])
    shape = (data[0], *data[2:], channels) if attributes.get("channels_last") else (data[0], channels, *data[2:])
    return [made(inputs, shape)]


def _reorder_input(node: NodeProto, inputs: Inputs, inference: Inference) -> list[Value]:
    data = shape_of(inputs, 0)
    if plain(node).get("channels_last"):
        data = (data[0], data[-1], *data[1:-1])
    return [made(inputs, data)]


def _fused_matmul(node: NodeProto, inputs: Inputs, inference: Inference) -> list[Value]:
    at = plain(node)
    operands = [
        made(inputs, _multiplied(shape_of(inputs, 0), at.get("transA"), at.get("transBatchA"))),
        made(inputs, _multiplied(shape_of(inputs, 1), at.get("transB"), at.get("transBatchB"))),
    ]
    return [like(inference.standard("MatMul", operands, {})[0])]


def _multiplied(shape: tuple[int, ...], transpose: Any, batch: Any) -> tuple[int, ...]:
    if batch and len(shape) > 2:
        shape = (*shape[1:-1], shape[0], shape[-1])
    return (*shape[:-2], shape[-1], shape[-2]) if transpose and len(shape) > 1 else shape


def _packed_matmul(node: NodeProto, inputs: Inputs, inference: Inference) -> list[Value]:
    return [made(inputs, (*shape_of(inputs, 0)[:-1], int(plain(node)["N"])))]


def _split_gelu(node: NodeProto, inputs: Inputs, inference: Inference) -> list[Value]:
    data = shape_of(inputs, 0)
    return [made(inputs, (*data[:-1], data[-1] // 2))]


def _dropout(node: NodeProto, inputs: Inputs, inference: Inference) -> list[Value]:
    return [like(inputs[0]), like(inputs[0], TensorProto.BOOL)][: len(node.output)]


def _quantise(node: NodeProto, inputs: Inputs, inference: Inference) -> list[Value]:
    zero = inputs[2] if len(inputs) > 2 else None
    return [like(inputs[0], zero.elem if zero is not None else TensorProto.UINT8)]


def _dequantise(node: NodeProto, inputs: Inputs, inference: Inference) -> list[Value]:
    scale = inputs[1]
    return [like(inputs[0], scale.elem if scale is not None else TensorProto.FLOAT)]


def _quantised_concat(node: NodeProto, inputs: Inputs, inference: Inference) -> list[Value]:
    """Scale and zero point of the result, then three inputs a tensor."""
    tensors = [like(value) for value in inputs[2::3]]
    return [like(inference.standard("Concat", tensors, {"axis": plain(node)["axis"]})[0])]


def _quantised_where(node: NodeProto, inputs: Inputs, inference: Inference) -> list[Value]:
    return [like(inference.standard("Where", [like(inputs[i]) for i in (0, 1, 4)], {})[0])]


def _reduce_mean(node: NodeProto, inputs: Inputs, inference: Inference) -> list[Value]:
    data, at = shape_of(inputs, 0), plain(node)
    axes = {axis % len(data) for axis in at.get("axes", range(len(data)))}
    kept = [1 if i in axes else d for i, d in enumerate(data) if i not in axes or at.get("keepdims", 1)]
    return [made(inputs, tuple(kept))]


def _distances(node: NodeProto, inputs: Inputs, inference: Inference) -> list[Value]:
    return [made(inputs, (shape_of(inputs, 0)[0], shape_of(inputs, 1)[0]))]


def _expand_dims(node: NodeProto, inputs: Inputs, inference: Inference) -> list[Value]:
    data, axis = shape_of(inputs, 0), inputs[1]
    if axis is None or axis.data is None:
        raise ValueError("its axis is unknown")
    at = int(axis.data.reshape(())) % (len(data) + 1)
    return [made(inputs, (*data[:at], 1, *data[at:]))]


def _pad(node: NodeProto, inputs: Inputs, inference: Inference) -> list[Value]:
    found = inference.standard("Pad", list(inputs), _known_attributes("Pad", plain(node)))
    return [like(found[0])]


def _gathered_blocks(node: NodeProto, inputs: Inputs, inference: Inference) -> list[Value]:
    """Infer rows of a table quantised by blocks, two values a byte if the table is uint8."""
    scales = inputs[2]
    table, at = inputs[0], plain(node)
    if table is None or scales is None:
        raise ValueError("an input is absent")
    indices = like(inputs[1], TensorProto.INT64)
    found = inference.standard("Gather", [like(table), indices], {"axis": at.get("gather_axis", 0)})[0]
    shape = found.shape or ()
    if table.elem == TensorProto.UINT8 and shape and at.get("bits", 4) == 4:
        shape = (*shape[:-1], (shape[-1] or 0) * 2)
    return [Value(name="", elem=scales.elem, shape=shape)]


def _rfft(node: NodeProto, inputs: Inputs, inference: Inference) -> list[Value]:
    """Infer a transform of ``signal_ndim`` trailing dimensions; the last becomes half plus one, then real and
    imaginary.
    """
    data = shape_of(inputs, 0)
    return [made(inputs, (*data[:-1], data[-1] // 2 + 1, 2))]


def _irfft(node: NodeProto, inputs: Inputs, inference: Inference) -> list[Value]:
    data = shape_of(inputs, 0)
    return [made(inputs, (*data[:-2], 2 * (data[-2] - 1)))]


RULES: dict[str, Rule] = {
    **contrib_attention.RULES,
    "FusedMatMul": _fused_matmul,
    "TransposeMatMul": _fused_matmul,
    "FusedMatMulActivation": _fused_matmul,
    "MatMulNBits": _packed_matmul,
    "MatMulBnb4": _packed_matmul,
    "CDist": _distances,
    "NhwcConv": _nhwc("Conv", 1),
    "NhwcFusedConv": _nhwc("Conv", 1),
    "NhwcMaxPool": _nhwc("MaxPool", 0),
    "BlockedMaxPool": _nchw("MaxPool"),
    "BlockedAveragePool": _nchw("AveragePool"),
    "BlockedUpsample": _upsample,
    "GlobalAveragePool": _nchw("GlobalAveragePool"),
    "GlobalMaxPool": _nchw("GlobalMaxPool"),
    "ReorderInput": _reorder_input,
    "ReorderOutput": _reorder_output,
    "BiasSplitGelu": _split_gelu,
    "BiasDropout": _dropout,
    "QuantizeLinear": _quantise,
    "DequantizeLinear": _dequantise,
    "QLinearConcat": _quantised_concat,
    "QLinearWhere": _quantised_where,
    "QLinearReduceMean": _reduce_mean,
    "ExpandDims": _expand_dims,
    "Pad": _pad,
    "GatherBlockQuantized": _gathered_blocks,
    "Rfft": _rfft,
    "Irfft": _irfft,
}
