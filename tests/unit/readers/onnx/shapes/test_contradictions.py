"""Shapes that cannot go together are refused with both sides named, as onnxruntime refuses them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from joulecast.errors import UnresolvedShapeError
from joulecast.layers import Workload
from joulecast.readers.onnx import read
from tests.unit.readers.small_models import MICROSOFT, model

F, I64 = TensorProto.FLOAT, TensorProto.INT64
Shapes = Sequence[tuple[int, ...]]


def floats(*shape: int) -> Any:
    return np.zeros(shape, np.float32)


def one(
    op_type: str, fed: tuple[int, ...], stored: Sequence[Any], opset: int = 21, outputs: int = 1, **attributes: Any
) -> onnx.ModelProto:
    """A model of one node, its first input fed with open dimensions."""
    names = [f"w{index}" for index in range(len(stored))]
    given = dict(zip(names, stored, strict=True))
    inputs = ["x", *(name if value is not None else "" for name, value in given.items())]
    node = helper.make_node(op_type, inputs, [f"y{index}" for index in range(outputs)], **attributes)
    symbols = [f"d{index}" for index in range(len(fed))]
    domains = {MICROSOFT: 1} if attributes.get("domain") else None
    kept = {name: value for name, value in given.items() if value is not None}
    return model([node], {"x": (F, symbols)}, ["y0"], stored=kept, opset=opset, domains=domains)


def from_table(table: tuple[int, ...], positions: Any, op_type: str = "Gather", **attributes: Any) -> onnx.ModelProto:
    node = helper.make_node(op_type, ["t", "i"], ["y"], **attributes)
    shift = helper.make_node("Add", ["y", "x"], ["z"])
    stored = {"t": floats(*table), "i": np.array(positions, np.int64)}
    return model([node, shift], {"x": (F, ["d0"])}, ["z"], stored=stored, opset=21)


REFUSED: dict[str, tuple[onnx.ModelProto, tuple[int, ...], str]] = {
    "reshape": (one("Reshape", (32, 32), [np.array([4, 8])]), (32, 32), r"1024 elements, its target shape \[4,8\] 32"),
    "conv": (
        one("Conv", (1, 4, 8, 8), [floats(8, 3, 3, 3)]), (1, 4, 8, 8), r"channels has 4, .*'w0' \[8,3,3,3\] takes 3",
    ),
    "conv in groups": (
        one("Conv", (1, 4, 8, 8), [floats(8, 3, 3, 3)], group=2), (1, 4, 8, 8), r"channels has 4, .* takes 6",
    ),
    "conv bias": (one("Conv", (1, 3, 8, 8), [floats(8, 3, 3, 3), floats(7)]), (1, 3, 8, 8), r"bias 'w1' \[7\] has 7"),
    "conv of a small picture": (
        one("Conv", (1, 3, 2, 2), [floats(8, 3, 3, 3)]), (1, 3, 2, 2), r"'x' \[1,3,2,2\] is smaller than .* \[3,3\]",
    ),
    "conv of a dot": (one("Conv", (1, 3, 1, 1), [floats(8, 3, 3, 3)]), (1, 3, 1, 1), "smaller than its kernel"),
    "transposed conv": (
        one("ConvTranspose", (1, 5, 8, 8), [floats(4, 3, 3, 3)]), (1, 5, 8, 8), r"channels has 5, .* takes 4",
    ),
    "lstm": (
        one("LSTM", (1, 1, 4), [floats(1, 32, 5), floats(1, 32, 8)], hidden_size=8), (1, 1, 4),
        "features has 4, .* take 5",
    ),
    "gru": (
        one("GRU", (1, 1, 4), [floats(1, 32, 4), floats(1, 24, 8)], hidden_size=8), (1, 1, 4),
        r"rows has 32, .* needs 24",
    ),
    "layer norm": (one("LayerNormalization", (1, 4), [floats(3)]), (1, 4), r"'w0' \[3\] does not fit 'x' \[1,4\]"),
    "instance norm": (
        one("InstanceNormalization", (1, 4, 5), [floats(3), floats(3)]), (1, 4, 5), r"'w0' \[3\] has 3, .* channels: 4",
    ),
    "gemm bias": (one("Gemm", (2, 3), [floats(3, 5), floats(4)]), (2, 3), r"bias 'w1' \[4\] does not fit .* \[2,5\]"),
    "slope": (one("PRelu", (1, 4), [floats(3)]), (1, 4), "does not fit"),
    "einsum": (one("Einsum", (2, 3), [floats(4, 5)], equation="ij,jk->ik"), (2, 3), r"'j' of 'x' \[2,3\] has 3, .* 4"),
    "top k": (one("TopK", (4,), [np.array([9])], outputs=2), (4,), r"'x' \[4\] has 4 elements .* the largest 9"),
    "depth to space": (one("DepthToSpace", (1, 6, 2, 2), [], blocksize=2), (1, 6, 2, 2), "not a multiple"),
    "position": (from_table((64, 8), [0, 99]), (8,), r"position 99 of 'i' \[2\] lies outside the 64 rows of 't'"),
    "position from the end": (from_table((64, 8), [-65]), (8,), "position -65"),
    "element": (from_table((4, 4), [[4]], "GatherElements"), (1,), "position 4"),
    "coordinate": (from_table((4, 5), [[0, 5]], "GatherND"), (1,), "position 5"),
    "skip norm": (
        one(
            "SkipLayerNormalization", (1, 2, 4), [floats(1, 2, 4), floats(3)], domain=MICROSOFT,
        ), (1, 2, 4), r"'w1' \[3\] has 3, .* features: 4",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_runtime_executes_is_refused_with_both_sides_named(name: str) -> None:
    proto, fed, words = REFUSED[name]
    with pytest.raises(UnresolvedShapeError, match=words) as caught:
        read(proto.SerializeToString(), Workload(input_shapes={"x": fed}), name="m")
    assert "node 'y" in str(caught.value)
    with pytest.raises(Exception, match=r"(?s)."):  # onnxruntime's own errors have no common base
        session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
        session.run(None, {"x": floats(*fed)})


def test_a_pool_of_a_small_picture_is_refused() -> None:
    """onnxruntime makes an empty picture of it, torch refuses; nobody means to run that."""
    proto = one("MaxPool", (1, 3, 2, 2), [], kernel_shape=[3, 3])
    with pytest.raises(UnresolvedShapeError, match=r"smaller than its kernel \[3,3\]"):
        read(proto.SerializeToString(), Workload(input_shapes={"x": (1, 3, 2, 2)}), name="m")


ACCEPTED: dict[str, tuple[onnx.ModelProto, tuple[int, ...]]] = {
    "grouped": (one("Conv", (1, 4, 8, 8), [floats(8, 2, 3, 3), floats(8)], group=2), (1, 4, 8, 8)),
    "padded": (one("Conv", (1, 3, 2, 2), [floats(8, 3, 3, 3)], pads=[1, 1, 1, 1]), (1, 3, 2, 2)),
    "transposed": (one("ConvTranspose", (1, 4, 2, 2), [floats(4, 3, 3, 3), floats(6)], group=2), (1, 4, 2, 2)),
    "wide scale": (one("LayerNormalization", (2, 3, 4), [floats(3, 4)], axis=1), (2, 3, 4)),
    "scalar bias": (one("Gemm", (2, 3), [floats(3, 5), floats(1)]), (2, 3)),
    "last row": (from_table((64, 8), [-64, 63]), (8,)),
    "both ways": (
        one("LSTM", (2, 1, 4), [floats(2, 32, 4), floats(2, 32, 8)], hidden_size=8, direction="bidirectional"),
        (2, 1, 4),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ACCEPTED)
def test_what_a_runtime_executes_is_not(name: str) -> None:
    proto, fed = ACCEPTED[name]
    graph = read(proto.SerializeToString(), Workload(input_shapes={"x": fed}), name="m")
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    (first, *_) = session.run(None, {"x": floats(*fed)})
    assert graph.shape(graph.outputs[0]) == first.shape
