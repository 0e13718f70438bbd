"""Small ONNX models for tests, and the shapes that onnxruntime executes them with."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

MICROSOFT = "com.microsoft"


def model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, Any],
    outputs: Sequence[str],
    *,
    stored: Mapping[str, Any] | None = None,
    opset: int = 17,
    functions: Sequence[onnx.FunctionProto] = (),
    domains: Mapping[str, int] | None = None,
) -> onnx.ModelProto:
    """A model; ``inputs``: an array (static shape) or ``(element type, dimensions)`` by name; ``stored``: arrays or
    TensorProtos."""
    graph = helper.make_graph(
        list(nodes),
        "small",
        [_input(name, spec) for name, spec in inputs.items()],
        [helper.make_empty_tensor_value_info(name) for name in outputs],
        initializer=[_stored(name, value) for name, value in (stored or {}).items()],
    )
    imports = [helper.make_opsetid("", opset), *(helper.make_opsetid(d, v) for d, v in (domains or {}).items())]
    return helper.make_model(graph, opset_imports=imports, functions=list(functions), ir_version=10)


def _input(name: str, spec: Any) -> onnx.ValueInfoProto:
    if isinstance(spec, np.ndarray):
        return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(spec.dtype), spec.shape)
    return helper.make_tensor_value_info(name, *spec)


def _stored(name: str, value: Any) -> onnx.TensorProto:
    if isinstance(value, onnx.TensorProto):
        value.name = name
        return value
    return numpy_helper.from_array(np.asarray(value), name)


def absent(element: int, *dims: int) -> onnx.TensorProto:
    """A stored tensor whose payload was left out."""
    tensor = TensorProto(data_type=element, dims=dims, data_location=TensorProto.EXTERNAL)
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "absent"
    return tensor


def session(proto: onnx.ModelProto | Path, **options: Any) -> onnxruntime.InferenceSession:
    """A CPU session with graph optimisations and prepacking off: it executes the file as filed."""
    settings = onnxruntime.SessionOptions()
    settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    settings.add_session_config_entry("session.disable_prepacking", "1")
    settings.intra_op_num_threads = 1
    settings.log_severity_level = 3
    for name, value in options.items():
        setattr(settings, name, value)
    source = str(proto) if isinstance(proto, Path) else proto.SerializeToString()
    return onnxruntime.InferenceSession(source, settings, providers=["CPUExecutionProvider"])


def executed_shapes(proto: onnx.ModelProto, feeds: Mapping[str, Any]) -> list[tuple[int, ...] | None]:
    """The outputs' shapes as onnxruntime computes them; ``None`` for what is no tensor."""
    return [value.shape if isinstance(value, np.ndarray) else None for value in session(proto).run(None, dict(feeds))]


def recorded_shapes(path: Path, feeds: Mapping[str, Any]) -> dict[str, list[tuple[str, list[tuple[int, ...]]]]]:
    """``(operator, output shapes)`` by node name, as onnxruntime's profiler recorded one run of the file, nested
    graphs included."""
    with tempfile.TemporaryDirectory() as folder:
        run = session(path, enable_profiling=True, profile_file_prefix=f"{folder}/run")
        run.run(None, dict(feeds))
        events = json.loads(Path(run.end_profiling()).read_text())
    found: dict[str, list[tuple[str, list[tuple[int, ...]]]]] = {}
    for event in events:
        arguments = event.get("args", {})
        if event.get("cat") == "Node" and "output_type_shape" in arguments:
            shapes = [tuple(shape) for entry in arguments["output_type_shape"] for shape in entry.values()]
            name = event["name"].removesuffix("_kernel_time")
            found.setdefault(name, []).append((arguments["op_name"], shapes))
    return found
