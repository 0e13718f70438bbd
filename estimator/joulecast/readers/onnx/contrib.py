"""Shapes of onnxruntime's own operators, which the standard's inference does not know.

Most are a standard operator with more inputs or attributes: those are asked of the library under the standard name.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from onnx import TensorProto

from joulecast.errors import UnresolvedShapeError
from joulecast.readers.onnx.attributes import plain
from joulecast.readers.onnx.inference import ShapeConflictError
from joulecast.readers.onnx.values import Value

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from onnx import NodeProto

    from joulecast.readers.onnx.inference import Inference

    Inputs = Sequence[Value | None]
    Rule = Callable[[NodeProto, Inputs, Inference], list[Value]]

MICROSOFT, NCHWC = "com.microsoft", "com.microsoft.nchwc"

SAME_AS_FIRST = frozenset(
    "BiasAdd BiasGelu BiasSoftmax FastGelu Gelu GemmaRotaryEmbedding Inverse QLinearLeakyRelu QLinearSigmoid"
    " QLinearSoftmax QuickGelu"
    " RotaryEmbedding ScaledSiLU Trilu GroupNorm ComplexMul ComplexMulConj MaxpoolWithMask".split()
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
    """The outputs of a contrib operator, ``None`` for any other. Raises ``UnresolvedShapeError``."""
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


def _rule(op_type: str) -> Rule | None:
    if op_type in SAME_AS_FIRST:
        return lambda node, inputs, inference: [_like(inputs[0])]
    return _like_standard if op_type in SHAPED_LIKE_STANDARD else RULES.get(op_type)


def _renamed(node: NodeProto) -> NodeProto:
    """A blocked-layout node under the name of its rule here."""
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


def _like(value: Value | None, elem: int | None = None) -> Value:
    if value is None:
        raise ValueError("an input is absent")
    return Value(name="", elem=value.elem if elem is None else elem, shape=value.shape)


def _shape(inputs: Inputs, position: int) -> tuple[int, ...]:
    value = inputs[position]
    if value is None or value.shape is None or None in value.shape:
        raise ValueError(f"the shape of input {position} is unknown")
    return tuple(d for d in value.shape if d is not None)


def _given(inputs: Inputs, position: int) -> bool:
    return position < len(inputs) and inputs[position] is not None


def _made(inputs: Inputs, shape: tuple[int, ...], elem: int | None = None) -> Value:
    first = inputs[0]
    return Value(name="", elem=first.elem if elem is None and first is not None else elem or 0, shape=shape)


def _known_attributes(op_type: str, attributes: Mapping[str, Any]) -> dict[str, Any]:
    from onnx import defs

    return {name: value for name, value in attributes.items() if name in defs.get_schema(op_type).attributes}


def _like_standard(node: NodeProto, inputs: Inputs, inference: Inference) -> list[Value]:
    op_type, positions = SHAPED_LIKE_STANDARD[node.op_type]
    attributes = plain(node)
    if attributes.pop("channels_last", 0):
        return _channels_last(op_type, attributes, inputs, positions[-1], inference)
    operands = [_like(inputs[position], TensorProto.FLOAT) for position in positions]
    if op_type == "GatherND":
        operands[1] = replace(operands[1], elem=TensorProto.INT64)
    if op_type == "LSTM":
        operands[1:] = [_transposed_weight(value) for value in operands[1:]]
    found = inference.standard(op_type, operands, _known_attributes(op_type, attributes), len(node.output))
    return [replace(value, elem=_result(node, inputs)) for value in found]


def _transposed_weight(value: Value) -> Value:
    """Quantised recurrent weights lie ``(directions, features, gates × hidden)``."""
    shape = value.shape or ()
    return replace(value, shape=(shape[0], shape[2], shape[1]))


def _result(node: NodeProto, inputs: Inputs) -> int:
    """The element type of the result: quantised operators keep the input's unless they return floats."""
    if node.op_type in ACCUMULATED:
        return ACCUMULATED[node.op_type]
    if node.op_type in ("DynamicQuantizeMatMul", "MatMulIntegerToFloat", "DynamicQuantizeLSTM"):
        return int(TensorProto.FLOAT)
    if node.op_type == "QGemm" and not _given(inputs, 7):
        return int(TensorProto.FLOAT)
    return inputs[0].elem if inputs[0] is not None else 0


def _channels_last(
    op_type: str, attributes: dict[str, Any], inputs: Inputs, weight: int, inference: Inference
) -> list[Value]:
    """Data ``(batch, *spatial, channels)``; the kernel keeps its usual layout."""
    data = _shape(inputs, 0)
    first = Value(name="", elem=TensorProto.FLOAT, shape=(data[0], data[-1], *data[1:-1]))
    operands = [first] if weight == 0 else [first, _like(inputs[weight], TensorProto.FLOAT)]
    (found,) = inference.standard(op_type, operands, _known_attributes(op_type, attributes))
    shape = found.shape or ()
    return [
        _like(replace(found, shape=(shape[0], *shape[2:], shape[1])), inputs[0].elem if inputs[0] is not None else 0)
    ]


def _nhwc(op_type: str, weight: int) -> Rule:
    return lambda node, inputs, inference: _channels_last(op_type, plain(node), inputs, weight, inference)


def _nchw(op_type: str) -> Rule:
    def rule(node: NodeProto, inputs: Inputs, inference: Inference) -> list[Value]:
        found = inference.standard(op_type, [_like(inputs[0])], _known_attributes(op_type, plain(node)))
        return [_like(found[0])]

    return rule


def _upsample(node: NodeProto, inputs: Inputs, inference: Inference) -> list[Value]:
    data, scales = _shape(inputs, 0), plain(node)["scales"]
    return [_made(inputs, tuple(int(d * s) for d, s in zip(data, scales, strict=True)))]


def _reorder_output(node: NodeProto, inputs: Inputs, inference: Inference) -> list[Value]:
    """Back from blocks: the true number of channels is an attribute."""
    data, attributes = _shape(inputs, 0), plain(node)
    channels = int(attributes["channels"])
    shape = (data[0], *data[2:], channels) if attributes.get("channels_last") else (data[0], channels, *data[2:])
    return [_made(inputs, shape)]


def _reorder_input(node: NodeProto, inputs: Inputs, inference: Inference) -> list[Value]:
    data = _shape(inputs, 0)
    if plain(node).get("channels_last"):
        data = (data[0], data[-1], *data[1:-1])
    return [_made(inputs, data)]


def _fused_matmul(node: NodeProto, inputs: Inputs, inference: Inference) -> list[Value]:
    at = plain(node)
    operands = [
        _made(inputs, _multiplied(_shape(inputs, 0), at.get("transA"), at.get("transBatchA"))),
        _made(inputs, _multiplied(_shape(inputs, 1), at.get("transB"), at.get("transBatchB"))),
    ]
    return [_like(inference.standard("MatMul", operands, {})[0])]


def _multiplied(shape: tuple[int, ...], transpose: Any, batch: Any) -> tuple[int, ...]:
    if batch and len(shape) > 2:
        shape = (*shape[1:-1], shape[0], shape[-1])
    return (*shape[:-2], shape[-1], shape[-2]) if transpose and len(shape) > 1 else shape


def _packed_matmul(node: NodeProto, inputs: Inputs, inference: Inference) -> list[Value]:
    return [_made(inputs, (*_shape(inputs, 0)[:-1], int(plain(node)["N"])))]


def _normalised(node: NodeProto, inputs: Inputs, inference: Inference) -> list[Value]:
    """Y, then mean and inverse deviation with the normalised dimension at 1, then the sum of input and skip."""
    data = _shape(inputs, 0)
    statistics = _made(inputs, (*data[:-1], 1), TensorProto.FLOAT)
    return [_like(inputs[0]), statistics, statistics, _like(inputs[0])][: len(node.output)]


def _standard_statistics(node: NodeProto, inputs: Inputs, inference: Inference) -> list[Value]:
    """SimplifiedLayerNormalization gives the inverse deviation beside Y."""
    data = _shape(inputs, 0)
    axis = int(plain(node).get("axis", -1)) % len(data)
    return [_like(inputs[0]), _made(inputs, (*data[:axis], *(1,) * (len(data) - axis)), TensorProto.FLOAT)][
        : len(node.output)
    ]


def _skip_group(node: NodeProto, inputs: Inputs, inference: Inference) -> list[Value]:
    return [_like(inputs[0])] * len(node.output)


def _embed(node: NodeProto, inputs: Inputs, inference: Inference) -> list[Value]:
    """Ids ``(batch, tokens)`` to ``(batch, tokens, hidden)``, the mask's length a sample, and the sum before
    normalisation."""
    batch, tokens = _shape(inputs, 0)
    table = inputs[2]
    embedded = Value(name="", elem=table.elem if table is not None else 0, shape=(batch, tokens, _shape(inputs, 2)[1]))
    return [embedded, Value(name="", elem=TensorProto.INT32, shape=(batch,)), embedded][: len(node.output)]


def _attention(node: NodeProto, inputs: Inputs, inference: Inference) -> list[Value]:
    """``(batch, tokens, width)`` to ``(batch, tokens, v)``, and the cache ``(2, batch, heads, past + tokens,
    size)``."""
    batch, tokens, _ = _shape(inputs, 0)
    at, columns = plain(node), _shape(inputs, 1)[1]
    sizes = at.get("qkv_hidden_sizes") or (columns // 3,) * 3
    heads, past_at = int(at["num_heads"]), 8 if node.op_type == "QAttention" else 4
    past = _shape(inputs, past_at)[3] if _given(inputs, past_at) else 0
    length = past if at.get("past_present_share_buffer") else past + tokens
    elem = inputs[0].elem if inputs[0] is not None else 0
    if node.op_type == "QAttention":
        elem = inputs[3].elem if _given(inputs, 3) and inputs[3] is not None else int(TensorProto.FLOAT)
    present = Value(name="", elem=elem, shape=(2, batch, heads, length, sizes[1] // heads))
    return [Value(name="", elem=elem, shape=(batch, tokens, sizes[2])), present][: len(node.output)]


def _multi_head(node: NodeProto, inputs: Inputs, inference: Inference) -> list[Value]:
    """``(batch, tokens, heads × value_size)`` and the caches of keys and values ``(batch, heads, past + keys,
    size)``."""
    query, heads = _shape(inputs, 0), int(plain(node)["num_heads"])
    past_at = 5 if node.op_type.startswith("Decoder") else 6
    past = _shape(inputs, past_at)[2] if _given(inputs, past_at) else 0
    size, keys, value_size = _key_sizes(inputs, query, heads)
    length = past if plain(node).get("past_present_share_buffer") else past + keys
    caches = [_made(inputs, (query[0], heads, length, s)) for s in (size, value_size)]
    return [_made(inputs, (query[0], query[1], heads * value_size)), *caches][: len(node.output)]


def _key_sizes(inputs: Inputs, query: tuple[int, ...], heads: int) -> tuple[int, int, int]:
    """Size of a query head, number of keys, size of a value head."""
    if len(query) == 5:
        return query[4], query[1], query[4]
    size, key = query[2] // heads, _shape(inputs, 1)
    if len(key) == 5:
        return size, key[1], size
    value = _shape(inputs, 2)
    return (size, key[2], value[3]) if len(key) == 4 else (size, key[1], value[2] // heads)


def _grouped(node: NodeProto, inputs: Inputs, inference: Inference) -> list[Value]:
    """``(batch, tokens, heads × size)`` and caches ``(batch, kv heads, total, size)``; the total length is an input's
    value."""
    query, at = _shape(inputs, 0), plain(node)
    heads, kv_heads = int(at["num_heads"]), int(at["kv_num_heads"])
    size = query[2] // heads if _given(inputs, 1) else query[2] // (heads + 2 * kv_heads)
    past = _shape(inputs, 3)[2] if _given(inputs, 3) else 0
    total = max(past, _total_length(inputs) or past + query[1])
    cache = _made(inputs, (query[0], kv_heads, total, size))
    return [_made(inputs, (query[0], query[1], heads * size)), cache, cache][: len(node.output)]


def _total_length(inputs: Inputs) -> int | None:
    """``total_sequence_length``, the operator's seventh input, where its value is known."""
    value = inputs[6] if len(inputs) > 6 else None
    return (
        int(value.data.reshape(())) if value is not None and value.data is not None and value.data.size == 1 else None
    )


def _split_gelu(node: NodeProto, inputs: Inputs, inference: Inference) -> list[Value]:
    data = _shape(inputs, 0)
    return [_made(inputs, (*data[:-1], data[-1] // 2))]


def _dropout(node: NodeProto, inputs: Inputs, inference: Inference) -> list[Value]:
    return [_like(inputs[0]), _like(inputs[0], TensorProto.BOOL)][: len(node.output)]


def _quantise(node: NodeProto, inputs: Inputs, inference: Inference) -> list[Value]:
    zero = inputs[2] if len(inputs) > 2 else None
    return [_like(inputs[0], zero.elem if zero is not None else TensorProto.UINT8)]


def _dequantise(node: NodeProto, inputs: Inputs, inference: Inference) -> list[Value]:
    scale = inputs[1]
    return [_like(inputs[0], scale.elem if scale is not None else TensorProto.FLOAT)]


def _quantised_concat(node: NodeProto, inputs: Inputs, inference: Inference) -> list[Value]:
    """Scale and zero point of the result, then three inputs a tensor."""
    tensors = [_like(value) for value in inputs[2::3]]
    return [_like(inference.standard("Concat", tensors, {"axis": plain(node)["axis"]})[0])]


def _quantised_where(node: NodeProto, inputs: Inputs, inference: Inference) -> list[Value]:
    return [_like(inference.standard("Where", [_like(inputs[i]) for i in (0, 1, 4)], {})[0])]


def _reduce_mean(node: NodeProto, inputs: Inputs, inference: Inference) -> list[Value]:
    data, at = _shape(inputs, 0), plain(node)
    axes = {axis % len(data) for axis in at.get("axes", range(len(data)))}
    kept = [1 if i in axes else d for i, d in enumerate(data) if i not in axes or at.get("keepdims", 1)]
    return [_made(inputs, tuple(kept))]


def _distances(node: NodeProto, inputs: Inputs, inference: Inference) -> list[Value]:
    return [_made(inputs, (_shape(inputs, 0)[0], _shape(inputs, 1)[0]))]


def _expand_dims(node: NodeProto, inputs: Inputs, inference: Inference) -> list[Value]:
    data, axis = _shape(inputs, 0), inputs[1]
    if axis is None or axis.data is None:
        raise ValueError("its axis is unknown")
    at = int(axis.data.reshape(())) % (len(data) + 1)
    return [_made(inputs, (*data[:at], 1, *data[at:]))]


def _pad(node: NodeProto, inputs: Inputs, inference: Inference) -> list[Value]:
    found = inference.standard("Pad", list(inputs), _known_attributes("Pad", plain(node)))
    return [_like(found[0])]


def _causal_conv(node: NodeProto, inputs: Inputs, inference: Inference) -> list[Value]:
    data, weight = _shape(inputs, 0), _shape(inputs, 1)
    return [_like(inputs[0]), _made(inputs, (data[0], data[1], weight[-1] - 1))][: len(node.output)]


def _linear_attention(node: NodeProto, inputs: Inputs, inference: Inference) -> list[Value]:
    query, key, value, at = _shape(inputs, 0), _shape(inputs, 1), _shape(inputs, 2), plain(node)
    heads, kv_heads = int(at["q_num_heads"]), int(at["kv_num_heads"])
    d_k, d_v = key[2] // kv_heads, value[2] // kv_heads
    return [_made(inputs, (*query[:2], heads * d_v)), _made(inputs, (query[0], kv_heads, d_k, d_v))][: len(node.output)]


def _relative_bias(node: NodeProto, inputs: Inputs, inference: Inference) -> list[Value]:
    """Table ``(buckets, heads)`` and two lengths to ``(1, heads, queries, keys)``."""
    lengths = [value.data for value in inputs[1:3] if value is not None]
    if len(lengths) != 2 or any(length is None for length in lengths):
        raise ValueError("its lengths are unknown")
    queries, keys = (int(length.reshape(())) for length in lengths)
    return [_made(inputs, (1, _shape(inputs, 0)[1], queries, keys))]


def _gathered_blocks(node: NodeProto, inputs: Inputs, inference: Inference) -> list[Value]:
    """Rows of a table quantised by blocks, two values a byte if the table is uint8."""
    scales = inputs[2]
    table, at = inputs[0], plain(node)
    if table is None or scales is None:
        raise ValueError("an input is absent")
    indices = _like(inputs[1], TensorProto.INT64)
    found = inference.standard("Gather", [_like(table), indices], {"axis": at.get("gather_axis", 0)})[0]
    shape = found.shape or ()
    if table.elem == TensorProto.UINT8 and shape and at.get("bits", 4) == 4:
        shape = (*shape[:-1], (shape[-1] or 0) * 2)
    return [Value(name="", elem=scales.elem, shape=shape)]


def _rfft(node: NodeProto, inputs: Inputs, inference: Inference) -> list[Value]:
    """``signal_ndim`` trailing dimensions to half of the last plus one, with real and imaginary part behind."""
    data = _shape(inputs, 0)
    return [_made(inputs, (*data[:-1], data[-1] // 2 + 1, 2))]


def _irfft(node: NodeProto, inputs: Inputs, inference: Inference) -> list[Value]:
    data = _shape(inputs, 0)
    return [_made(inputs, (*data[:-2], 2 * (data[-2] - 1)))]


RULES: dict[str, Rule] = {
    "Attention": _attention,
    "QAttention": _attention,
    "MultiHeadAttention": _multi_head,
    "DecoderMaskedMultiHeadAttention": _multi_head,
    "GroupQueryAttention": _grouped,
    "LinearAttention": _linear_attention,
    "CausalConvWithState": _causal_conv,
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
    "SkipLayerNormalization": _normalised,
    "SkipSimplifiedLayerNormalization": _normalised,
    "SimplifiedLayerNormalization": _standard_statistics,
    "SkipGroupNorm": _skip_group,
    "EmbedLayerNormalization": _embed,
    "BiasSplitGelu": _split_gelu,
    "BiasDropout": _dropout,
    "QuantizeLinear": _quantise,
    "DequantizeLinear": _dequantise,
    "QLinearConcat": _quantised_concat,
    "QLinearWhere": _quantised_where,
    "QLinearReduceMean": _reduce_mean,
    "ExpandDims": _expand_dims,
    "Pad": _pad,
    "RelativePositionBias": _relative_bias,
    "GatherBlockQuantized": _gathered_blocks,
    "Rfft": _rfft,
    "Irfft": _irfft,
}
