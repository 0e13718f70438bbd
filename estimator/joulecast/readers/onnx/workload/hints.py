"""What the user or the file states about values inside the graph, used only where nothing better is known."""

from __future__ import annotations

import math
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import TensorProto, helper

from joulecast.errors import WorkloadError
from joulecast.readers.onnx.values import SMALL_NUMEL, Value, dtype_name, from_type
from joulecast.readers.onnx.workload.asked import Asked
from joulecast.readers.onnx.workload.dimensions import dimensions
from joulecast.readers.onnx.workload.selections import Selections

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from onnx import GraphProto, NodeProto, ValueInfoProto

    from joulecast.graph import Shape
    from joulecast.readers.onnx.workload.binding import Binding


@dataclass(frozen=True, slots=True, kw_only=True)
class Hints:
    """Shapes and contents of values inside the graph, from the workload and the file's (possibly stale) annotations.

    - ``asked``: what the workload should say and does not.
    - ``selections``: what depends on content, within bounds.
    - ``steering``: values that decided a branch; the model computes them whatever the workload says.
    """

    shapes: Mapping[str, Shape] = field(default_factory=dict)
    contents: Mapping[str, object] = field(default_factory=dict)
    annotations: Mapping[str, Value] = field(default_factory=dict)
    asked: Asked = field(default_factory=Asked)
    selections: Selections = field(default_factory=Selections)
    steering: set[str] = field(default_factory=set)

    def apply(self, value: Value, node: NodeProto) -> Value:
        """Give the value the workload's shape or content, if the workload names it.

        Raises ``WorkloadError`` on a contradiction.
        """
        if value.name in self.shapes:
            value = replace(value, shape=_agreed(value, self.shapes[value.name], node.op_type))
        if value.name in self.contents:
            array = _filled(value, as_array(value.name, self.contents[value.name], value.elem))
            value = replace(value, shape=_agreed(value, tuple(array.shape), node.op_type), data=array)
        return value

    def stored(self, value: Value) -> Value:
        """Give a stored tensor whose content was not read the workload's content.

        Raises ``WorkloadError`` where the shapes differ.
        """
        if value.name not in self.contents:
            return value
        array = _filled(value, as_array(value.name, self.contents[value.name], value.elem))
        return replace(value, shape=_agreed(value, tuple(array.shape), "stored"), data=array)

    @contextmanager
    def trial(self) -> Iterator[Callable[[], bool]]:
        """Try a walk: what it asks is forgotten, and the function given says whether it asked anything."""
        before = len(self.asked.found), len(self.selections.found)
        asks = lambda: (len(self.asked.found), len(self.selections.found)) != before  # noqa: E731 - what is yielded
        try:
            yield asks
        finally:
            for found, count in zip((self.asked.found, self.selections.found), before, strict=True):
                for name in list(found)[count:]:
                    del found[name]

    def declared(self, name: str) -> Value | None:
        """Return the file's annotation of that name, if it is a static shape."""
        value = self.annotations.get(name)
        return value if value is not None and value.static else None


def declared_types(graph: GraphProto, binding: Binding) -> dict[str, Value]:
    """Return annotations of inner values and outputs by name, with the numbers of their symbols."""
    return {info.name: _annotation(info, binding) for info in (*graph.value_info, *graph.output)}


def _annotation(info: ValueInfoProto, binding: Binding) -> Value:
    value = from_type(info.name, info.type)
    declared = dimensions(info.type)
    if declared is None or value.container is not None:
        return value
    return replace(value, shape=tuple(binding.symbol(d) if isinstance(d, str) else d for d in declared))


def as_array(name: str, content: object, elem: int) -> np.ndarray[Any, Any]:
    """Return numbers, strings or nested lists as an array of ONNX's type ``elem``. Raises ``WorkloadError``."""
    dtype = helper.tensor_dtype_to_np_dtype(elem) if elem != TensorProto.UNDEFINED else None
    try:
        return np.asarray(content, dtype=dtype)
    except (TypeError, ValueError, OverflowError) as error:
        raise WorkloadError(f"the value given for {name!r} is not {_kind(elem)}: {error}") from error


def _filled(value: Value, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return the array; a single number fills a value of any shape, as it fills an input's."""
    if array.ndim or not value.shape:
        return array
    shape = tuple(1 if size is None else size for size in value.shape)
    return np.broadcast_to(array, shape) if math.prod(shape) <= SMALL_NUMEL else array


def _kind(elem: int) -> str:
    return f"an array of {dtype_name(elem)}"


def _agreed(value: Value, shape: Shape, maker: str) -> Shape:
    if value.shape is not None:
        same_rank = len(value.shape) == len(shape)
        if not same_rank or any(a is not None and a != b for a, b in zip(value.shape, shape, strict=True)):
            raise WorkloadError(
                f"{value.name!r} ({maker}) has shape {list(value.shape)}, not {list(shape)}; correct the workload"
            )
    return shape
