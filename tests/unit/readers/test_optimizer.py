from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from joulecast.canonical import canonicalise
from joulecast.counting import count
from joulecast.errors import JoulecastError, ModelFormatError
from joulecast.layers import Workload
from joulecast.readers import optimizer
from joulecast.readers.onnx import read
from joulecast.sources import fetch
from tests import small_models
from tests.wheels import ocr

onnxruntime = pytest.importorskip("onnxruntime")


def op_types(model: bytes) -> Counter[str]:
    return Counter(node.op_type for node in onnx.ModelProto.FromString(model).graph.node)


def optimized_with_weights(path: Path, place: Path) -> bytes:
    """What onnxruntime makes of the file as it is."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(place / "with-weights.onnx")
    options.log_severity_level = 4
    onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return (place / "with-weights.onnx").read_bytes()


def large(path: Path, nodes: list[onnx.NodeProto], stored: dict[str, np.ndarray]) -> Path:
    """A model from ``x`` [1, 64] to ``y`` whose weights are large enough to be dropped from the skeleton."""
    tensors = [numpy_helper.from_array(array, name) for name, array in stored.items()]
    value = helper.make_tensor_value_info
    inputs, outputs = [value("x", TensorProto.FLOAT, [1, 64])], [value("y", TensorProto.FLOAT, [1, 64])]
    graph = helper.make_graph(nodes, "large", inputs, outputs, tensors)
    path.write_bytes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    )
    return path


def test_what_a_runtime_would_fuse_is_fused(tmp_path: Path) -> None:
    model = small_models.classifier(tmp_path / "model.onnx")
    optimized = optimizer.optimize(fetch(str(model)).skeleton, name="model.onnx")
    assert op_types(optimized) == {"FusedConv": 1, "GlobalAveragePool": 1, "Flatten": 1, "Gemm": 1}


def test_zeros_fuse_as_the_real_weights_do(tmp_path: Path) -> None:
    path = ocr("rec")
    skeleton = fetch(str(path)).skeleton
    assert len(skeleton) < path.stat().st_size / 10  # its weights are gone
    assert op_types(optimizer.optimize(skeleton, name="rec")) == op_types(optimized_with_weights(path, tmp_path))


def test_what_a_runtime_leaves_apart_stays_apart(tmp_path: Path) -> None:
    """Exporters' raw files (``optimize=False``) compute a bias of zeros with CastLike and Expand. onnxruntime folds
    constants before it takes CastLike apart, so with or without weights it fuses no batch normalisation there."""
    nodes = [
        helper.make_node("CastLike", ["zero", "x"], ["cast"]),
        helper.make_node("Expand", ["cast", "channels"], ["bias"]),
        helper.make_node("Reshape", ["x", "image"], ["h"]),
        helper.make_node("Conv", ["h", "w", "bias"], ["c"]),
        helper.make_node("BatchNormalization", ["c", "scale", "shift", "mean", "variance"], ["n"]),
        helper.make_node("Reshape", ["n", "row"], ["y"]),
    ]
    stored = {
        "zero": np.float32(0), "channels": np.array([64]), "image": np.array([1, 64, 1, 1]), "row": np.array([1, 64]),
        "w": np.ones((64, 64, 1, 1), np.float32),
        **{name: np.ones(64, np.float32) for name in ("scale", "shift", "mean", "variance")},
    }  # fmt: skip
    path = large(tmp_path / "raw.onnx", nodes, stored)
    optimized = optimizer.optimize(fetch(str(path)).skeleton, name="raw")
    assert op_types(optimized) == op_types(optimized_with_weights(path, tmp_path))
    graph = canonicalise(read(optimized, Workload(), name="raw"))
    assert [(row.op_type, row.params) for row in count(graph) if row.macs] == [("Conv", 64 * 64 + 2 * 64)]


def test_a_large_constant_node_is_stood_in_for(tmp_path: Path) -> None:
    weight = numpy_helper.from_array(np.ones((64, 64), np.float32))
    nodes = [
        helper.make_node("Constant", [], ["w"], value=weight),
        helper.make_node("MatMul", ["x", "w"], ["h"]),
        helper.make_node("Relu", ["h"], ["y"]),
    ]
    skeleton = fetch(str(large(tmp_path / "large.onnx", nodes, {}))).skeleton
    optimized = onnx.ModelProto.FromString(optimizer.optimize(skeleton, name="large"))
    assert [node.op_type for node in optimized.graph.node] == ["MatMul", "Relu"]
    assert [list(tensor.dims) for tensor in optimized.graph.initializer] == [[64, 64]]
    assert optimized.graph.initializer[0].data_location == TensorProto.EXTERNAL  # unknown again, not zeros


def test_a_large_constant_in_a_branch_is_stood_in_for(tmp_path: Path) -> None:
    value = helper.make_tensor_value_info
    weight = numpy_helper.from_array(np.ones((64, 64), np.float32))
    inner = [helper.make_node("Constant", [], ["v"], value=weight), helper.make_node("MatMul", ["x", "v"], ["inner"])]
    then = helper.make_graph(inner, "then", [], [value("inner", TensorProto.FLOAT, [1, 64])])
    other = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["same"])], "other", [], [value("same", TensorProto.FLOAT, [1, 64])]
    )
    nodes = [
        helper.make_node("ReduceSum", ["x"], ["sum"], keepdims=0),
        helper.make_node("Cast", ["sum"], ["condition"], to=TensorProto.BOOL),
        helper.make_node("If", ["condition"], ["y"], then_branch=then, else_branch=other),
    ]
    skeleton = fetch(str(large(tmp_path / "branch.onnx", nodes, {}))).skeleton
    assert op_types(optimizer.optimize(skeleton, name="branch"))["If"] == 1


def test_without_onnxruntime_the_way_to_get_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(JoulecastError, match=r"pip install 'joulecast\[onnxruntime\]'") as caught:
        optimizer.optimize(fetch(str(small_models.classifier(tmp_path / "model.onnx"))).skeleton, name="model.onnx")
    assert caught.value.reason == "MissingDependency"


def test_what_onnxruntime_cannot_load_is_told_in_one_line(tmp_path: Path) -> None:
    model = small_models.exotic(tmp_path / "exotic.onnx")
    with pytest.raises(ModelFormatError, match=r"onnxruntime cannot optimise exotic.onnx .*as exported") as caught:
        optimizer.optimize(fetch(str(model)).skeleton, name="exotic.onnx")
    assert "\n" not in str(caught.value)


def test_an_error_of_onnxruntime_without_a_message_is_told_by_its_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError

    path = small_models.classifier(tmp_path / "small.onnx")
    monkeypatch.setattr(onnxruntime, "InferenceSession", fail)
    with pytest.raises(ModelFormatError, match=r"cannot optimise small\.onnx \(RuntimeError\)"):
        optimizer.optimize(fetch(str(path)).skeleton, name=path.name)


def test_a_graph_that_takes_too_much_disk_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    model = large(tmp_path / "large.onnx", nodes, {"w": np.ones((64, 64), np.float32)})
    monkeypatch.setattr(optimizer, "MAX_PAYLOAD_BYTES", 1000)
    with pytest.raises(ModelFormatError, match="16,384 bytes of weights"):
        optimizer.optimize(fetch(str(model)).skeleton, name="large")
