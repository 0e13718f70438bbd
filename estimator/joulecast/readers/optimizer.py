"""A skeleton after onnxruntime's graph optimiser: what the runtime would execute, found without the weights.

The CPU provider at level EXTENDED (at ALL every convolution becomes a CPU layout op). Absent payloads are stood in for
by a sparse file of zeros, which fuses as the real weights do; fusions that other providers add are not seen.

What onnxruntime leaves apart stays apart: in a file exported without the exporter's own optimiser it folds constants
before it takes CastLike apart, and so keeps an Expand for every bias of zeros and every BatchNormalization beside its
Conv. The canonical rows are alike even then.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from joulecast.errors import JoulecastError, ModelFormatError

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto, TensorProto

MAX_PAYLOAD_BYTES = 16 * 2**30
"""Sum of the payloads stood in for. The optimiser writes them out again, so this bounds the disk that it takes."""
_MODEL, _OPTIMIZED, _ZEROS, _WEIGHTS = "model.onnx", "optimized.onnx", "zeros", "weights"
_PACKED = {"INT4": 2, "UINT4": 2, "FLOAT4E2M1": 2, "INT2": 4, "UINT2": 4}
"""Elements in a byte, where it holds several (onnx.proto, TensorProto.DataType)."""


def optimize(skeleton: bytes, *, name: str) -> bytes:
    """Optimise the graph and return it as a skeleton. ``name``: for messages.

    Raises JoulecastError (MissingDependency) without onnxruntime, and ModelFormatError for what it cannot load.
    """
    runtime = _onnxruntime()
    from joulecast.readers.onnx.reader import parse

    model = parse(skeleton, name)
    with TemporaryDirectory(prefix="joulecast-") as folder:
        place = Path(folder)
        _stand_in(model, place, name)
        (place / _MODEL).write_bytes(model.SerializeToString())
        _run(runtime, place, name)
        return _skeleton(place / _OPTIMIZED)


def _onnxruntime() -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise JoulecastError(
            "the optimised graph needs onnxruntime, which is not installed: pip install 'joulecast[onnxruntime]'",
            reason="MissingDependency",
        ) from None
    return onnxruntime


def _run(runtime: Any, place: Path, name: str) -> None:
    options = runtime.SessionOptions()
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(place / _OPTIMIZED)
    options.log_severity_level = 4  # fatal alone: what matters is raised
    options.add_session_config_entry("session.disable_prepacking", "1")
    options.add_session_config_entry("session.optimized_model_external_initializers_file_name", _WEIGHTS)
    options.add_session_config_entry("session.optimized_model_external_initializers_min_size_in_bytes", "4096")
    try:
        runtime.InferenceSession(str(place / _MODEL), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors share no base of their own
        reason = next(iter(str(error).splitlines()), type(error).__name__).replace(str(place), "")
        raise ModelFormatError(f"onnxruntime cannot optimise {name} ({reason}): count the graph as exported") from error


def _skeleton(path: Path) -> bytes:
    from joulecast.sources import fetch

    return fetch(str(path)).skeleton


def _stand_in(model: ModelProto, place: Path, name: str) -> None:
    """Give every dropped payload of ``model`` a content of zeros, in a file that takes no room."""
    _lift_constants(model.graph)
    sizes = [_point_to_zeros(tensor) for tensor in _dropped(model)]
    if sum(sizes) > MAX_PAYLOAD_BYTES:
        raise ModelFormatError(
            f"{name} has {sum(sizes):,} bytes of weights, and up to {MAX_PAYLOAD_BYTES:,} can be optimised:"
            " count the graph as exported"
        )
    with (place / _ZEROS).open("wb") as zeros:
        zeros.truncate(max(sizes, default=0))


def _lift_constants(graph: GraphProto) -> None:
    """Turn Constant nodes without payload into initializers, whose data onnxruntime reads from a file."""
    kept = []
    for node in graph.node:
        for inner in _subgraphs(node):
            _lift_constants(inner)
        tensor = _constant(node)
        if tensor is None:
            kept.append(node)
        else:
            graph.initializer.add().CopyFrom(tensor)
            graph.initializer[-1].name = node.output[0]
    if len(kept) != len(graph.node):
        nodes = [_copy(node) for node in kept]
        del graph.node[:]
        graph.node.extend(nodes)


def _copy(node: NodeProto) -> NodeProto:
    copied = type(node)()
    copied.CopyFrom(node)
    return copied


def _constant(node: NodeProto) -> TensorProto | None:
    """Return the value of a Constant node whose payload was dropped."""
    if node.op_type != "Constant" or not node.attribute or node.attribute[0].name != "value":
        return None
    tensor = node.attribute[0].t
    return tensor if _is_dropped(tensor) else None


def _subgraphs(node: NodeProto) -> Iterator[GraphProto]:
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def _dropped(model: ModelProto) -> Iterator[TensorProto]:
    yield from _dropped_in(model.graph)
    for function in model.functions:
        for node in function.node:
            yield from _dropped_of(node)


def _dropped_in(graph: GraphProto) -> Iterator[TensorProto]:
    yield from filter(_is_dropped, graph.initializer)
    for node in graph.node:
        yield from _dropped_of(node)


def _dropped_of(node: NodeProto) -> Iterator[TensorProto]:
    for attribute in node.attribute:
        yield from filter(_is_dropped, [attribute.t, *attribute.tensors])
    for graph in _subgraphs(node):
        yield from _dropped_in(graph)


def _is_dropped(tensor: TensorProto) -> bool:
    return bool(tensor.data_location == type(tensor).EXTERNAL)


def _point_to_zeros(tensor: TensorProto) -> int:
    """Let ``tensor`` be zeros of its size, in bytes, which is returned."""
    del tensor.external_data[:]
    if tensor.data_type == type(tensor).STRING:  # strings cannot lie outside the model
        tensor.data_location = type(tensor).DEFAULT
        tensor.string_data.extend([b""] * _numel(tensor))
        return 0
    size = _size(tensor)
    for key, value in (("location", _ZEROS), ("offset", "0"), ("length", str(size))):
        tensor.external_data.add(key=key, value=value)
    return size


def _numel(tensor: TensorProto) -> int:
    count = 1
    for dimension in tensor.dims:
        count *= dimension
    return count


def _size(tensor: TensorProto) -> int:
    from onnx import helper

    packed = _PACKED.get(type(tensor).DataType.Name(tensor.data_type))
    if packed:
        return -(-_numel(tensor) // packed)
    return _numel(tensor) * int(helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize)
