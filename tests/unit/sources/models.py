"""Small and large ONNX files, made as bytes."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def gemm_model(*, width: int = 512, count: int = 1, external: bool = False) -> bytes:
    """``count`` square matrix products in a row; each weight is width × width float32, inline or external."""
    weights = []
    for index in range(count):
        weight = numpy_helper.from_array(np.full((width, width), index + 1, np.float32), f"w{index}")
        if external:
            weight.ClearField("raw_data")
            weight.data_location = TensorProto.EXTERNAL
            for key, value in (("location", "weights.bin"), ("offset", str(index)), ("length", str(4 * width * width))):
                weight.external_data.add(key=key, value=value)
        weights.append(weight)
    nodes = [helper.make_node("MatMul", [f"x{index}", f"w{index}"], [f"x{index + 1}"]) for index in range(count)]
    graph = helper.make_graph(
        nodes,
        "gemms",
        [helper.make_tensor_value_info("x0", TensorProto.FLOAT, ["batch", width])],
        [helper.make_tensor_value_info(f"x{count}", TensorProto.FLOAT, ["batch", width])],
        weights,
    )
    return onnx.helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]).SerializeToString()


def noisy_model(payload_bytes: int, count: int) -> bytes:
    """Like ``gemm_model`` with weights that do not compress: ``count`` vectors of ``payload_bytes`` each."""
    generator = np.random.default_rng(7)
    weights = [
        numpy_helper.from_array(generator.integers(0, 256, payload_bytes, dtype=np.uint8), f"w{index}")
        for index in range(count)
    ]
    nodes = [helper.make_node("Identity", [f"w{index}"], [f"y{index}"]) for index in range(count)]
    outputs = [helper.make_tensor_value_info("y0", TensorProto.UINT8, [payload_bytes])]
    graph = helper.make_graph(nodes, "noise", [], outputs, weights)
    return onnx.helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]).SerializeToString()


def parsed(skeleton: bytes) -> onnx.ModelProto:
    return onnx.load_model_from_string(skeleton)
