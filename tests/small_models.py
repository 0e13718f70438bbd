"""Two small ONNX files, made by hand, whose counts anyone can check with a pencil."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

CLASSIFIER_MACS = 8 * 3 * 3 * 3 * 32 * 32 + 8 * 10
"""An image's MACs: a 3×3 convolution from 3 to 8 channels over 32×32 places, then 8 × 10."""
CLASSIFIER_PARAMS = 8 * 3 * 3 * 3 + 8 + 8 * 10 + 10
SPEECH_MACS_PER_FRAME = 160 * 64


def classifier(path: Path) -> Path:
    """``image`` [batch, 3, 32, 32] -> ``scores`` [batch, 10]: Conv, Relu, GlobalAveragePool, Flatten, Gemm."""
    nodes = [
        helper.make_node("Conv", ["image", "stem.weight", "stem.bias"], ["features"], name="/stem/Conv", pads=[1] * 4),
        helper.make_node("Relu", ["features"], ["active"], name="/stem/Relu"),
        helper.make_node("GlobalAveragePool", ["active"], ["pooled"], name="/pool/GlobalAveragePool"),
        helper.make_node("Flatten", ["pooled"], ["flat"], name="/head/Flatten"),
        helper.make_node("Gemm", ["flat", "head.weight", "head.bias"], ["scores"], name="/head/Gemm"),
    ]
    weights = {"stem.weight": (8, 3, 3, 3), "stem.bias": (8,), "head.weight": (8, 10), "head.bias": (10,)}
    return _save(path, nodes, {"image": ["batch", 3, 32, 32]}, {"scores": ["batch", 10]}, weights)


def speech(path: Path) -> Path:
    """``audio`` [batch, samples] cut into ``frames``, a shape it is fed, then 160 × 64: a value steers the cost."""
    nodes = [
        helper.make_node("Reshape", ["audio", "frames"], ["framed"], name="/Reshape"),
        helper.make_node("MatMul", ["framed", "weight"], ["features"], name="/MatMul"),
    ]
    inputs = {"audio": ["batch", "samples"], "frames": [3]}
    return _save(path, nodes, inputs, {"features": None}, {"weight": (160, 64)}, integers=("frames",))


def hostile_names(path: Path) -> Path:
    """A Relu and 40 operators without a rule, whose names are 60 kB long and hold what a terminal obeys."""
    long = "\x1b[31m\n" + "n" * 60_000
    nodes = [helper.make_node("Relu", ["x"], ["y0"], name=long)]
    nodes += [
        helper.make_node(f"Op{number}{long}", [f"y{number}"], [f"y{number + 1}"], domain="odd") for number in range(40)
    ]
    kept = [helper.make_tensor_value_info(f"y{number}", TensorProto.FLOAT, [1, 8]) for number in range(41)]
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 8])
    graph = helper.make_graph(nodes, "g", [given], kept[-1:], value_info=kept[:-1])
    versions = [helper.make_opsetid("", 17), helper.make_opsetid("odd", 1)]
    onnx.save(helper.make_model(graph, opset_imports=versions), path)
    return path


def exotic(path: Path) -> Path:
    """``x`` [2] -> ``y``: an operator of a domain that nobody knows."""
    nodes = [helper.make_node("Frobnicate", ["x"], ["y"], name="/Frobnicate", domain="example.org")]
    return _save(path, nodes, {"x": [2]}, {"y": [2]}, {}, domains=("example.org",))


def _save(
    path: Path,
    nodes: list[onnx.NodeProto],
    inputs: dict[str, list[int | str]],
    outputs: dict[str, list[int | str] | None],
    weights: dict[str, tuple[int, ...]],
    *,
    integers: tuple[str, ...] = (),
    domains: tuple[str, ...] = (),
) -> Path:
    def value(name: str, shape: list[int | str] | None) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.INT64 if name in integers else TensorProto.FLOAT, shape)

    graph = helper.make_graph(
        nodes,
        path.stem,
        [value(name, shape) for name, shape in inputs.items()],
        [value(name, shape) for name, shape in outputs.items()],
        [numpy_helper.from_array(np.full(shape, 0.5, np.float32), name) for name, shape in weights.items()],
    )
    opsets = [helper.make_opsetid("", 17), *(helper.make_opsetid(domain, 1) for domain in domains)]
    path.write_bytes(helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString())
    return path
