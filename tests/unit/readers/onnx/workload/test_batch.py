"""Which dimension is the batch, and what the shapes given say of its size."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from joulecast.counting import count, totals
from joulecast.errors import UnresolvedShapeError, WorkloadError
from joulecast.layers import Workload
from joulecast.readers.onnx import batch_size, read
from joulecast.readers.onnx.workload.batch import batch_symbol
from tests.unit.readers.small_models import model

F = TensorProto.FLOAT


def found(
    inputs: dict[str, Any], size: int | None = None, default: int = 32, made: Any = None, **shapes: tuple[int, ...]
) -> int:
    """``made``: what the file declares of its outputs."""
    nodes = [helper.make_node("Identity", [name], [f"{name}_out"]) for name in inputs]
    proto = model(nodes, {name: (F, dims) for name, dims in inputs.items()}, [])
    proto.graph.output.extend(helper.make_tensor_value_info(f"{name}_out", F, made) for name in inputs)
    return batch_size(proto.SerializeToString(), shapes, size=size, default=default, name="m")


@pytest.mark.parametrize(
    ("declared", "symbol"),
    [
        ([["batch", 3]], "batch"),
        ([["steps", "batch", 5]], "batch"),
        ([["time", "N", 5]], "N"),
        ([["B", "N", 3]], "B"),
        ([["seq", 5], [2, "batch_size", 5]], "batch_size"),
        ([[1, "N", 3]], None),
        ([[None, "N", 3]], None),
        ([[3, "n"]], None),
        ([["length", 5]], "length"),
        ([["2*batch", 5]], "batch"),
        ([[1, 3]], None),
    ],
)
def test_the_batch_is_found_by_its_name_and_place(declared: list[Any], symbol: str | None) -> None:
    assert batch_symbol([tuple(shape) for shape in declared]) == symbol


@pytest.mark.parametrize("batch", [1, 4])
def test_a_time_major_recurrence_takes_any_batch(batch: int) -> None:
    node = helper.make_node("LSTM", ["x", "w", "r"], ["y"], hidden_size=8)
    stored = {"w": np.zeros((1, 32, 5), np.float32), "r": np.zeros((1, 32, 8), np.float32)}
    proto = model([node], {"x": (F, ["steps", "batch", 5])}, ["y"], stored=stored).SerializeToString()
    given = {"x": (6, batch, 5)}
    size = batch_size(proto, given, size=None, default=32, name="m")
    graph = read(proto, Workload(batch_size=size, input_shapes=given), name="m")
    assert (size, totals(count(graph)).macs) == (batch, 6 * batch * 32 * (5 + 8))


def test_a_dimension_of_points_is_open() -> None:
    node = helper.make_node("Identity", ["points"], ["y"])
    proto = model([node], {"points": (F, [1, "N", 3])}, ["y"]).SerializeToString()
    with pytest.raises(UnresolvedShapeError, match="leaves dimension N open"):
        read(proto, Workload(), name="m")


@pytest.mark.parametrize("dims", [["batch", "features"], [None, None], ["?", 2048], None, ["rows", 2048]])
def test_a_shape_says_its_batch(dims: Any) -> None:
    assert found({"x": dims}, x=(32, 2048), default=1) == 32


def test_nothing_said_is_the_default_where_the_batch_is_open() -> None:
    assert found({"x": ["batch", 3]}) == 32
    assert found({"x": [None, 3]}) == 32


def test_a_fixed_batch_is_the_models_own() -> None:
    assert found({"x": [1, 3]}) == 1
    assert found({"x": [8, 3], "y": [8]}, made=[8]) == 8
    assert found({"x": [1, 3, "H", "W"]}, x=(1, 3, 64, 64)) == 1
    assert found({"x": [2, 3], "y": [5]}, made=[2]) == 1


def test_a_leading_dimension_that_no_output_has_is_no_batch() -> None:
    """Detectors exported by torchvision take one picture, channels first."""
    assert found({"picture": [3, 320, 320]}, made=["boxes", 4]) == 1
    with pytest.raises(WorkloadError, match=r"dimension 3 of --input picture=3,64,64 .* say with --batch-size"):
        found({"picture": [3, "h", "w"]}, made=["boxes", 4], picture=(3, 64, 64))
    assert found({"picture": [3, "h", "w"]}, size=1, made=["boxes", 4], picture=(3, 64, 64)) == 1


def test_two_shapes_that_disagree_are_named() -> None:
    with pytest.raises(WorkloadError, match=r"4 by --input x, 6 by --input y: say with --batch-size"):
        found({"x": [None, 3], "y": [None, 3]}, x=(4, 3), y=(6, 3))
    assert found({"x": [None, 3], "y": [None, 3]}, size=6, x=(4, 3), y=(6, 3)) == 6


@pytest.mark.parametrize("size", [1, 8])
def test_a_batch_size_and_a_shape_that_disagree_are_named(size: int) -> None:
    with pytest.raises(WorkloadError, match=f"batch size {size} contradicts --input x, by which it is 4"):
        found({"x": ["batch", 3]}, size=size, x=(4, 3))
