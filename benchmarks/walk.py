"""Reading, canonicalising and counting a graph, beside inferring its shapes with the libraries' whole-graph passes."""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from statistics import median

import onnx

from tests import wheels
from tests.harness.environment import ROOT

RUNS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    name: str
    model: bytes
    shapes: Mapping[str, tuple[int, ...]]
    values: Mapping[str, object] = field(default_factory=dict)


def golden(name: str) -> bytes:
    return gzip.decompress((ROOT / "tests" / "models" / f"{name}.onnx.gz").read_bytes())


def subjects() -> list[Subject]:
    """The ONNX files that come inside wheels, and a decoder of thousands of nodes."""
    ocr = {"det": (1, 3, 736, 736), "rec": (6, 3, 48, 320), "cls": (6, 3, 48, 192)}
    files = [
        Subject(name=f"OCR {name}", model=wheels.ocr(name).read_bytes(), shapes={"x": shape})
        for name, shape in ocr.items()
    ]
    voice = Subject(
        name="silero-vad",
        model=wheels.silero("silero_vad").read_bytes(),
        shapes={"input": (1, 576), "state": (2, 1, 128)},
        values={"sr": 16000},
    )
    decoder = Subject(name="Llama-3-8B, 128 tokens", model=golden("llama_3_8b"), shapes={"input_ids": (1, 128)})
    return [*files, voice, decoder]


def ours(subject: Subject) -> int:
    """All of the work: shapes, canonical rows, counts. Returns the number of tensors, each with its shape."""
    from joulecast.canonical import canonicalise
    from joulecast.counting import count
    from joulecast.layers import Workload
    from joulecast.readers.onnx import read

    workload = Workload(input_shapes=dict(subject.shapes), input_values=dict(subject.values))
    graph = read(subject.model, workload, name=subject.name)
    count(canonicalise(graph))
    return len(graph.tensors)


def bound(subject: Subject) -> onnx.ModelProto:
    """The model with its inputs' shapes written in, as the other passes need it."""
    model = onnx.load_model_from_string(subject.model)
    del model.graph.value_info[:]
    for value in model.graph.input:
        for dimension, size in zip(value.type.tensor_type.shape.dim, subject.shapes.get(value.name, ()), strict=False):
            dimension.dim_value = size
    return model


def inferred(subject: Subject) -> float:
    """Share of nodes whose first output gets a full shape from `onnx.shape_inference`."""
    return _share(onnx.shape_inference.infer_shapes(bound(subject), data_prop=True))


def symbolic(subject: Subject) -> float:
    """The same from onnxruntime's symbolic shape inference."""
    from onnxruntime.tools.symbolic_shape_infer import SymbolicShapeInference

    return _share(SymbolicShapeInference.infer_shapes(bound(subject), auto_merge=True))


def _share(model: onnx.ModelProto) -> float:
    known = {
        value.name
        for value in (*model.graph.value_info, *model.graph.output)
        if all(dimension.HasField("dim_value") for dimension in value.type.tensor_type.shape.dim)
    }
    nodes = [node for node in model.graph.node if node.op_type != "Constant"]
    return sum(node.output[0] in known for node in nodes) / len(nodes)


def timed(run: Callable[[], object]) -> tuple[float, object]:
    """Median seconds of ``RUNS`` calls after one that warms up, and what the last gave."""
    answer = run()
    seconds = []
    for _ in range(RUNS):
        start = time.perf_counter()
        answer = run()
        seconds.append(time.perf_counter() - start)
    return median(seconds), answer


def cell(work: Callable[[Subject], float], subject: Subject, base_seconds: float) -> str:
    try:
        seconds, share = timed(lambda: work(subject))
    except Exception as error:  # whatever another tool raises is its result
        return f"fails: {type(error).__name__}"
    return f"{seconds:.3f} s ({seconds / base_seconds:.1f} ×), {share:.0%} of shapes"


def section() -> str:
    lines = [
        "| graph | nodes | joulecast: shapes, rows, counts | onnx.shape_inference | onnxruntime's symbolic inference |",
        "|---|---:|---:|---:|---:|",
    ]
    for subject in subjects():
        nodes = len(onnx.load_model_from_string(subject.model).graph.node)
        seconds, _ = timed(lambda subject=subject: ours(subject))
        others = " | ".join(cell(work, subject, seconds) for work in (inferred, symbolic))
        lines.append(f"| {subject.name} | {nodes:,} | {seconds:.3f} s | {others} |")
    return "\n".join(lines)
