"""Selections by content: counted where no product follows, refused with all questions where one does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper

from joulecast.accelerators.catalogue import find
from joulecast.api.profiling import profile_skeleton
from joulecast.energy.pricing import price
from joulecast.errors import UnresolvedShapeError
from joulecast.layers import ModelProfile, Workload
from joulecast.readers.onnx import read
from joulecast.sources import FetchedModel
from tests.unit.readers.small_models import model

F, I64 = TensorProto.FLOAT, TensorProto.INT64
CONV_MACS = 14 * 14 * 8 * 27


def profiled(proto: ModelProto, **workload: Any) -> ModelProfile:
    fetched = FetchedModel(
        reference="m", format="onnx", path="m", digest="sha256:0", layer_digest=None,
        skeleton=proto.SerializeToString(), bytes_fetched=0, image_bytes=0, verification=None,
    )  # fmt: skip
    return profile_skeleton(fetched, Workload(**workload))


def detector(*, head: bool = False) -> ModelProto:
    """A convolution, two selections of its outputs by content, and with ``head`` a product of what one keeps."""
    n = helper.make_node
    nodes = [n("Conv", ["x", "w"], ["a"])]
    for index, op_type in enumerate(("Greater", "Less")):
        nodes += [
            n(op_type, ["a", "t"], [f"m{index}"]), n("NonZero", [f"m{index}"], [f"i{index}"]),
            n("Transpose", [f"i{index}"], [f"j{index}"], perm=[1, 0]), n("GatherND", ["a", f"j{index}"], [f"y{index}"]),
        ]  # fmt: skip
    if head:
        nodes += [n("Unsqueeze", ["y0", "last"], ["u"]), n("MatMul", ["u", "v"], ["z"])]
    stored = {
        "w": np.zeros((8, 3, 3, 3), np.float32), "t": np.array(0.5, np.float32), "last": np.array([1]),
        "v": np.zeros((1, 4), np.float32),
    }  # fmt: skip
    outputs = ["z", "y1"] if head else ["y0", "y1"]
    return model(nodes, {"x": (F, ["batch", 3, 16, 16])}, outputs, stored=stored)


def test_a_selection_after_the_last_product_is_counted_by_its_bound() -> None:
    found = profiled(detector())
    assert found.totals.macs == CONV_MACS
    assert found.coverage.ops == found.coverage.flops == 1.0
    assert found.coverage.upper_bounds == ("NonZero", "GatherND")
    rows = {row.name: row for row in found.layers}
    assert rows["y0"].output_shapes == ((8 * 14 * 14,),)
    assert rows["y0"].upper_bound
    assert not rows["a"].upper_bound


def test_its_interval_is_wider_and_says_why() -> None:
    accelerator = find("NVIDIA-H200")
    bounded = profiled(detector(), batch_size=64)
    found = price(bounded, accelerator)
    assert any(reason.startswith("an upper bound on sizes: NonZero, ") for reason in found.reasons)
    share = sum(
        layer.joules for row, layer in zip((r for r in bounded.layers if r.kind != "free"), found.layers, strict=True)
        if row.upper_bound
    ) / found.joules_per_batch  # fmt: skip
    assert 0 < share < 1
    assert found.joules_per_batch_lower < found.joules_per_batch * (1 - share)


def test_a_product_of_what_is_kept_is_refused_with_every_selection() -> None:
    with pytest.raises(UnresolvedShapeError, match="a product follows it") as caught:
        profiled(detector(head=True))
    assert caught.value.options == ("--input i0=4,1568", "--input i1=4,1568")
    said = profiled(detector(head=True), input_shapes={"i0": (4, 10), "i1": (4, 0)})
    assert said.totals.macs == CONV_MACS + 10 * 4
    assert said.coverage.upper_bounds == ()


def test_a_mask_written_back_does_not_stop_the_products_behind_it() -> None:
    """ScatterND keeps the shape of what it writes into, however many positions a selection finds."""
    n = helper.make_node
    nodes = [
        n("NonZero", ["m"], ["i"]), n("Transpose", ["i"], ["j"], perm=[1, 0]), n("Shape", ["j"], ["s"], start=0, end=1),
        n("Expand", ["one", "s"], ["u"]), n("ScatterND", ["x", "j", "u"], ["d"]), n("MatMul", ["d", "w"], ["y"]),
    ]  # fmt: skip
    stored = {"one": np.ones(1, np.float32), "w": np.zeros((6, 7), np.float32)}
    proto = model(nodes, {"x": (F, [5, 6]), "m": (TensorProto.BOOL, [5, 6])}, ["y"], stored=stored)
    assert profiled(proto).totals.macs == 5 * 6 * 7


@pytest.mark.parametrize(
    ("op_type", "inputs", "attributes", "shapes"),
    [
        ("NonZero", {"a": (F, [3, 4])}, {}, [(2, 12)]),
        ("Compress", {"a": (F, [3, 4]), "c": (TensorProto.BOOL, [2])}, {"axis": 0}, [(2, 4)]),
        ("Compress", {"a": (F, [3, 4]), "c": (TensorProto.BOOL, [20])}, {}, [(12,)]),
        ("Unique", {"a": (F, [3, 4])}, {}, [(12,), (12,), (12,), (12,)]),
        ("Unique", {"a": (F, [3, 4])}, {"axis": 1}, [(3, 4), (4,), (4,), (4,)]),
        ("NonMaxSuppression", {"a": (F, [2, 9, 4]), "s": (F, [2, 5, 9])}, {}, [(2 * 5 * 9, 3)]),
        ("TopK", {"a": (F, [3, 4]), "k": (I64, [1])}, {}, [(3, 4), (3, 4)]),
        ("Slice", {"a": (F, [3, 4]), "from": (I64, [2]), "to": (I64, [2])}, {}, [(3, 4)]),
    ],
)
def test_every_selection_has_its_bound(
    op_type: str, inputs: dict[str, Any], attributes: dict[str, Any], shapes: list[tuple[int, ...]]
) -> None:
    outputs = [f"y{index}" for index in range(len(shapes))]
    node = helper.make_node(op_type, list(inputs), outputs, **attributes)
    graph = read(model([node], inputs, outputs).SerializeToString(), Workload(), name="m")
    assert [graph.shape(name) for name in graph.outputs] == shapes
    exact = {"y2"} if op_type == "Unique" else set()  # where each element's value went
    assert graph.upper_bounds == set(outputs) - exact
