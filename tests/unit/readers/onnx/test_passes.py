"""Loops, scans and mapped sequences, whatever their passes have in common."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from joulecast.canonical import canonicalise
from joulecast.counting import count, totals
from joulecast.graph import ModelGraph
from joulecast.layers import Workload
from joulecast.readers.onnx import read
from joulecast.readers.onnx.scope import Names
from tests.unit.readers.small_models import model

F, I64, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL
ONES = np.ones
node = helper.make_node


def info(name: str, element: int = F, dims: Any = None) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, element, dims)


def body(nodes: list[onnx.NodeProto], inputs: list[Any], outputs: list[Any], **stored: Any) -> onnx.GraphProto:
    tensors = [onnx.numpy_helper.from_array(array, name) for name, array in stored.items()]
    return helper.make_graph(nodes, "body", inputs, outputs, tensors)


def loop_body(nodes: list[onnx.NodeProto], carried: list[Any], outputs: list[Any], **stored: Any) -> onnx.GraphProto:
    inputs = [info("i", I64, []), info("go", BOOL, []), *carried]
    return body([*nodes, node("Identity", ["go"], ["more"])], inputs, [info("more", BOOL, []), *outputs], **stored)


def graph_of(nodes: list[Any], inputs: dict[str, Any], outputs: list[str], **stored: Any) -> ModelGraph:
    return read(model(nodes, inputs, outputs, stored=stored).SerializeToString(), Workload(), name="m")


def canonical(graph: ModelGraph) -> tuple[int, int]:
    found = totals(count(canonicalise(graph)))
    return found.macs, found.params


def test_a_scan_of_one_step_keeps_its_body() -> None:
    step = body([node("MatMul", ["s", "w"], ["o"])], [info("s", F, [1, 4])], [info("o", F, [1, 8])])
    scan = node("Scan", ["x"], ["y"], body=step, num_scan_inputs=1)
    assert canonical(graph_of([scan], {"x": (F, [1, 1, 4])}, ["y"], w=ONES((4, 8), np.float32))) == (32, 32)


def test_a_loop_of_one_trip_keeps_its_body() -> None:
    stacked = loop_body([node("MatMul", ["x", "w"], ["o"])], [], [info("o", F, [4, 8])])
    loop = node("Loop", ["n", ""], ["y"], body=stacked)
    found = graph_of([loop], {"x": (F, [4, 8])}, ["y"], n=np.int64(1), w=ONES((8, 8), np.float32))
    assert canonical(found) == (256, 64)


def test_a_mapped_sequence_keeps_every_item() -> None:
    item = body([node("MatMul", ["e", "w"], ["o"])], [info("e", F, [None, 4])], [info("o", F, [None, 5])])
    nodes = [
        node("SplitToSequence", ["x", "parts"], ["q"], axis=0),
        node("SequenceMap", ["q"], ["r"], body=item),
        node("ConcatFromSequence", ["r"], ["y"], axis=0),
    ]
    found = graph_of(nodes, {"x": (F, [10, 4])}, ["y"], parts=np.array([3, 7]), w=ONES((4, 5), np.float32))
    assert canonical(found) == (200, 20)
    assert found.shape(found.outputs[0]) == (10, 5)


def test_trips_of_growing_values_cost_what_each_runs() -> None:
    nodes = [node("Concat", ["c", "r"], ["d"], axis=0), node("MatMul", ["d", "w"], ["e"])]
    growing = loop_body(nodes, [info("c", F, [None, 8])], [info("e", F, [None, 8])])
    loop = node("Loop", ["n", "", "x"], ["y"], body=growing)
    fed = {"x": (F, [1, 8]), "r": (F, [1, 8])}
    assert canonical(graph_of([loop], fed, ["y"], n=np.int64(6), w=ONES((8, 8), np.float32))) == (1728, 64)


def test_an_inner_loop_runs_as_often_as_each_outer_trip_says() -> None:
    inner = helper.make_graph(
        [node("MatMul", ["u", "w"], ["v"]), node("Identity", ["gi"], ["gi2"])], "inner",
        [info("ti", I64, []), info("gi", BOOL, []), info("u", F, [4, 8])],
        [info("gi2", BOOL, []), info("v", F, [4, 8])],
    )  # fmt: skip
    nodes = [node("Add", ["i", "one"], ["m"]), node("Loop", ["m", "", "c"], ["d"], body=inner)]
    outer = loop_body(nodes, [info("c", F, [4, 8])], [info("d", F, [4, 8])])
    loop = node("Loop", ["n", "", "x"], ["y"], body=outer)
    stored = {"n": np.int64(6), "one": np.int64(1), "w": ONES((8, 8), np.float32)}
    assert canonical(graph_of([loop], {"x": (F, [4, 8])}, ["y"], **stored)) == (21 * 256, 64)


RECURRENT = [
    node("Gather", ["xs", "i"], ["x"], axis=0),
    node("MatMul", ["h", "u"], ["b"]),
    node("MatMul", ["x", "w"], ["a"]),
    node("Add", ["a", "b"], ["s"]),
    node("Add", ["s", "bias"], ["sb"]),
    node("Tanh", ["sb"], ["h2"]),
]


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("trips", [1, 2, 10, 40])
def test_a_recurrent_step_keeps_both_its_products(trips: int, batch: int) -> None:
    """At batch 1 the product of the state looks like a bias of the other."""
    step = loop_body(RECURRENT, [info("h", F, [batch, 16])], [info("h2", F, [batch, 16])])
    loop = node("Loop", ["n", "", "h0"], ["y"], body=step)
    stored = {
        "n": np.int64(trips), "h0": np.zeros((batch, 16), np.float32), "w": ONES((8, 16), np.float32),
        "u": ONES((16, 16), np.float32), "bias": ONES(16, np.float32),
    }  # fmt: skip
    found = graph_of([loop], {"xs": (F, [trips, batch, 8])}, ["y"], **stored)
    assert canonical(found) == (trips * batch * (128 + 256), 128 + 256 + 16)
    assert len([each for each in found.nodes if each.op_type == "MatMul"]) <= 4


def test_two_states_that_change_places_are_both_computed() -> None:
    """Only the first is read in the end, but every other trip makes it of the second."""
    nodes = [node("MatMul", ["p", "w"], ["p2"]), node("MatMul", ["q", "w"], ["q2"])]
    swap = loop_body(
        nodes, [info("p", F, [2, 4]), info("q", F, [2, 4])], [info("q2", F, [2, 4]), info("p2", F, [2, 4])]
    )
    loop = node("Loop", ["n", "", "x", "x"], ["y", ""], body=swap)
    found = graph_of([loop], {"x": (F, [2, 4])}, ["y"], n=np.int64(5), w=ONES((4, 4), np.float32))
    assert canonical(found) == (5 * 2 * 32, 16)


def test_weights_inside_a_body_are_one_tensor_in_every_trip() -> None:
    nodes = [node("Concat", ["c", "c"], ["d"], axis=0), node("MatMul", ["d", "w"], ["e"])]
    growing = loop_body(nodes, [info("c", F, [None, 8])], [info("e", F, [None, 8])], w=ONES((8, 8), np.float32))
    loop = node("Loop", ["n", "", "x"], ["y"], body=growing)
    assert canonical(graph_of([loop], {"x": (F, [1, 8])}, ["y"], n=np.int64(3)))[1] == 64


def test_weights_handed_from_trip_to_trip_stay_parameters() -> None:
    nodes = [node("MatMul", ["c", "k"], ["d"]), node("Identity", ["k"], ["k2"])]
    step = loop_body(nodes, [info("c", F, [2, 8]), info("k", F, [8, 8])], [info("d", F, [2, 8]), info("k2", F, [8, 8])])
    loop = node("Loop", ["n", "", "x", "w"], ["y", ""], body=step)
    found = graph_of([loop], {"x": (F, [2, 8])}, ["y"], n=np.int64(3), w=ONES((8, 8), np.float32))
    assert canonical(found) == (3 * 128, 64)


def test_layers_scanned_over_stacked_weights_keep_their_parameters() -> None:
    layer = body(
        [node("MatMul", ["h", "k"], ["h2"])], [info("h", F, [2, 8]), info("k", F, [8, 8])], [info("h2", F, [2, 8])]
    )
    scan = node("Scan", ["x", "w"], ["y"], body=layer, num_scan_inputs=1)
    found = graph_of([scan], {"x": (F, [2, 8])}, ["y"], w=ONES((5, 8, 8), np.float32))
    assert canonical(found) == (5 * 128, 5 * 64)


def test_branches_of_other_weights_are_not_one_pass() -> None:
    """Each trip takes one of two branches whose operators look alike."""
    branch = [body([node("MatMul", ["c", w], ["d"])], [], [info("d", F, [2, 4])]) for w in ("w1", "w2")]
    nodes = [
        node("Mod", ["i", "two"], ["odd"]), node("Cast", ["odd"], ["is"], to=BOOL),
        node("If", ["is"], ["e"], then_branch=branch[0], else_branch=branch[1]),
    ]  # fmt: skip
    step = loop_body(nodes, [info("c", F, [2, 4])], [info("e", F, [2, 4])])
    loop = node("Loop", ["n", "", "x"], ["y"], body=step)
    weights = {"w1": ONES((4, 4), np.float32), "w2": ONES((4, 4), np.float32)}
    found = graph_of([loop], {"x": (F, [2, 4])}, ["y"], n=np.int64(4), two=np.int64(2), **weights)
    assert canonical(found) == (4 * 32, 32)


@pytest.mark.slow
def test_many_loops_one_after_the_other_are_not_deep() -> None:
    """The steady part of each is tried without contents, which may end in an error; the depth is as before then."""
    nodes = [
        node("Range", ["zero", "t", "one"], ["r"]),
        node("Expand", ["c", "shape"], ["c2"]),
        node("Add", ["t", "one"], ["t2"]),
    ]
    step = loop_body(nodes, [info("t", I64, []), info("c", F, [1])], [info("t2", I64, []), info("c2", F, [1])])
    loops = [
        node("Loop", ["n", "", "one", f"x{place}"], ["", f"x{place + 1}"], body=step, name=f"loop{place}")
        for place in range(45)
    ]
    stored = {"n": np.int64(36), "zero": np.int64(0), "one": np.int64(1), "shape": np.array([1])}
    found = graph_of(loops, {"x0": (F, [1])}, ["x45"], **stored)
    assert [found.shape(name) for name in found.outputs] == [(1,)]


def test_names_are_unique_and_asked_for_once_each() -> None:
    names = Names()
    given = [names.unique(name) for name in ("x", "x#2", "x", "x", "x#3", "y")]
    assert given == ["x", "x#2", "x#3", "x#4", "x#3#2", "y"]


def test_a_function_called_twice_stores_its_constant_once() -> None:
    weight = helper.make_tensor("w", F, [4, 4], [0.0] * 16)
    inside = [node("Constant", [], ["w"], value=weight), node("MatMul", ["a", "w"], ["b"])]
    function = helper.make_function("mine", "linear", ["a"], ["b"], inside, [helper.make_opsetid("", 17)])
    calls = [node("linear", ["x"], ["h"], domain="mine"), node("linear", ["h"], ["y"], domain="mine")]
    proto = model(calls, {"x": (F, [2, 4])}, ["y"], functions=[function], domains={"mine": 1})
    assert canonical(read(proto.SerializeToString(), Workload(), name="m")) == (64, 16)


def test_constants_of_one_name_in_two_functions_are_two_tensors() -> None:
    weight = helper.make_tensor("w", F, [4, 4], [0.0] * 16)
    inside = [node("Constant", [], ["w"], value=weight), node("MatMul", ["a", "w"], ["b"])]
    opset = [helper.make_opsetid("", 17)]
    functions = [helper.make_function("mine", name, ["a"], ["b"], inside, opset) for name in ("first", "second")]
    calls = [node("first", ["x"], ["h"], domain="mine"), node("second", ["h"], ["y"], domain="mine")]
    proto = model(calls, {"x": (F, [2, 4])}, ["y"], functions=functions, domains={"mine": 1})
    assert canonical(read(proto.SerializeToString(), Workload(), name="m")) == (64, 32)
