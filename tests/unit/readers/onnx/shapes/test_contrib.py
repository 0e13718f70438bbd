"""onnxruntime's own operators: shapes against onnxruntime, MACs against numpy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from joulecast.counting import count
from joulecast.layers import Workload
from joulecast.readers.onnx import read
from tests.unit.readers.small_models import MICROSOFT, executed_shapes, model


def f(*dims: int) -> Any:
    return np.full(dims, 0.01, np.float32)


def u8(*dims: int) -> Any:
    return np.ones(dims, np.uint8)


def i32(*values: int) -> Any:
    return np.array(values, np.int32)


ONE, ZERO = np.float32(0.1), np.uint8(1)
QKV = 3 * 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call: inputs in order (``None`` absent; the first is fed, the rest stored), attributes, outputs and MACs."""

    op_type: str
    inputs: tuple[Any, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    outputs: int = 1
    macs: int = 0
    domain: str = MICROSOFT
    executable: bool = True


X, W = f(2, 3, 8, 8), f(6, 3, 3, 3)
CALLS = {
    "FusedConv": Call(
        op_type="FusedConv",
        inputs=(X, W, f(6)),
        attributes={"activation": "Relu", "pads": [1, 1, 1, 1]},
        macs=2 * 6 * 64 * 27,
    ),
    "FusedConv with sum": Call(
        op_type="FusedConv", inputs=(X, W, f(6), f(2, 6, 6, 6)), attributes={"activation": "Relu"}, macs=2 * 6 * 36 * 27
    ),
    "FusedMatMul": Call(
        op_type="FusedMatMul", inputs=(f(2, 5, 7), f(2, 4, 5)),
        attributes={"transA": 1, "transB": 1}, macs=2 * 7 * 5 * 4
    ),
    "FusedMatMul batch": Call(
        op_type="FusedMatMul", inputs=(f(5, 2, 7), f(2, 7, 4)), attributes={"transBatchA": 1}, macs=2 * 5 * 7 * 4
    ),
    "FusedGemm": Call(
        op_type="FusedGemm", inputs=(f(5, 7), f(4, 7), f(4)), attributes={"transB": 1, "activation": "Relu"}, macs=140
    ),
    "MatMulNBits": Call(
        op_type="MatMulNBits",
        inputs=(f(2, 3, 32), u8(5, 2, 8), f(10)),
        attributes={"K": 32, "N": 5, "bits": 4, "block_size": 16},
        macs=2 * 3 * 32 * 5,
    ),
    "MatMulIntegerToFloat": Call(
        op_type="MatMulIntegerToFloat", inputs=(u8(2, 3, 8), u8(8, 5), ONE, ONE, ZERO, ZERO), macs=2 * 3 * 8 * 5
    ),
    "DynamicQuantizeMatMul": Call(
        op_type="DynamicQuantizeMatMul", inputs=(f(2, 3, 8), u8(8, 5), ONE, ZERO), macs=2 * 3 * 8 * 5
    ),
    "DynamicQuantizeLSTM": Call(
        op_type="DynamicQuantizeLSTM",
        inputs=(f(7, 2, 8), u8(1, 8, 16), u8(1, 4, 16), f(1, 32), None, None, None, None, f(1), u8(1), f(1), u8(1)),
        attributes={"hidden_size": 4},
        outputs=3,
        macs=7 * 2 * 16 * (8 + 4),
    ),
    "QGemm": Call(
        op_type="QGemm", inputs=(u8(5, 7), ONE, ZERO, u8(7, 4), ONE, ZERO, i32(1, 1, 1, 1)), macs=5 * 7 * 4
    ),
    "QLinearAdd": Call(
        op_type="QLinearAdd", inputs=(u8(2, 3, 4), ONE, ZERO, u8(3, 1), ONE, ZERO, ONE, ZERO)
    ),
    "QLinearMul": Call(op_type="QLinearMul", inputs=(u8(2, 3, 4), ONE, ZERO, u8(4), ONE, ZERO, ONE, ZERO)),
    "QLinearSigmoid": Call(op_type="QLinearSigmoid", inputs=(u8(2, 3), ONE, ZERO, ONE, ZERO)),
    "QLinearLeakyRelu": Call(op_type="QLinearLeakyRelu", inputs=(u8(2, 3), ONE, ZERO, ONE, ZERO)),
    "QLinearConcat": Call(
        op_type="QLinearConcat", inputs=(ONE, ZERO, u8(2, 3), ONE, ZERO, u8(2, 5), ONE, ZERO), attributes={"axis": 1}
    ),
    "QLinearGlobalAveragePool": Call(op_type="QLinearGlobalAveragePool", inputs=(u8(2, 3, 4, 4), ONE, ZERO, ONE, ZERO)),
    "QLinearAveragePool": Call(
        op_type="QLinearAveragePool",
        inputs=(u8(2, 3, 4, 4), ONE, ZERO, ONE, ZERO),
        attributes={"kernel_shape": [2, 2], "strides": [2, 2]},
    ),
    "QLinearConv channels last": Call(
        op_type="QLinearConv",
        inputs=(u8(2, 8, 8, 3), ONE, ZERO, u8(6, 3, 3, 3), ONE, ZERO, ONE, ZERO),
        attributes={"channels_last": 1, "strides": [2, 2]},
        macs=2 * 6 * 9 * 27,
    ),
    "Attention": Call(
        op_type="Attention", inputs=(f(2, 5, 12), f(12, QKV), f(QKV)), attributes={"num_heads": 4},
        macs=2 * 5 * 12 * QKV + 2 * 2 * 5 * 5 * 16,
    ),
    "Attention with past": Call(
        op_type="Attention",
        inputs=(f(2, 5, 12), f(12, QKV), f(QKV), None, f(2, 2, 4, 3, 4)),
        attributes={"num_heads": 4, "unidirectional": 1},
        outputs=2,
        macs=2 * 5 * 12 * QKV + 2 * 2 * 5 * 8 * 16,
    ),
    "Attention with sizes": Call(
        op_type="Attention", inputs=(f(2, 5, 12), f(12, 40), f(40)), outputs=1,
        attributes={"num_heads": 4, "qkv_hidden_sizes": [16, 16, 8]}, macs=2 * 5 * 12 * 40 + 2 * 25 * (16 + 8),
    ),
    "QAttention": Call(
        op_type="QAttention",
        inputs=(u8(2, 5, 12), u8(12, QKV), f(QKV), ONE, ONE, None, ZERO, ZERO),
        attributes={"num_heads": 4},
        macs=2 * 5 * 12 * QKV + 2 * 2 * 5 * 5 * 16,
    ),
    "MultiHeadAttention": Call(
        op_type="MultiHeadAttention", inputs=(f(2, 5, 16), f(2, 7, 16), f(2, 7, 16)), attributes={"num_heads": 4},
        macs=2 * 2 * 5 * 7 * 16,
    ),
    "MultiHeadAttention cross": Call(
        op_type="MultiHeadAttention", inputs=(f(2, 5, 16), f(2, 4, 7, 4), f(2, 4, 7, 4)), attributes={"num_heads": 4},
        macs=2 * 2 * 5 * 7 * 16,
    ),
    "MultiHeadAttention with past": Call(
        op_type="MultiHeadAttention",
        inputs=(f(2, 5, 16), f(2, 5, 16), f(2, 5, 16), None, None, None, f(2, 4, 3, 4), f(2, 4, 3, 4)),
        attributes={"num_heads": 4},
        outputs=3,
        macs=2 * 2 * 5 * 8 * 16,
    ),
    "GroupQueryAttention": Call(
        op_type="GroupQueryAttention",
        inputs=(f(1, 1, 32), f(1, 1, 16), f(1, 1, 16), f(1, 2, 6, 8), f(1, 2, 6, 8), i32(6)[None][0], np.int32(7)),
        attributes={"num_heads": 4, "kv_num_heads": 2},
        outputs=3,
        macs=2 * 4 * 7 * 8,
    ),
    "SkipLayerNormalization": Call(
        op_type="SkipLayerNormalization", inputs=(f(2, 5, 8), f(2, 5, 8), f(8), f(8), f(8)), outputs=1
    ),
    "SkipSimplifiedLayerNormalization": Call(
        op_type="SkipSimplifiedLayerNormalization", inputs=(f(2, 5, 8), f(2, 5, 8), f(8))
    ),
    "SimplifiedLayerNormalization": Call(
        op_type="SimplifiedLayerNormalization", inputs=(f(2, 5, 8), f(8)), attributes={"axis": -1}, domain=""
    ),
    "EmbedLayerNormalization": Call(
        op_type="EmbedLayerNormalization",
        inputs=(np.zeros((2, 5), np.int32), None, f(9, 8), f(6, 8), None, f(8), f(8)),
        outputs=2,
    ),
    "BiasGelu": Call(op_type="BiasGelu", inputs=(f(2, 5, 8), f(8))),
    "FastGelu": Call(op_type="FastGelu", inputs=(f(2, 5, 8), f(8))),
    "Gelu": Call(op_type="Gelu", inputs=(f(2, 5, 8),)),
    "QuickGelu": Call(op_type="QuickGelu", inputs=(f(2, 5, 8),)),
    "QuantizeLinear": Call(op_type="QuantizeLinear", inputs=(f(2, 5), ONE, ZERO)),
    "DequantizeLinear": Call(op_type="DequantizeLinear", inputs=(u8(2, 5), ONE, ZERO)),
    "NhwcMaxPool": Call(
        op_type="NhwcMaxPool", inputs=(u8(2, 8, 8, 3),), attributes={"kernel_shape": [2, 2], "strides": [2, 2]}
    ),
    "ExpandDims": Call(op_type="ExpandDims", inputs=(f(2, 5), np.int32(-1))),
    "Inverse": Call(op_type="Inverse", inputs=(np.eye(3, dtype=np.float32)[None],)),
    "CDist": Call(op_type="CDist", inputs=(f(4, 3), f(5, 3)), attributes={"metric": "euclidean"}, macs=60),
    "RotaryEmbedding": Call(
        op_type="RotaryEmbedding", inputs=(f(2, 5, 16), np.zeros((2, 5), np.int64), f(8, 2), f(8, 2)),
        attributes={"num_heads": 4},
    ),
    "blocked Conv": Call(
        op_type="Conv", inputs=(f(2, 8, 8, 8), f(16, 8, 3, 3)), attributes={"pads": [1, 1, 1, 1]},
        domain="com.microsoft.nchwc", macs=2 * 16 * 64 * 72, executable=False,
    ),
    "blocked MaxPool": Call(
        op_type="MaxPool", inputs=(f(2, 8, 8, 8),), attributes={"kernel_shape": [2, 2], "strides": [2, 2]},
        domain="com.microsoft.nchwc", executable=False,
    ),
    "ReorderOutput": Call(
        op_type="ReorderOutput", inputs=(f(2, 16, 8, 8),), attributes={"channels": 10},
        domain="com.microsoft.nchwc", executable=False,
    ),
}  # fmt: skip


def called(call: Call) -> tuple[Any, dict[str, Any]]:
    names = [f"i{index}" if value is not None else "" for index, value in enumerate(call.inputs)]
    node = helper.make_node(
        call.op_type, names, [f"o{i}" for i in range(call.outputs)], domain=call.domain, **call.attributes
    )
    given = {name: np.asarray(value) for name, value in zip(names, call.inputs, strict=True) if name}
    fed = {"i0": given.pop("i0")}
    domains = {call.domain: 1} if call.domain else {}
    return model([node], fed, list(node.output), stored=given, domains=domains), fed


@pytest.mark.parametrize("name", CALLS)
def test_shapes_and_macs(name: str) -> None:
    call = CALLS[name]
    proto, fed = called(call)
    graph = read(proto.SerializeToString(), Workload(), name=name)
    shapes = [graph.shape(output) for output in graph.outputs]
    if call.executable:
        assert shapes == executed_shapes(proto, fed)
    else:
        assert all(shape for shape in shapes)
    (row,) = count(graph)
    assert row.macs == call.macs == sum(c.macs for c in row.contractions)
    assert row.kind == ("counted" if call.macs else "free" if call.op_type == "ExpandDims" else "zero")


def test_packed_weights_count_the_parameters_they_stand_for() -> None:
    proto, _ = called(CALLS["MatMulNBits"])
    (row,) = count(read(proto.SerializeToString(), Workload(), name="packed"))
    assert row.params == 32 * 5
    assert row.bytes_moved == 4 * (2 * 3 * 32 + 2 * 3 * 5) + 5 * 2 * 8 + 4 * 10


def test_a_group_query_cache_counts_its_whole_length() -> None:
    node = helper.make_node(
        "GroupQueryAttention",
        ["q", "k", "v", "pk", "pv", "len", "total"],
        ["y", "k2", "v2"],
        domain=MICROSOFT,
        num_heads=4,
        kv_num_heads=2,
    )
    inputs = {"q": f(1, 1, 32), "k": f(1, 1, 16), "v": f(1, 1, 16), "pk": f(1, 2, 100, 8), "pv": f(1, 2, 100, 8)}
    proto = model(
        [node], inputs | {"len": i32(100), "total": (TensorProto.INT32, [])}, ["y", "k2"], domains={MICROSOFT: 1}
    )
    (row,) = count(read(proto.SerializeToString(), Workload(), name="cache"))
    assert row.macs == 2 * 4 * 101 * 8
