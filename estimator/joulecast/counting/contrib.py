"""onnxruntime's own operators: what its optimiser makes of the standard ones, and what its exporters write."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from joulecast.counting.attention import Heads
from joulecast.counting.contraction import gemm, has, matmul, shape_of
from joulecast.counting.convolution import convolution, convolved, transposed
from joulecast.counting.registry import MICROSOFT, NCHWC, Cost, rule
from joulecast.layers import Contraction

if TYPE_CHECKING:
    from joulecast.graph import ModelGraph, Node, Shape


def counted(*contractions: Contraction) -> Cost:
    return Cost(kind="counted", contractions=contractions)


def _last(shape: Shape, transpose: bool, batch: bool) -> Shape:
    """Return the operand as it is multiplied.

    A batch transpose moves the first dimension to the last but one; then the last two may swap.
    """
    if batch and len(shape) > 2:
        shape = (*shape[1:-1], shape[0], shape[-1])
    return (*shape[:-2], shape[-1], shape[-2]) if transpose and len(shape) > 1 else shape


def fused_operands(node: Node, graph: ModelGraph) -> tuple[Shape, Shape]:
    a, b = shape_of(node, graph, 0), shape_of(node, graph, 1)
    at = node.attributes
    return (
        _last(a, bool(at.get("transA")), bool(at.get("transBatchA"))),
        _last(b, bool(at.get("transB")), bool(at.get("transBatchB"))),
    )


@rule(
    "counted",
    "FusedMatMul",
    "TransposeMatMul",
    "FusedMatMulActivation",
    "GemmFastGelu",
    "SparseToDenseMatMul",
    domain=MICROSOFT,
)
def _fused_matmul(node: Node, graph: ModelGraph) -> Cost:
    return counted(matmul(*fused_operands(node, graph)))


@rule("counted", "MatMulIntegerToFloat", "DynamicQuantizeMatMul", domain=MICROSOFT)
def _matmul(node: Node, graph: ModelGraph) -> Cost:
    return counted(matmul(shape_of(node, graph, 0), shape_of(node, graph, 1)))


@rule("counted", "FusedGemm", "GemmFloat8", domain=MICROSOFT)
def _gemm(node: Node, graph: ModelGraph) -> Cost:
    return gemm(node, graph, 0, 1)


@rule("counted", "QGemm", domain=MICROSOFT)
def _q_gemm(node: Node, graph: ModelGraph) -> Cost:
    return gemm(node, graph, 0, 3)


@rule("counted", "MatMulNBits", "MatMulBnb4", domain=MICROSOFT)
def _matmul_packed(node: Node, graph: ModelGraph) -> Cost:
    """Count a product whose weights of a few bits are packed into bytes.

    ``K`` and ``N`` are attributes; as many parameters replace the packed ones.
    """
    data, k, n = shape_of(node, graph, 0), int(node.attributes["K"]), int(node.attributes["N"])
    product = Contraction(batch=1, m=math.prod(data[:-1]), n=n, k=k)
    return Cost(kind="counted", contractions=(product,), params={1: k * n, 2: 0, 3: 0})


@rule("counted", "FusedConv", domain=MICROSOFT)
def _fused_conv(node: Node, graph: ModelGraph) -> Cost:
    return counted(*convolved(node, graph, 1))


@rule("counted", "QLinearConv", domain=MICROSOFT)
def _quantised_conv(node: Node, graph: ModelGraph) -> Cost:
    return counted(_layout_conv(node, graph, 3, bool(node.attributes.get("channels_last"))))


@rule("counted", "NhwcConv", "NhwcFusedConv", domain=MICROSOFT)
def _channels_last(node: Node, graph: ModelGraph) -> Cost:
    return counted(_layout_conv(node, graph, 1, True))


@rule("counted", "Conv", domain=NCHWC)
def _blocked(node: Node, graph: ModelGraph) -> Cost:
    return counted(*convolved(node, graph, 1))


def _layout_conv(node: Node, graph: ModelGraph, weight: int, channels_last: bool) -> Contraction:
    output = graph.tensors[node.outputs[0]].shape or ()
    if channels_last:
        output = (output[0], output[-1], *output[1:-1])
    return convolution(output, shape_of(node, graph, weight), int(node.attributes.get("group", 1)))


@rule("counted", "ConvTransposeWithDynamicPads", domain=MICROSOFT)
def _transposed(node: Node, graph: ModelGraph) -> Cost:
    return counted(transposed(shape_of(node, graph, 0), shape_of(node, graph, 1), int(node.attributes.get("group", 1))))


@rule("counted", "CausalConvWithState", domain=MICROSOFT)
def _causal(node: Node, graph: ModelGraph) -> Cost:
    weight = shape_of(node, graph, 1)
    return counted(convolution(graph.tensors[node.outputs[0]].shape or (), weight, weight[0]))


@rule("counted", "CDist", domain=MICROSOFT)
def _distances(node: Node, graph: ModelGraph) -> Cost:
    a, b = shape_of(node, graph, 0), shape_of(node, graph, 1)
    return counted(Contraction(batch=1, m=a[0], n=b[0], k=a[1]))


@rule("counted", "Attention", domain=MICROSOFT)
def _attention(node: Node, graph: ModelGraph) -> Cost:
    return _projected(node, graph, 4)


@rule("counted", "QAttention", domain=MICROSOFT)
def _quantised_attention(node: Node, graph: ModelGraph) -> Cost:
    return _projected(node, graph, 8)


def _projected(node: Node, graph: ModelGraph, past: int) -> Cost:
    """Count input ``(batch, tokens, width)`` projected by ``(width, q + k + v)``, then attention.

    The cache is ``(2, batch, heads, past, size)``.
    """
    data, weight = shape_of(node, graph, 0), shape_of(node, graph, 1)
    heads = int(node.attributes["num_heads"])
    query, key, value = node.attributes.get("qkv_hidden_sizes") or (weight[1] // 3,) * 3
    cached = shape_of(node, graph, past)[3] if has(node, past) else 0
    if node.attributes.get("past_present_share_buffer"):
        cached = 0  # the cache's length is its capacity; what it holds is data
    projection = Contraction(batch=1, m=data[0] * data[1], n=query + key + value, k=data[2])
    inner = Heads(
        batch=data[0],
        heads=heads,
        queries=data[1],
        keys=data[1] + cached,
        head_size=query // heads,
        value_size=value // heads,
    )
    return counted(projection, *inner.contractions())


@rule("counted", "MultiHeadAttention", "DecoderMaskedMultiHeadAttention", domain=MICROSOFT)
def _multi_head(node: Node, graph: ModelGraph) -> Cost:
    return counted(*multi_head(node, graph).contractions())


def multi_head(node: Node, graph: ModelGraph) -> Heads:
    """Return the sizes of query, key and value.

    Each is ``(batch, tokens, width)``, or already ``(batch, heads, tokens, size)``, or all are packed in five
    dimensions.
    """
    query, heads = shape_of(node, graph, 0), int(node.attributes["num_heads"])
    past_at = 5 if node.op_type.startswith("Decoder") else 6
    past = shape_of(node, graph, past_at)[2] if has(node, past_at) else 0
    if len(query) == 5:  # (batch, tokens, heads, 3, size)
        return Heads(
            batch=query[0], heads=heads, queries=query[1], keys=query[1] + past, head_size=query[4], value_size=query[4]
        )
    size, key = query[2] // heads, shape_of(node, graph, 1)
    if len(key) == 5:  # (batch, tokens, heads, 2, size)
        return Heads(batch=query[0], heads=heads, queries=query[1], keys=key[1] + past, head_size=size, value_size=size)
    value = shape_of(node, graph, 2)
    keys, value_size = (key[2], value[3]) if len(key) == 4 else (key[1], value[2] // heads)
    return Heads(batch=query[0], heads=heads, queries=query[1], keys=keys + past, head_size=size, value_size=value_size)


@rule("counted", "GroupQueryAttention", domain=MICROSOFT)
def _grouped(node: Node, graph: ModelGraph) -> Cost:
    return counted(*grouped(node, graph).contractions())


def grouped(node: Node, graph: ModelGraph) -> Heads:
    """Return the sizes of grouped-query attention.

    The query is ``(batch, tokens, heads × size)``, or query, key and value packed in that order; the cache is ``(batch,
    kv heads, past, size)``.

    The length of the present cache is the number of keys; it is an output.
    """
    query = shape_of(node, graph, 0)
    heads, kv_heads = int(node.attributes["num_heads"]), int(node.attributes["kv_num_heads"])
    packed = not has(node, 1)
    size = query[2] // (heads + 2 * kv_heads) if packed else query[2] // heads
    present = graph.tensors[node.outputs[1]].shape if len(node.outputs) > 1 and node.outputs[1] else None
    keys = present[2] if present else query[1]
    return Heads(batch=query[0], heads=heads, queries=query[1], keys=keys, head_size=size, value_size=size)


ZERO = """
BiasAdd BiasDropout BiasGelu BiasSoftmax BiasSplitGelu ComplexMul ComplexMulConj DequantizeLinear
EmbedLayerNormalization FastGelu Gelu GemmaRotaryEmbedding GridSample GroupNorm Inverse Irfft MaxpoolWithMask
MulInteger NhwcMaxPool Pad QEmbedLayerNormalization QLinearAdd QLinearAveragePool QLinearConcat
QLinearGlobalAveragePool QLinearLeakyRelu QLinearMul QLinearReduceMean QLinearSigmoid QLinearSoftmax QLinearWhere
QuantizeLinear QuickGelu RelativePositionBias Rfft RotaryEmbedding ScaledSiLU SkipGroupNorm SkipLayerNormalization
SkipSimplifiedLayerNormalization Trilu
""".split()


@rule("zero", *ZERO, domain=MICROSOFT)
def _zero(node: Node, graph: ModelGraph) -> Cost:
    return Cost(kind="zero")


@rule(
    "zero",
    *"AveragePool GlobalAveragePool GlobalMaxPool MaxPool ReorderInput ReorderOutput Upsample".split(),
    domain=NCHWC,
)
def _zero_blocked(node: Node, graph: ModelGraph) -> Cost:
    return Cost(kind="zero")


@rule("zero", "GatherND", "GatherBlockQuantized", domain=MICROSOFT)
def _gather(node: Node, graph: ModelGraph) -> Cost:
    table = graph.tensors[node.inputs[0]].numel
    return Cost(kind="zero", reads={0: min(table, graph.tensors[node.outputs[0]].numel)})


@rule("free", "ExpandDims", domain=MICROSOFT)
def _view(node: Node, graph: ModelGraph) -> Cost:
    return Cost(kind="free", eager_kernels=0, onnxruntime_kernels=0, views=1)
