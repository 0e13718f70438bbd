"""What the user or the file says about values inside the graph: used only where nothing better is known."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import TensorProto, helper

from joulecast.errors import WorkloadError
from joulecast.readers.onnx.values import Value, dtype_name, from_type

if TYPE_CHECKING:
    from collections.abc import Mapping

    from onnx import GraphProto, NodeProto

    from joulecast.graph import Shape


@dataclass(frozen=True, slots=True, kw_only=True)
class Hints:
    """Shapes and contents that the workload names for values inside the graph, and the file's own (possibly stale)
    annotations."""

    shapes: Mapping[str, Shape] = field(default_factory=dict)
    contents: Mapping[str, object] = field(default_factory=dict)
    annotations: Mapping[str, Value] = field(default_factory=dict)

    def apply(self, value: Value, node: NodeProto) -> Value:
        """The value with the workload's shape or content, if it names it. Raises ``WorkloadError`` on a
        contradiction."""
        if value.name in self.shapes:
            value = replace(value, shape=_agreed(value, self.shapes[value.name], node))
        if value.name in self.contents:
            array = as_array(value.name, self.contents[value.name], value.elem)
            value = replace(value, shape=_agreed(value, tuple(array.shape), node), data=array)
        return value

    def declared(self, name: str) -> Value | None:
        """The file's annotation of that name, if it is a static shape."""
        value = self.annotations.get(name)
        return value if value is not None and value.static else None


def declared_types(graph: GraphProto) -> dict[str, Value]:
    """The annotations of a graph's inner values and outputs, by name."""
    return {info.name: from_type(info.name, info.type) for info in (*graph.value_info, *graph.output)}


def as_array(name: str, content: object, elem: int) -> np.ndarray[Any, Any]:
    """Numbers, strings or nested lists of them as an array of ONNX's element type ``elem``. Raises
    ``WorkloadError``."""
    dtype = helper.tensor_dtype_to_np_dtype(elem) if elem != TensorProto.UNDEFINED else None
    try:
        return np.asarray(content, dtype=dtype)
    except (TypeError, ValueError, OverflowError) as error:
        raise WorkloadError(f"the value given for {name!r} is not {_kind(elem)}: {error}") from error


def _kind(elem: int) -> str:
    return f"an array of {dtype_name(elem)}"


def _agreed(value: Value, shape: Shape, node: NodeProto) -> Shape:
    if value.shape is not None:
        same_rank = len(value.shape) == len(shape)
        if not same_rank or any(a is not None and a != b for a, b in zip(value.shape, shape, strict=True)):
            raise WorkloadError(
                f"{value.name!r}, output of a {node.op_type} node, has shape {list(value.shape)}, not"
                f" {list(shape)}; correct the workload"
            )
    return shape
