"""The node tests of the pinned onnx: a model of one operator each, with inputs and recorded outputs."""

from __future__ import annotations

import functools
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx.backend.test import loader

from joulecast.layers import Workload

STEERING_NUMEL = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeTest:
    """``inputs``: arrays, lists of arrays (sequences) or ``None`` by name; ``outputs`` in the graph's order."""

    name: str
    model: onnx.ModelProto
    inputs: dict[str, Any]
    outputs: list[Any]

    def skeleton(self) -> bytes:
        return self.model.SerializeToString()

    def workload(self, *, all_values: bool) -> Workload:
        """Every shape, and the content of every input, or only of those small and one-dimensional integers, booleans
        and scales."""
        shapes = {name: tuple(v.shape) for name, v in self.inputs.items() if isinstance(v, np.ndarray)}
        values = {name: v for name, v in self.inputs.items() if v is not None and (all_values or steers(v))}
        return Workload(input_shapes=shapes, input_values=values)


def steers(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.ndim == 1 and value.size <= STEERING_NUMEL


@functools.cache
def node_tests() -> tuple[NodeTest, ...]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cases = loader.load_model_tests(kind="node")
    return tuple(_node_test(case) for case in cases)


def _node_test(case: Any) -> NodeTest:
    given, expected = case.data_sets[0]
    names = [info.name for info in case.model.graph.input]
    return NodeTest(
        name=case.name,
        model=case.model,
        inputs={name: _array(value) for name, value in zip(names, given, strict=False)},
        outputs=[_array(value) for value in expected],
    )


def _array(value: Any) -> Any:
    if isinstance(value, onnx.TensorProto):
        return onnx.numpy_helper.to_array(value)
    if isinstance(value, onnx.SequenceProto):
        return onnx.numpy_helper.to_list(value)
    if isinstance(value, onnx.OptionalProto):
        return onnx.numpy_helper.to_optional(value)
    if value is None or isinstance(value, list):
        return value if value is None else [_array(item) for item in value]
    return value if isinstance(value, dict) else np.asarray(value)
