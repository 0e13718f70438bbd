"""What is computed of stored values alone, in the pass or when the model is loaded."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from joulecast.canonical import canonicalise
from joulecast.counting import count, totals
from joulecast.energy.features import executed
from joulecast.graph import ModelGraph
from joulecast.layers import Workload
from joulecast.readers.onnx import read
from tests.unit.readers.small_models import absent, model

F, I64 = TensorProto.FLOAT, TensorProto.INT64
node = helper.make_node
RELATIVE = [
    node("Shape", ["x"], ["s"]),
    node("Gather", ["s", "one"], ["l"]),
    node("Unsqueeze", ["l", "ax"], ["l1"]),
    node("Slice", ["table", "ax", "l1", "ax"], ["t"]),
    node("MatMul", ["t", "w"], ["p"]),
    node("Transpose", ["p"], ["q"], perm=[1, 0]),
    node("MatMul", ["x", "q"], ["y"]),
]
"""A table of relative positions, as long as the input, projected and multiplied with it."""

STORED: dict[str, Any] = {"one": np.array(1), "ax": np.array([0])}
PROJECTION, SCORES = 30 * 64, 2 * 30 * 8 * 30


def relative(dims: list[Any], **workload: Any) -> ModelGraph:
    weights = {"table": absent(F, 64, 8), "w": absent(F, 8, 8)}
    proto = model(RELATIVE, {"x": (F, dims)}, ["y"], stored=STORED | weights)
    return read(proto.SerializeToString(), Workload(**workload), name="m")


def graphs() -> dict[str, ModelGraph]:
    return {
        "open": relative(["batch", "length", 8], batch_size=2, input_shapes={"x": (2, 30, 8)}),
        "static": relative([2, 30, 8], batch_size=2),
    }


@pytest.mark.parametrize("eager", [False, True])
@pytest.mark.parametrize("name", ["open", "static"])
def test_a_product_of_stored_values_is_counted(name: str, eager: bool) -> None:
    found = totals(count(canonicalise(graphs()[name], eager=eager)))
    assert (found.macs, found.mac_rows) == (PROJECTION + SCORES, 2)
    assert found.params == 64 * 8 + 8 * 8


@pytest.mark.parametrize(
    ("name", "runtime", "macs"),
    [
        ("open", "torch-eager", PROJECTION + SCORES),
        ("open", "onnxruntime-cuda", PROJECTION + SCORES),
        ("static", "torch-eager", PROJECTION + SCORES),
        ("static", "torch-cudagraph", PROJECTION + SCORES),
        ("static", "onnxruntime-cuda", SCORES),
    ],
)
def test_a_runtime_that_knows_it_when_it_loads_the_file_does_not_run_it(name: str, runtime: str, macs: int) -> None:
    rows = count(canonicalise(graphs()[name]))
    assert sum(row.macs for row in executed(rows, runtime)) == macs


def test_stored_weights_in_another_layout_are_free() -> None:
    nodes = [
        node("Transpose", ["w"], ["t"]),
        node("Concat", ["t", "t"], ["k"], axis=1),
        node("MatMul", ["x", "k"], ["y"]),
    ]
    proto = model(nodes, {"x": (F, [2, 8])}, ["y"], stored={"w": absent(F, 8, 8)})
    rows = count(canonicalise(read(proto.SerializeToString(), Workload(), name="m")))
    assert [row.op_type for row in rows if row.kind != "free"] == ["Gemm"]


def test_the_norm_of_a_weight_is_one_row_that_eager_mode_runs() -> None:
    nodes = [
        node("ReduceL2", ["v"], ["norm"], axes=[1]),
        node("Div", ["v", "norm"], ["unit"]),
        node("Mul", ["unit", "g"], ["w"]),
        node("MatMul", ["x", "w"], ["y"]),
    ]
    stored = {"v": absent(F, 8, 600), "g": absent(F, 8, 1)}
    graph = read(model(nodes, {"x": (F, [2, 8])}, ["y"], stored=stored).SerializeToString(), Workload(), name="m")
    first, second = (row for row in count(canonicalise(graph)) if row.kind != "free")
    assert first.bytes_moved == 4 * (8 * 600 + 8 + 8 * 600)
    assert first.kernels == {"torch-eager": 1, "torch-cudagraph": 1, "onnxruntime-cuda": 0}
    assert second.op_type == "Gemm"
    assert first.params + second.params == 8 * 600 + 8


def test_positions_and_masks_of_shapes_alone_are_free() -> None:
    nodes = [
        node("Shape", ["x"], ["s"]),
        node("Gather", ["s", "one"], ["l"]),
        node("Range", ["zero", "l", "step"], ["r"]),
        node("Unsqueeze", ["r", "ax"], ["row"]),
        node("Unsqueeze", ["r", "one1"], ["column"]),
        node("Less", ["row", "column"], ["mask"]),
        node("Where", ["mask", "x", "low"], ["y"]),
    ]
    stored = STORED | {"zero": np.array(0), "step": np.array(1), "one1": np.array([1]), "low": np.float32(-1)}
    proto = model(nodes, {"x": (F, ["n", "l"])}, ["y"], stored=stored)
    graph = read(proto.SerializeToString(), Workload(input_shapes={"x": (5000, 5000)}, batch_size=5000), name="m")
    rows = count(canonicalise(graph))
    assert [row.op_type for row in rows if row.kind != "free"] == ["Where"]
