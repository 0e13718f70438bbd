"""Real model files, against what onnxruntime executes."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from joulecast.counting import count, coverage, totals
from joulecast.graph import ModelGraph
from joulecast.layers import Workload
from joulecast.readers.onnx import read
from tests import wheels
from tests.unit.readers.small_models import recorded_shapes


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file, the shapes it is fed, and the MACs and activations that onnxruntime executed."""

    path: Callable[[], Path]
    shapes: dict[str, tuple[int, ...]]
    macs: int
    activations: int
    values: dict[str, Any] = field(default_factory=dict)

    def workload(self) -> Workload:
        return Workload(input_shapes=self.shapes, input_values=self.values)

    def feeds(self) -> dict[str, Any]:
        return {name: np.zeros(shape, np.float32) for name, shape in self.shapes.items()} | {
            name: np.array(value) for name, value in self.values.items()
        }


FILES = {
    "detector": File(
        path=lambda: wheels.ocr("det"), shapes={"x": (1, 3, 736, 736)}, macs=3_044_273_984, activations=33_692_272
    ),
    "recogniser": File(
        path=lambda: wheels.ocr("rec"), shapes={"x": (6, 3, 48, 320)}, macs=4_214_816_640, activations=34_989_960
    ),
    "classifier": File(
        path=lambda: wheels.ocr("cls"), shapes={"x": (6, 3, 48, 192)}, macs=97_892_256, activations=3_641_784
    ),
    "voice": File(
        path=lambda: wheels.silero("silero_vad"),
        shapes={"input": (1, 576), "state": (2, 1, 128)},
        values={"sr": 16000},
        macs=679_552,
        activations=1_993,
    ),
    "voice sequence": File(
        path=lambda: wheels.silero("silero_vad_16k_sequence"),
        shapes={"input": (100, 576), "h": (1, 1, 128), "c": (1, 1, 128)},
        macs=74_560_000,
        activations=225_100,
    ),
}

INVISIBLE = {"If", "Loop", "Scan", "Constant", "Identity"}
"""What onnxruntime records of a graph's structure, or drops while it loads."""


@functools.cache
def skeleton(name: str) -> bytes:
    return onnx.load(FILES[name].path(), load_external_data=False).SerializeToString()


@functools.cache
def graph(name: str) -> ModelGraph:
    return read(skeleton(name), FILES[name].workload(), name=name)


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_macs_and_activations_are_those_executed(name: str) -> None:
    found = totals(count(graph(name)))
    assert (found.macs, found.activations) == (FILES[name].macs, FILES[name].activations)


@pytest.mark.parametrize("name", FILES)
def test_every_operator_has_a_rule(name: str) -> None:
    assert coverage(count(graph(name))).unsupported == ()


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_every_executed_node_has_the_shapes_that_onnxruntime_recorded(name: str) -> None:
    recorded = recorded_shapes(FILES[name].path(), FILES[name].feeds())
    executed = Counter(
        (operator, tuple(shapes))
        for runs in recorded.values()
        for operator, shapes in runs
        if operator not in INVISIBLE
    )
    walked: Counter[Any] = Counter()
    for node in graph(name).nodes:
        if node.op_type not in INVISIBLE:
            shapes = tuple(graph(name).shape(output) for output in node.outputs if output)
            walked[node.op_type, shapes] += node.repeats
    assert walked == executed


def test_the_detectors_constants_are_free() -> None:
    rows = count(graph("detector"))
    assert graph("detector").free_nodes == 342
    assert len(rows) + graph("detector").free_nodes == 672


@pytest.mark.parametrize("name", FILES)
def test_absent_payloads_change_nothing(name: str) -> None:
    model = onnx.ModelProto.FromString(skeleton(name))
    assert without_payloads(model) > 0
    stripped = read(model.SerializeToString(), FILES[name].workload(), name=name)
    assert totals(count(stripped)) == totals(count(graph(name)))


def without_payloads(model: onnx.ModelProto) -> int:
    """Drops every tensor payload over 4 KiB, nested graphs included; gives how many."""
    dropped = 0
    for tensor in tensors(model.graph):
        if len(tensor.SerializeToString()) > 4096:
            for payload in ("raw_data", "float_data", "int32_data", "int64_data", "double_data", "uint64_data"):
                tensor.ClearField(payload)
            tensor.data_location = onnx.TensorProto.EXTERNAL
            dropped += 1
    return dropped


def tensors(graph: onnx.GraphProto) -> list[onnx.TensorProto]:
    found = list(graph.initializer)
    for node in graph.node:
        for attribute in node.attribute:
            found += [attribute.t] if attribute.HasField("t") else []
            found += tensors(attribute.g) if attribute.HasField("g") else []
    return found


@pytest.mark.parametrize("rate", [8000, 16000])
def test_the_input_value_chooses_the_branch(rate: int) -> None:
    samples = {8000: 288, 16000: 576}[rate]
    workload = Workload(input_shapes={"input": (1, samples), "state": (2, 1, 128)}, input_values={"sr": rate})
    macs = totals(count(read(skeleton("voice"), workload, name="voice"))).macs
    assert (macs == FILES["voice"].macs) == (rate == 16000)
    assert macs > 0
