"""Shape constants that lie outside the model's file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from joulecast.api import profiling
from joulecast.errors import UnresolvedShapeError, WorkloadError
from joulecast.sources import fetch
from joulecast.sources.skeletons import external
from tests import images
from tests.unit.sources.models import parsed

MACS = 64 * 128 + 4 * 32 * 16


def saved(folder: Path, *, location: str = "m.data", nested: bool = False) -> Path:
    """A product, a Reshape to a stored target, a product; every tensor in a file beside the model."""
    stored = {
        "a": np.zeros((64, 128), np.float32),
        "target": np.array([-1, 32], np.int64),
        "d": np.zeros((32, 16), np.float32),
    }
    reshape = helper.make_node("Reshape", ["b", "target"], ["c"])
    nodes = [helper.make_node("MatMul", ["x", "a"], ["b"]), reshape, helper.make_node("MatMul", ["c", "d"], ["y"])]
    if nested:
        inner = helper.make_graph([reshape], "inner", [], [helper.make_empty_tensor_value_info("c")])
        yes = helper.make_node("Constant", [], ["yes"], value=numpy_helper.from_array(np.array(True)))
        nodes[1:2] = [yes, helper.make_node("If", ["yes"], ["c2"], then_branch=inner, else_branch=inner)]
        nodes[-1].input[0] = "c2"
        target = numpy_helper.from_array(stored.pop("target"), "target")
        for branch in nodes[2].attribute:
            branch.g.initializer.append(target)
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 64])],
        [helper.make_empty_tensor_value_info("y")],
        [numpy_helper.from_array(value, name) for name, value in stored.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "m.onnx"
    options: Any = {"location": location, "size_threshold": 0, "save_as_external_data": True}
    onnx.save(model, path, convert_attribute=True, **options)
    return path


@pytest.mark.parametrize("nested", [False, True])
def test_a_target_in_a_file_beside_the_model_is_read(tmp_path: Path, nested: bool) -> None:
    assert profiling.profile(saved(tmp_path, nested=nested)).totals.macs == MACS


def test_a_model_without_its_file_says_which_one(tmp_path: Path) -> None:
    path = saved(tmp_path)
    (tmp_path / "m.data").unlink()
    with pytest.raises(
        UnresolvedShapeError, match=r"'target' lies in the external data file 'm\.data'.*--value target="
    ):
        profiling.profile(path)
    assert profiling.profile(path, input_values={"target": [-1, 32]}).totals.macs == MACS


def test_a_file_that_ends_early_gives_nothing(tmp_path: Path) -> None:
    path = saved(tmp_path)
    (tmp_path / "m.data").write_bytes(b"\0" * 100)
    with pytest.raises(UnresolvedShapeError, match="was not read"):
        profiling.profile(path)


def test_a_value_of_another_shape_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WorkloadError, match=r"'target' \(stored\) has shape \[2\], not \[3\]"):
        profiling.profile(saved(tmp_path), input_values={"target": [-1, 32, 1]})


@pytest.mark.parametrize("compression", [None, "gzip"])
def test_in_an_image_it_is_read_by_ranges_alone(tmp_path: Path, compression: str | None) -> None:
    path = saved(tmp_path / "files")
    files = {"models/m.onnx": path.read_bytes(), "models/m.data": (path.parent / "m.data").read_bytes()}
    folder = images.write_layout(images.build([files], compression=compression), tmp_path / "image")
    if compression is None:
        assert profiling.profile(folder).totals.macs == MACS
        return
    with pytest.raises(UnresolvedShapeError, match=r"external data file 'm\.data'"):
        profiling.profile(folder)


def test_in_an_image_it_may_lie_in_another_layer(tmp_path: Path) -> None:
    path = saved(tmp_path / "files")
    layers = [{"models/m.data": (path.parent / "m.data").read_bytes()}, {"models/m.onnx": path.read_bytes()}]
    folder = images.write_layout(images.build(layers), tmp_path / "image")
    found = profiling.profile(folder, verify=True)
    assert (found.totals.macs, found.verification) == (MACS, "Full")


@pytest.mark.parametrize("location", ["/etc/hostname", "../m.data", "a/../../m.data", "a\\b", ""])
def test_a_location_outside_the_models_folder_is_not_looked_at(tmp_path: Path, location: str) -> None:
    model = onnx.load(saved(tmp_path), load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            entry.value = location if entry.key == "location" else entry.value
    assert external.pieces(model.SerializeToString()) == []


def test_large_tensors_and_floats_stay_outside(tmp_path: Path) -> None:
    fetched = fetch(str(saved(tmp_path)))
    tensors = {tensor.name: tensor for tensor in parsed(fetched.skeleton).graph.initializer}
    assert [name for name, tensor in tensors.items() if tensor.data_location == TensorProto.EXTERNAL] == ["a", "d"]
    assert numpy_helper.to_array(tensors["target"]).tolist() == [-1, 32]


def test_a_malformed_tensor_stays_as_it_is() -> None:
    tensor = b"\x08\x02\x6a\x0f\x0a\x08location\x12\x7f"
    message = external.record(7, external.record(5, tensor))
    assert external.pieces(message) == []
    assert external.inlined(message, {external.Piece(location="m", offset=0, length=8): b"12345678"}) == message
