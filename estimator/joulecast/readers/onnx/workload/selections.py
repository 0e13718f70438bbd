"""Operators that select by content: how much they keep is bounded by what they are given.

What a selection keeps is known only once the model runs. Behind the last product it decides no multiply-accumulate, so
the model is walked with the most that each may keep, and again with one element: what has the same shape both times
does not depend on the selection.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from joulecast.readers.onnx.attributes import plain
from joulecast.readers.onnx.workload.asked import SHAPE, Question

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from onnx import NodeProto

    from joulecast.graph import Shape
    from joulecast.readers.onnx.values import Value

    Inputs = Sequence[Value | None]
    Bound = Callable[[NodeProto, Inputs, int], Sequence[int | None] | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Selections:
    """The selections met in one walk.

    - ``most``: whether each keeps all that it may, or one element.
    - ``found``: by output name, the question that asks for its exact shape.
    """

    most: bool = True
    found: dict[str, Question] = field(default_factory=dict)

    def sized(self, node: NodeProto, inputs: Inputs, outputs: list[Value]) -> list[Value]:
        """Give a number to each dimension of the outputs that depends on content, where a bound is known."""
        rule = None if node.domain else RULES.get(node.op_type)
        if rule is None or all(_is_settled(value) for value in outputs):
            return outputs
        return [value if _is_settled(value) else self._output(node, inputs, value, rule) for value in outputs]

    def _output(self, node: NodeProto, inputs: Inputs, value: Value, rule: Bound) -> Value:
        bound = rule(node, inputs, list(node.output).index(value.name))
        shape = value.shape if value.shape is not None else (None,) * len(bound or ())
        if bound is None or len(bound) != len(shape):
            return value
        filled = [most if own is None else own for own, most in zip(shape, bound, strict=True)]
        if None in filled:
            return value
        upper = tuple(size for size in filled if size is not None)
        if (node.op_type, list(node.output).index(value.name)) in EXACT:
            return replace(value, shape=upper)
        self._note(node, value.name, upper, shape)
        sizes = zip(shape, upper, strict=True)
        kept = upper if self.most else tuple(min(most, 1) if own is None else own for own, most in sizes)
        return replace(value, shape=kept)

    def _note(self, node: NodeProto, name: str, upper: Shape, shape: Sequence[int | None]) -> None:
        form = ",".join("…" if own is None else str(own) for own in shape)
        problem = (
            f"the shape of {name!r}, output of the {node.op_type} node {node.name or name!r}, depends on data, and a"
            " product follows it"
        )
        example = ",".join(map(str, upper))
        self.found[name] = Question(problem=problem, option=SHAPE, name=name, example=example, form=form)


def _is_settled(value: Value) -> bool:
    return not value.name or value.container is not None or value.static


def _numel(inputs: Inputs, position: int = 0) -> int | None:
    value = inputs[position] if position < len(inputs) else None
    return value.numel if value is not None else None


def _shape(inputs: Inputs) -> Shape | None:
    value = inputs[0] if inputs else None
    if value is None or value.shape is None or None in value.shape:
        return None
    return tuple(size for size in value.shape if size is not None)


def _non_zero(_: NodeProto, inputs: Inputs, __: int) -> Sequence[int | None] | None:
    """Bound ``(rank, n)``: at most every element."""
    shape = _shape(inputs)
    return None if shape is None else (len(shape), _numel(inputs))


def _compress(node: NodeProto, inputs: Inputs, _: int) -> Sequence[int | None] | None:
    """Bound the kept elements by how many there are and by the length of the condition."""
    shape, asked = _shape(inputs), _numel(inputs, 1)
    if shape is None or asked is None:
        return None
    axis = plain(node).get("axis")
    if axis is None:
        return (min(_numel(inputs) or 0, asked),)
    axis %= max(len(shape), 1)
    return (*shape[:axis], min(shape[axis], asked), *shape[axis + 1 :])


def _unique(node: NodeProto, inputs: Inputs, output: int) -> Sequence[int | None] | None:
    """Bound values, first positions, inverse and counts: at most all elements are different."""
    shape, axis = _shape(inputs), plain(node).get("axis")
    if shape is None:
        return None
    count = _numel(inputs) if axis is None else shape[axis % max(len(shape), 1)]
    return shape if output == 0 and axis is not None else (count,)


def _non_max_suppression(_: NodeProto, inputs: Inputs, __: int) -> Sequence[int | None] | None:
    """Bound ``(n, 3)``: at most every box of every class and picture, or as many of a class as are requested."""
    boxes, scores = inputs[0], inputs[1] if len(inputs) > 1 else None
    if boxes is None or scores is None or not scores.static or not scores.shape or len(scores.shape) != 3:
        return None
    pictures, classes, count = (size or 0 for size in scores.shape)
    limit = inputs[2] if len(inputs) > 2 else None
    if limit is not None and limit.data is not None and limit.data.size == 1:
        count = min(count, max(int(limit.data.reshape(())), 0))
    return pictures * classes * count, 3


def _within(_: NodeProto, inputs: Inputs, __: int) -> Sequence[int | None] | None:
    """Bound the output by the input's own shape, dimension by dimension."""
    return _shape(inputs)


RULES: dict[str, Bound] = {
    "NonZero": _non_zero,
    "Compress": _compress,
    "Unique": _unique,
    "NonMaxSuppression": _non_max_suppression,
    "TopK": _within,
    "Slice": _within,
}
"""Largest shape of an output, by the operator."""

EXACT = frozenset({("Unique", 2)})
"""Outputs, by operator and position, that have this shape whatever the content: where each element's value went."""
