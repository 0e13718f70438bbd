"""Files whose nodes stand in another order than they run in."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, parser

from joulecast.counting import count, totals
from joulecast.errors import ModelFormatError
from joulecast.layers import Workload
from joulecast.readers.onnx import ordering, read
from tests.unit.readers.small_models import model

F = TensorProto.FLOAT
TWO_PRODUCTS = """
<ir_version: 8, opset_import: ["": 17]>
g (float[3, 4] x, float[4, 5] w1, float[5, 6] w2) => (y) { y = MatMul (a, w2)
  a = MatMul (x, w1) }
"""
NESTED = """
<ir_version: 8, opset_import: ["": 17]>
g (float[3, 4] x, float[4, 5] w) => (y) {
  yes = Constant <value = bool {1}> ()
  y = If (yes) <then_branch = t () => (float[3, 5] p) { p = Relu (q)
    q = Add (a, a) }, else_branch = e () => (float[3, 5] r) { r = Identity (a) }>
  a = MatMul (x, w)
}
"""


def macs(proto: ModelProto) -> int:
    return totals(count(read(proto.SerializeToString(), Workload(), name="m"))).macs


@pytest.mark.parametrize(("text", "expected"), [(TWO_PRODUCTS, 3 * 4 * 5 + 3 * 5 * 6), (NESTED, 3 * 4 * 5)])
def test_nodes_out_of_order_are_counted_as_they_run(text: str, expected: int) -> None:
    assert macs(parser.parse_model(text)) == expected


def test_nodes_in_order_keep_it() -> None:
    proto = model(
        [helper.make_node("Relu", ["x"], ["b"]), helper.make_node("Abs", ["x"], ["a"])], {"x": (F, [2])}, ["a", "b"]
    )
    ordering.sort(proto)
    assert [node.op_type for node in proto.graph.node] == ["Relu", "Abs"]


def test_nodes_that_need_each_other_are_refused_by_name() -> None:
    nodes = [helper.make_node("Relu", ["b"], ["a"]), helper.make_node("Abs", ["a"], ["b"])]
    with pytest.raises(ModelFormatError, match="'a', 'b' need each other"):
        macs(model(nodes, {"x": (F, [2])}, ["a"]))


def test_a_name_that_nothing_provides_is_named() -> None:
    with pytest.raises(ModelFormatError, match="reads 'nowhere'"):
        macs(model([helper.make_node("Relu", ["nowhere"], ["a"])], {"x": (F, [2])}, ["a"]))


def test_a_long_chain_backwards_is_sorted() -> None:
    nodes = [helper.make_node("Relu", [f"v{i}"], [f"v{i + 1}"]) for i in range(5_000)]
    proto = model(nodes[::-1], {"v0": np.zeros(2, np.float32)}, ["v5000"])
    ordering.sort(proto)
    assert [node.output[0] for node in proto.graph.node] == [f"v{i + 1}" for i in range(5_000)]
