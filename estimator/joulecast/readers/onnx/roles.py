"""Decide which stored tensors are trainable parameters by how they are used, because a file does not say."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from joulecast.graph import FLOATING_DTYPES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from joulecast.graph import Node
    from joulecast.readers.onnx.values import Value

ALL = frozenset(range(1, 64))

SLOTS: dict[str, frozenset[int]] = {
    **dict.fromkeys(("Conv", "ConvTranspose", "PRelu", "CausalConvWithState"), frozenset({1, 2})),
    **dict.fromkeys(("MatMul", "Gemm", "Einsum"), frozenset({0, 1, 2})),
    **dict.fromkeys(("LSTM", "GRU", "RNN"), frozenset({1, 2, 3, 7})),
    **dict.fromkeys(
        ("BatchNormalization", "InstanceNormalization", "GroupNormalization", "LayerNormalization"), frozenset({1, 2})
    ),
    **dict.fromkeys(("Gather", "GatherND", "GatherElements"), frozenset({0})),
    **dict.fromkeys(("Add", "Mul", "Concat", "Expand"), frozenset({0, 1, 2, 3})),
    "RMSNormalization": frozenset({1}),
    "SimplifiedLayerNormalization": frozenset({1}),
    "DeformConv": frozenset({1, 3}),
}
"""Input positions of standard operators that take a parameter. Anything read elsewhere is a constant."""

QUANTISED_SLOTS: dict[str, frozenset[int]] = {
    "QLinearConv": frozenset({3, 8}),
    "QLinearMatMul": frozenset({0, 3}),
    "ConvInteger": frozenset({1}),
    "MatMulInteger": frozenset({0, 1}),
    "DequantizeLinear": frozenset({0}),
}
"""Input positions of quantised operators whose stored integers are the quantised form of a parameter."""

CONTRIB_SLOTS: dict[str, frozenset[int]] = {
    **dict.fromkeys(("FusedConv", "Conv", "NhwcConv", "NhwcFusedConv", "CausalConvWithState"), frozenset({1, 2})),
    **dict.fromkeys(("FusedMatMul", "TransposeMatMul", "FusedGemm", "FusedMatMulActivation"), frozenset({0, 1, 2})),
    **dict.fromkeys(("MatMulIntegerToFloat", "DynamicQuantizeMatMul", "MatMulInteger16"), frozenset({1, 4, 6})),
    **dict.fromkeys(("Attention", "QAttention", "GemmFastGelu"), frozenset({1, 2})),
    **dict.fromkeys(("BiasGelu", "FastGelu", "BiasAdd", "BiasSplitGelu", "BiasDropout"), frozenset({1})),
    **dict.fromkeys(("SkipLayerNormalization", "EmbedLayerNormalization"), frozenset({2, 3, 4, 5, 6})),
    **dict.fromkeys(("SkipSimplifiedLayerNormalization", "SkipGroupNorm"), frozenset({1, 2, 3, 4})),
    "GroupNorm": frozenset({1, 2}),
    "DynamicQuantizeLSTM": frozenset({1, 2, 3, 7}),
    "MultiHeadAttention": frozenset({3}),
    "MoE": frozenset({2, 3, 4, 5, 6, 7}),
    "PackedAttention": frozenset({1, 2}),
    "MatMulNBits": frozenset({1, 5}),
    "MatMulBnb4": frozenset({1}),
    "QGemm": frozenset({3, 6}),
    "QLinearConv": frozenset({3, 8}),
    "DequantizeLinear": frozenset({0}),
    "QEmbedLayerNormalization": frozenset({2, 3, 4, 5, 6}),
    "GatherBlockQuantized": frozenset({0}),
    "RelativePositionBias": frozenset({0}),
}
"""The same for onnxruntime's operators, whose stored integers are quantised parameters."""

CONTRIB_DOMAINS = frozenset({"com.microsoft", "com.microsoft.nchwc"})

BUFFERS = re.compile(
    r"(^|[._/])(running_mean|running_var|num_batches_tracked|position_ids|token_type_ids|inv_freq|cos_cached"
    r"|sin_cached|masked_bias"
    r"|causal_mask|attention_mask|relative_position_index|attn_mask|final_logits_bias"
    r"|relative_coords_table)$|(^|[./])embed_positions\.weights$"
)
"""Names under which torch models keep what is stored but not trained."""

MASKS = re.compile(r"(^|[./])attn(\.attention)?\.bias$")
"""GPT-2's and GPT-Neo's names for a causal mask ``(1, 1, positions, positions)``, and anybody's for a trained bias."""

WAVES = re.compile(r"(^|[./])pe$")
"""A table of sines ``(positions, …, size)`` in the tutorials of PyTorch; a vector of that name is trained."""

NARROW = frozenset({"int8", "uint8", "int4", "uint4", "int2", "uint2"})
"""Integers that stand for quantised weights; those of indices and shapes are wider."""

MOVES = frozenset(
    "Gather GatherND GatherElements Transpose Reshape Squeeze Unsqueeze Flatten Slice Split Concat Expand Identity Pad"
    " Tile".split()
)
"""Operators that hand on what they read of their first input, Concat of all."""

CARRIERS = frozenset(
    "Transpose Reshape Squeeze Unsqueeze Flatten Slice Split Concat Cast CastLike Identity Expand Mul Add Sub Div Sqrt"
    " Pow Pad Tile"
    " ReduceSum ReduceL2 ReduceSumSquare Gather".split()
)
"""Operators through which a stored parameter stays one: rearranging, and the arithmetic of weight normalisation."""

PRODUCTS = ("Conv", "Einsum", "Gemm", "MatMul")
"""Operators whose right operand is trained even where the left one is stored, too (positions times a matrix)."""


def assign(nodes: Iterable[Node], values: dict[str, Value]) -> dict[str, Value]:
    """Set the role ``parameter`` on stored tensors in parameter positions, and on what they become ahead of time."""
    nodes = tuple(nodes)
    ahead = {
        node.outputs for node in nodes if node.folded or any(values[name].computed for name in node.outputs if name)
    }
    tainted = {
        name for node in nodes if node.outputs in ahead and node.op_type not in CARRIERS for name in node.outputs
    }
    trained = unpacked(nodes, values)
    for node in nodes:
        for position, name in _weighed(node, ahead=node.outputs in ahead):
            if name and name not in tainted and _takes_parameter(node, position, values):
                trained.update(stored for stored in values[name].stored if stored == name or _trainable(values[stored]))
    return {name: _with_role(value, trained) for name, value in values.items()}


def _weighed(node: Node, *, ahead: bool) -> list[tuple[int, str]]:
    """Return inputs by position that may be weights.

    For a node that reads activations these are all inputs; for one that reads stored values alone, the right side of a
    product.
    """
    inputs = list(enumerate(node.inputs))
    if not ahead:
        return inputs
    return inputs[1:] if node.op_type in PRODUCTS else []


def _trainable(value: Value) -> bool:
    """Decide whether a tensor that a parameter was computed from may be one: an axis, index or buffer may not."""
    return value.dtype in FLOATING_DTYPES and value.numel != 1 and not _buffer(value)


def _buffer(value: Value) -> bool:
    """Decide whether the name (for some names, the shape too) is that of something stored but not trained."""
    shape = value.shape or ()
    if MASKS.search(value.name):
        return len(shape) > 2 and shape[-1] == shape[-2]
    if WAVES.search(value.name):
        return len(shape) > 1
    return bool(BUFFERS.search(value.name))


def unpacked(nodes: Sequence[Node], values: Mapping[str, Value]) -> set[str]:
    """Return the stored tables of narrow integers that are weights, because a node makes numbers of them."""
    tables = quantised_tables(nodes, values)
    found: set[str] = set()
    for node in nodes:
        for position, name in enumerate(node.inputs):
            if name in tables and _unpacks(node, position, values):
                found.update(tables[name])
    return found


def quantised_tables(nodes: Iterable[Node], values: Mapping[str, Value]) -> dict[str, frozenset[str]]:
    """Return the stored tables of narrow integers whose elements a value holds, by the value's name."""
    found = {
        name: frozenset({name})
        for name, value in values.items()
        if value.stored == (name,) and value.dtype in NARROW and len(value.shape or ()) > 1
    }
    for node in nodes:
        if node.domain or node.op_type not in MOVES:
            continue
        moved = node.inputs if node.op_type == "Concat" else node.inputs[:1]
        tables = frozenset[str]().union(*(found.get(name, ()) for name in moved))
        if tables:
            found.update(dict.fromkeys((name for name in node.outputs if name), tables))
    return found


def _unpacks(node: Node, position: int, values: Mapping[str, Value]) -> bool:
    """Decide whether the node turns quantised elements into numbers, or multiplies with them."""
    if node.domain in CONTRIB_DOMAINS:
        return position in CONTRIB_SLOTS.get(node.op_type, ())
    if node.op_type == "Cast":
        return values[node.outputs[0]].dtype in FLOATING_DTYPES
    return position in QUANTISED_SLOTS.get(node.op_type, ())


def _with_role(value: Value, trained: set[str]) -> Value:
    return replace(value, role="parameter") if not trained.isdisjoint(value.stored) else value


def _takes_parameter(node: Node, position: int, values: Mapping[str, Value]) -> bool:
    value = values[node.inputs[position]]
    if value.runtime or not value.stored or all(_buffer(values[name]) for name in value.stored):
        return False
    if node.domain in CONTRIB_DOMAINS:
        return position in CONTRIB_SLOTS.get(node.op_type, ())
    if position in QUANTISED_SLOTS.get(node.op_type, ()):
        return True
    if (
        value.dtype not in FLOATING_DTYPES
        or value.shape == ()
        or (value.numel == 1 and node.op_type in ("Add", "Mul", "Concat"))
    ):
        return False
    return position in SLOTS.get(node.op_type, ())
