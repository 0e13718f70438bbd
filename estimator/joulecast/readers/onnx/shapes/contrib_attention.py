"""Shapes of onnxruntime's fused attention and normalisation operators."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from onnx import TensorProto

from joulecast.readers.onnx.attributes import plain
from joulecast.readers.onnx.shapes.operands import given, like, made, shape_of
from joulecast.readers.onnx.values import Value

if TYPE_CHECKING:
    from onnx import NodeProto

    from joulecast.readers.onnx.shapes.inference import Inference
    from joulecast.readers.onnx.shapes.operands import Inputs, Rule


def _normalised(node: NodeProto, inputs: Inputs, inference: Inference) -> list[Value]:
    """Return Y, then mean and inverse deviation with the normalised dimension at 1, then the sum of input and skip."""
    data = shape_of(inputs, 0)
    statistics = made(inputs, (*data[:-1], 1), TensorProto.FLOAT)
    return [like(inputs[0]), statistics, statistics, like(inputs[0])][: len(node.output)]


def _standard_statistics(node: NodeProto, inputs: Inputs, inference: Inference) -> list[Value]:
    """Return Y and, as SimplifiedLayerNormalization does, the inverse deviation."""
    data = shape_of(inputs, 0)
    axis = int(plain(node).get("axis", -1)) % len(data)
    return [like(inputs[0]), made(inputs, (*data[:axis], *(1,) * (len(data) - axis)), TensorProto.FLOAT)][
        : len(node.output)
    ]


def _skip_group(node: NodeProto, inputs: Inputs, inference: Inference) -> list[Value]:
    return [like(inputs[0])] * len(node.output)


def _embed(node: NodeProto, inputs: Inputs, inference: Inference) -> list[Value]:
    """Infer ids ``(batch, tokens)`` to ``(batch, tokens, hidden)``, the mask's length, and the sum before the norm."""
    batch, tokens = shape_of(inputs, 0)
    table = inputs[2]
    embedded = Value(
        name="", elem=table.elem if table is not None else 0, shape=(batch, tokens, shape_of(inputs, 2)[1])
    )
    return [embedded, Value(name="", elem=TensorProto.INT32, shape=(batch,)), embedded][: len(node.output)]


def _quantised_embed(node: NodeProto, inputs: Inputs, inference: Inference) -> list[Value]:
    """Infer the same with tables of integers; the operator computes in the type of its scale."""
    gamma = inputs[5]
    elem = gamma.elem if gamma is not None else TensorProto.FLOAT
    embedded, lengths = (*_embed(node, inputs, inference), *[Value(name="")] * 2)[:2]
    return [replace(embedded, elem=elem), lengths][: len(node.output)]


def _packed(node: NodeProto, inputs: Inputs, inference: Inference) -> list[Value]:
    """Infer attention over the tokens of all samples ``(tokens, hidden)`` without padding.

    The joint weights are ``(hidden, query + key + value)``.
    """
    joint = shape_of(inputs, 1)[1]
    sizes = plain(node).get("qkv_hidden_sizes", (0, 0, joint // 3))
    return [made(inputs, (shape_of(inputs, 0)[0], int(sizes[2])))]


def _packed_heads(node: NodeProto, inputs: Inputs, inference: Inference) -> list[Value]:
    """Infer query ``(tokens, hidden)`` with key and value, or all three as ``(tokens, heads, 3, head size)``."""
    query = shape_of(inputs, 0)
    return [made(inputs, (query[0], query[1] * query[3] if len(query) == 4 else shape_of(inputs, 2)[1]))]


def _attention(node: NodeProto, inputs: Inputs, inference: Inference) -> list[Value]:
    """Infer ``(batch, tokens, v)`` and the cache ``(2, batch, heads, past + tokens, size)``."""
    batch, tokens, _ = shape_of(inputs, 0)
    at, columns = plain(node), shape_of(inputs, 1)[1]
    sizes = at.get("qkv_hidden_sizes") or (columns // 3,) * 3
    heads, past_at = int(at["num_heads"]), 8 if node.op_type == "QAttention" else 4
    past = shape_of(inputs, past_at)[3] if given(inputs, past_at) else 0
    length = past if at.get("past_present_share_buffer") else past + tokens
    elem = inputs[0].elem if inputs[0] is not None else 0
    if node.op_type == "QAttention":
        elem = inputs[3].elem if given(inputs, 3) and inputs[3] is not None else int(TensorProto.FLOAT)
    present = Value(name="", elem=elem, shape=(2, batch, heads, length, sizes[1] // heads))
    return [Value(name="", elem=elem, shape=(batch, tokens, sizes[2])), present][: len(node.output)]


def _multi_head(node: NodeProto, inputs: Inputs, inference: Inference) -> list[Value]:
    """Infer ``(batch, tokens, heads × value_size)`` and the caches ``(batch, heads, past + keys, size)``."""
    query, heads = shape_of(inputs, 0), int(plain(node)["num_heads"])
    past_at = 5 if node.op_type.startswith("Decoder") else 6
    past = shape_of(inputs, past_at)[2] if given(inputs, past_at) else 0
    size, keys, value_size = _key_sizes(inputs, query, heads)
    length = past if plain(node).get("past_present_share_buffer") else past + keys
    caches = [made(inputs, (query[0], heads, length, s)) for s in (size, value_size)]
    return [made(inputs, (query[0], query[1], heads * value_size)), *caches][: len(node.output)]


def _key_sizes(inputs: Inputs, query: tuple[int, ...], heads: int) -> tuple[int, int, int]:
    """Return the size of a query head, the number of keys, and the size of a value head."""
    if len(query) == 5:
        return query[4], query[1], query[4]
    size, key = query[2] // heads, shape_of(inputs, 1)
    if len(key) == 5:
        return size, key[1], size
    value = shape_of(inputs, 2)
    return (size, key[2], value[3]) if len(key) == 4 else (size, key[1], value[2] // heads)


def _grouped(node: NodeProto, inputs: Inputs, inference: Inference) -> list[Value]:
    """Infer ``(batch, tokens, heads × size)`` and caches ``(batch, kv heads, total, size)``.

    An input gives the total length.
    """
    query, at = shape_of(inputs, 0), plain(node)
    heads, kv_heads = int(at["num_heads"]), int(at["kv_num_heads"])
    size = query[2] // heads if given(inputs, 1) else query[2] // (heads + 2 * kv_heads)
    past = shape_of(inputs, 3)[2] if given(inputs, 3) else 0
    total = max(past, _total_length(inputs) or past + query[1])
    cache = made(inputs, (query[0], kv_heads, total, size))
    return [made(inputs, (query[0], query[1], heads * size)), cache, cache][: len(node.output)]


def _total_length(inputs: Inputs) -> int | None:
    """Return ``total_sequence_length``, the operator's seventh input, where its value is known."""
    value = inputs[6] if len(inputs) > 6 else None
    return (
        int(value.data.reshape(())) if value is not None and value.data is not None and value.data.size == 1 else None
    )


def _causal_conv(node: NodeProto, inputs: Inputs, inference: Inference) -> list[Value]:
    data, weight = shape_of(inputs, 0), shape_of(inputs, 1)
    return [like(inputs[0]), made(inputs, (data[0], data[1], weight[-1] - 1))][: len(node.output)]


def _linear_attention(node: NodeProto, inputs: Inputs, inference: Inference) -> list[Value]:
    query, key, value, at = shape_of(inputs, 0), shape_of(inputs, 1), shape_of(inputs, 2), plain(node)
    heads, kv_heads = int(at["q_num_heads"]), int(at["kv_num_heads"])
    d_k, d_v = key[2] // kv_heads, value[2] // kv_heads
    return [made(inputs, (*query[:2], heads * d_v)), made(inputs, (query[0], kv_heads, d_k, d_v))][: len(node.output)]


def _relative_bias(node: NodeProto, inputs: Inputs, inference: Inference) -> list[Value]:
    """Infer a table ``(buckets, heads)`` and two lengths to ``(1, heads, queries, keys)``."""
    lengths = [value.data for value in inputs[1:3] if value is not None]
    if len(lengths) != 2 or any(length is None for length in lengths):
        raise ValueError("its lengths are unknown")
    queries, keys = (int(length.reshape(())) for length in lengths)
    return [made(inputs, (1, shape_of(inputs, 0)[1], queries, keys))]


RULES: dict[str, Rule] = {
    "Attention": _attention,
    "QAttention": _attention,
    "MultiHeadAttention": _multi_head,
    "DecoderMaskedMultiHeadAttention": _multi_head,
    "GroupQueryAttention": _grouped,
    "LinearAttention": _linear_attention,
    "CausalConvWithState": _causal_conv,
    "SkipLayerNormalization": _normalised,
    "SkipSimplifiedLayerNormalization": _normalised,
    "SimplifiedLayerNormalization": _standard_statistics,
    "SkipGroupNorm": _skip_group,
    "EmbedLayerNormalization": _embed,
    "QEmbedLayerNormalization": _quantised_embed,
    "PackedAttention": _packed,
    "PackedMultiHeadAttention": _packed_heads,
    "RelativePositionBias": _relative_bias,
}
