"""Binding a workload to inputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from joulecast.errors import UnresolvedShapeError, WorkloadError
from joulecast.graph import ModelGraph
from joulecast.layers import Workload
from joulecast.readers.onnx import read
from tests.unit.readers.small_models import model

F = TensorProto.FLOAT


def read_inputs(inputs: dict[str, Any], **workload: Any) -> ModelGraph:
    nodes = [helper.make_node("Identity", [name], [f"{name}_out"]) for name in inputs]
    proto = model(nodes, inputs, [f"{name}_out" for name in inputs])
    return read(proto.SerializeToString(), Workload(**workload), name="small")


def test_batch_size_binds_the_leading_symbol_wherever_it_stands() -> None:
    graph = read_inputs({"x": (F, ["N", 3]), "h": (F, [2, "N", 4])}, batch_size=8)
    assert (graph.shape("x"), graph.shape("h")) == ((8, 3), (2, 8, 4))


def test_a_symbol_named_batch_wins_over_a_leading_one() -> None:
    with pytest.raises(
        UnresolvedShapeError, match=r"'x' \[time,batch,3\] leaves dimension time open; give --input x=128,batch,3"
    ):
        read_inputs({"x": (F, ["time", "batch", 3])}, batch_size=8)


@pytest.mark.parametrize("anonymous", ["?", "-1", "", None, "unk__7", -1])
def test_an_anonymous_leading_dimension_is_a_batch(anonymous: Any) -> None:
    assert read_inputs({"x": (F, [anonymous, 3])}, batch_size=5).shape("x") == (5, 3)


def test_anonymous_dimensions_are_not_one_symbol() -> None:
    graph = read_inputs({"x": (F, ["?", 3, "?", "?"])}, input_shapes={"x": (2, 3, 48, 192)})
    assert graph.shape("x") == (2, 3, 48, 192)


def test_a_shape_given_for_one_input_binds_the_others() -> None:
    graph = read_inputs({"ids": (F, ["batch", "seq"]), "mask": (F, ["batch", "seq"])}, input_shapes={"ids": (4, 128)})
    assert graph.shape("mask") == (4, 128)


def test_contradicting_shapes_name_both_inputs() -> None:
    with pytest.raises(WorkloadError, match=r"'seq' is 128 by --input ids but 64 by --input mask"):
        read_inputs(
            {"ids": (F, ["b", "seq"]), "mask": (F, ["b", "seq"])}, input_shapes={"ids": (4, 128), "mask": (4, 64)}
        )


def test_a_static_dimension_is_not_overruled() -> None:
    with pytest.raises(WorkloadError, match=r"'x' has 3 as its dimension 1"):
        read_inputs({"x": (F, ["N", 3])}, input_shapes={"x": (1, 4)})


def test_another_rank_is_refused() -> None:
    with pytest.raises(WorkloadError, match="has 2 dimensions"):
        read_inputs({"x": (F, ["N", 3])}, input_shapes={"x": (1, 3, 1)})


def test_a_fixed_batch_refuses_another() -> None:
    with pytest.raises(WorkloadError, match=r"do not take a batch of 32 .*--batch-size"):
        read_inputs({"x": (F, [1, 3])}, batch_size=32)


def test_a_fixed_batch_accepts_itself() -> None:
    assert read_inputs({"x": (F, [32, 3])}, batch_size=32).shape("x") == (32, 3)


def test_a_batch_that_contradicts_a_given_shape_is_refused() -> None:
    with pytest.raises(WorkloadError, match=r"batch size 32 contradicts --input x, .* 6; give both the same"):
        read_inputs({"x": (F, ["N", 3])}, batch_size=32, input_shapes={"x": (6, 3)})


def test_an_anonymous_batch_that_contradicts_a_given_shape_is_refused_alike() -> None:
    with pytest.raises(WorkloadError, match="batch size 32 contradicts --input x"):
        read_inputs({"x": (F, ["?", 3])}, batch_size=32, input_shapes={"x": (6, 3)})


def test_an_open_dimension_is_named_with_its_flag() -> None:
    with pytest.raises(
        UnresolvedShapeError, match=r"input 'x' \[N,3,H\] leaves dimension H open; give --input x=batch,3,224"
    ):
        read_inputs({"x": (F, ["N", 3, "H"])})


def test_an_input_of_unknown_rank_asks_for_its_shape() -> None:
    with pytest.raises(UnresolvedShapeError, match="--input x="):
        read_inputs({"x": (F, None)})
    assert read_inputs({"x": (F, None)}, input_shapes={"x": (2, 2)}).shape("x") == (2, 2)


def test_an_unknown_name_lists_the_inputs() -> None:
    with pytest.raises(WorkloadError, match="no input 'y'; its inputs are x"):
        read_inputs({"x": (F, [1])}, input_shapes={"y": (1,)})


@pytest.mark.parametrize("size", [0, -1])
def test_a_batch_below_one_is_refused(size: int) -> None:
    with pytest.raises(WorkloadError, match="from 1 up"):
        read_inputs({"x": (F, ["N"])}, batch_size=size)


def test_a_negative_dimension_is_refused() -> None:
    with pytest.raises(WorkloadError, match="negative"):
        read_inputs({"x": (F, ["N"])}, input_shapes={"x": (-2,)})


def test_a_value_that_is_no_number_is_refused() -> None:
    with pytest.raises(WorkloadError, match="'n'"):
        read_inputs({"n": (TensorProto.INT64, [1])}, input_values={"n": "many"})


def test_a_value_of_another_shape_is_refused() -> None:
    with pytest.raises(WorkloadError, match="'n'"):
        read_inputs({"n": (TensorProto.INT64, [2])}, input_values={"n": [1, 2, 3]})


def test_a_stored_default_is_no_input_unless_it_is_given() -> None:
    node = helper.make_node("Reshape", ["x", "shape"], ["y"])
    proto = model(
        [node], {"x": (F, [4]), "shape": (TensorProto.INT64, [2])}, ["y"], stored={"shape": np.array([2, 2])}
    ).SerializeToString()
    assert read(proto, Workload(), name="m").inputs == ("x",)
    overridden = read(proto, Workload(input_values={"shape": [1, 4]}), name="m")
    assert overridden.shape("y") == (1, 4)


def test_a_scalar_value_fills_its_declared_shape() -> None:
    graph = read_inputs({"n": (TensorProto.INT64, [1])}, input_values={"n": 7})
    assert graph.shape("n") == (1,)
