"""Shapes that contradict each other in ways that ONNX's own inference accepts, and that no runtime executes.

Each check names both sides. What ``onnx.shape_inference`` refuses by itself (operands of a product, broadcasting, sums
of splits) is not checked again.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from joulecast.readers.onnx.attributes import plain
from joulecast.readers.onnx.shapes.inference import ShapeConflictError
from joulecast.readers.onnx.values import static_shape

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from onnx import NodeProto

    from joulecast.graph import Shape
    from joulecast.readers.onnx.values import Value

    Inputs = Sequence[Value | None]
    Check = Callable[["CheckedNode"], None]


class CheckedNode:
    """One node with its static shapes: ``shape(position)`` of an input, ``None`` where it is absent or open."""

    def __init__(self, node: NodeProto, inputs: Inputs, outputs: Sequence[Value]) -> None:
        self.op_type = node.op_type
        self.inputs, self.outputs = inputs, outputs
        self.attributes: Mapping[str, Any] = plain(node)

    def value(self, position: int) -> Value | None:
        return self.inputs[position] if position < len(self.inputs) else None

    def shape(self, position: int) -> Shape | None:
        value = self.value(position)
        return None if value is None or value.container is not None else static_shape(value)

    def told(self, position: int) -> str:
        """Describe an operand: ``'w' [8,3,3,3]``."""
        value = self.value(position)
        name = "" if value is None else value.name
        return f"{name!r} [{','.join(map(str, self.shape(position) or ()))}]"


def check(node: NodeProto, inputs: Inputs, outputs: Sequence[Value]) -> None:
    """Raise ``ShapeConflictError`` where two sides of the node cannot go together."""
    rule = CHECKS.get((node.domain, node.op_type))
    if rule is not None:
        rule(CheckedNode(node, inputs, outputs))


def _equal(one: int, what: str, other: int, against: str) -> None:
    if one != other:
        raise ShapeConflictError(f"{what} has {one}, {against} {other}")


def _reshape(call: CheckedNode) -> None:
    given, target = call.shape(0), static_shape(call.outputs[0])
    if given is not None and target is not None and math.prod(given) != math.prod(target):
        raise ShapeConflictError(
            f"{call.told(0)} has {math.prod(given)} elements, its target shape [{','.join(map(str, target))}]"
            f" {math.prod(target)}: the file may hold the batch that it was exported with"
        )


def _convolution(kernel: int) -> Check:
    def rule(call: CheckedNode) -> None:
        picture, weight = call.shape(0), call.shape(kernel)
        if picture is None or weight is None or len(picture) < 3 or len(picture) != len(weight):
            return
        if call.attributes.get("channels_last"):
            return
        is_transposed = call.op_type == "ConvTranspose"
        group = int(call.attributes.get("group", 1))
        taken = weight[0] if is_transposed else weight[1] * group
        _equal(picture[1], f"{call.told(0)} in its channels", taken, f"and the kernel {call.told(kernel)} takes")
        made = weight[1] * group if is_transposed else weight[0]
        bias = call.shape(kernel + 1) if kernel == 1 and call.op_type in BIASED else None
        if bias is not None:
            _equal(math.prod(bias), f"the bias {call.told(kernel + 1)}", made, "and the outputs are")
        _window(call)

    return rule


BIASED = ("Conv", "ConvTranspose", "FusedConv")


def _window(call: CheckedNode) -> None:
    """Check that the padded input is at least as large as the kernel."""
    picture, made = call.shape(0), call.outputs[0].shape if call.outputs else None
    if picture is None or made is None or 0 in picture or len(made) != len(picture):
        return
    if any(size is None or size < 1 for size in made[2:]):
        kernel = call.attributes.get("kernel_shape") or (call.shape(1) or ())[2:]
        raise ShapeConflictError(
            f"the picture {call.told(0)} is smaller than its kernel [{','.join(map(str, kernel))}] with its padding and"
            " dilation"
        )


GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


def _recurrent(call: CheckedNode) -> None:
    sequence, weight, recurrence = (call.shape(position) for position in range(3))
    if sequence is None or weight is None or len(sequence) != 3 or len(weight) != 3:
        return
    _equal(sequence[2], f"{call.told(0)} in its features", weight[2], f"and the weights {call.told(1)} take")
    if recurrence is None or len(recurrence) != 3:
        return
    hidden = int(call.attributes.get("hidden_size", recurrence[2]))
    for size, what in (
        (weight[1], f"{call.told(1)} in its rows"),
        (recurrence[1], f"{call.told(2)} in its rows"),
    ):
        _equal(size, what, GATES[call.op_type] * hidden, f"and a hidden size of {hidden} needs")
    _equal(recurrence[2], f"{call.told(2)} in its columns", hidden, "and the hidden size is")


def _positions(call: CheckedNode) -> None:
    """Check that known positions lie inside the table."""
    table, positions = call.shape(0), call.value(1)
    if not table or positions is None or positions.data is None or not positions.data.size:
        return
    axis = int(call.attributes.get("axis", 0))
    if -len(table) <= axis < len(table):
        _inside(call, positions.data, table[axis])


def _inside(call: CheckedNode, positions: Any, size: int) -> None:
    lowest, highest = int(np.min(positions)), int(np.max(positions))
    if highest >= size or lowest < -size:
        outside = highest if highest >= size else lowest
        raise ShapeConflictError(f"position {outside} of {call.told(1)} lies outside the {size} rows of {call.told(0)}")


def _coordinates(call: CheckedNode) -> None:
    table, positions = call.shape(0), call.value(1)
    if not table or positions is None or positions.data is None or not positions.data.size or not positions.data.ndim:
        return
    first = int(call.attributes.get("batch_dims", 0))
    for offset, size in enumerate(table[first : first + positions.data.shape[-1]]):
        _inside(call, positions.data[..., offset], size)


def _broadcast(*positions: int) -> Check:
    """Return the check that operands broadcast to the first input, which keeps its shape."""

    def rule(call: CheckedNode) -> None:
        onto = call.shape(0)
        for position in positions:
            shape = call.shape(position)
            if onto is not None and shape is not None and not _fits(shape, onto):
                raise ShapeConflictError(f"{call.told(position)} does not fit {call.told(0)}")

    return rule


def _fits(shape: Shape, onto: Shape) -> bool:
    if len(shape) > len(onto):
        return math.prod(shape[: len(shape) - len(onto)]) == 1 and _fits(shape[len(shape) - len(onto) :], onto)
    return all(size in (1, wide) for size, wide in zip(reversed(shape), reversed(onto), strict=False))


def _per_channel(call: CheckedNode) -> None:
    """Scale and bias of a normalisation hold a number a channel, or a group where the operator's version says so."""
    picture = call.shape(0)
    if picture is None or len(picture) < 2:
        return
    allowed = {picture[1], int(call.attributes.get("num_groups", picture[1]))}
    for position in (1, 2):
        shape = call.shape(position)
        if shape is not None and math.prod(shape) not in allowed:
            _equal(math.prod(shape), call.told(position), picture[1], f"and {call.told(0)} has channels:")


def _gemm(call: CheckedNode) -> None:
    made, bias = static_shape(call.outputs[0]), call.shape(2)
    if made is not None and bias is not None and not _fits(bias, made):
        raise ShapeConflictError(f"the bias {call.told(2)} does not fit the product [{','.join(map(str, made))}]")


def _einsum(call: CheckedNode) -> None:
    """Check that each letter has the same size everywhere."""
    terms = str(call.attributes.get("equation", "")).replace(" ", "").partition("->")[0].split(",")
    sizes: dict[str, tuple[int, int]] = {}
    for position, term in enumerate(terms):
        shape = call.shape(position)
        if shape is None or "." in term or len(term) != len(shape):
            continue
        for letter, size in zip(term, shape, strict=True):
            known, where = sizes.setdefault(letter, (size, position))
            if 1 not in (known, size):
                _equal(known, f"{letter!r} of {call.told(where)}", size, f"and of {call.told(position)}")


def _top_k(call: CheckedNode) -> None:
    data, made = call.shape(0), static_shape(call.outputs[0]) if call.outputs else None
    if not data or not made or len(data) != len(made):
        return
    axis = int(call.attributes.get("axis", -1))
    if -len(data) <= axis < len(data) and made[axis] > data[axis]:
        raise ShapeConflictError(
            f"{call.told(0)} has {data[axis]} elements along the axis, and the largest {made[axis]} are requested"
        )


def _depth_to_space(call: CheckedNode) -> None:
    shape, block = call.shape(0), int(call.attributes.get("blocksize", 1))
    if shape is not None and len(shape) == 4 and shape[1] % block**2:
        raise ShapeConflictError(f"the channels of {call.told(0)} are not a multiple of its block of {block} × {block}")


def _space_to_depth(call: CheckedNode) -> None:
    shape, block = call.shape(0), int(call.attributes.get("blocksize", 1))
    if shape is not None and len(shape) == 4 and (shape[2] % block or shape[3] % block):
        raise ShapeConflictError(f"the picture {call.told(0)} is not a multiple of its block of {block} × {block}")


def _attention(call: CheckedNode) -> None:
    query, key, value = (call.shape(position) for position in range(3))
    if query is None or key is None or not len(query) == len(key) == 4:
        return
    _equal(query[3], f"{call.told(0)} in its head", key[3], f"and {call.told(1)}")
    if value is not None and len(value) == 4:
        _equal(key[2], f"{call.told(1)} in its length", value[2], f"and {call.told(2)}")


def _last_dimension(*positions: int) -> Check:
    """Return the check that vectors are as long as the first input's last dimension."""

    def rule(call: CheckedNode) -> None:
        data = call.shape(0)
        for position in positions:
            shape = call.shape(position)
            if data and shape is not None and len(shape) == 1:
                _equal(shape[0], call.told(position), data[-1], f"and {call.told(0)} has features:")

    return rule


def _blocked_product(call: CheckedNode) -> None:
    data, depth = call.shape(0), call.attributes.get("K")
    if data and depth is not None:
        _equal(data[-1], f"{call.told(0)} in its features", int(depth), "and the packed weights take")


MICROSOFT = "com.microsoft"

CHECKS: dict[tuple[str, str], Check] = {
    ("", "Reshape"): _reshape,
    **dict.fromkeys((("", name) for name in ("Conv", "ConvTranspose", "ConvInteger", "DeformConv")), _convolution(1)),
    ("", "QLinearConv"): _convolution(3),
    (MICROSOFT, "FusedConv"): _convolution(1),
    (MICROSOFT, "QLinearConv"): _convolution(3),
    **dict.fromkeys((("", name) for name in ("MaxPool", "AveragePool", "LpPool")), _window),
    **dict.fromkeys((("", name) for name in GATES), _recurrent),
    **dict.fromkeys((("", name) for name in ("Gather", "GatherElements")), _positions),
    ("", "GatherND"): _coordinates,
    ("", "LayerNormalization"): _broadcast(1, 2),
    ("", "RMSNormalization"): _broadcast(1),
    ("", "SimplifiedLayerNormalization"): _broadcast(1),
    ("", "PRelu"): _broadcast(1),
    **dict.fromkeys((("", name) for name in ("InstanceNormalization", "GroupNormalization")), _per_channel),
    ("", "Gemm"): _gemm,
    ("", "Einsum"): _einsum,
    ("", "TopK"): _top_k,
    ("", "DepthToSpace"): _depth_to_space,
    ("", "SpaceToDepth"): _space_to_depth,
    ("", "Attention"): _attention,
    (MICROSOFT, "SkipLayerNormalization"): _last_dimension(2, 3, 4),
    (MICROSOFT, "SkipSimplifiedLayerNormalization"): _last_dimension(2, 3),
    **dict.fromkeys(((MICROSOFT, name) for name in ("BiasGelu", "FastGelu", "BiasAdd")), _last_dimension(1)),
    **dict.fromkeys(((MICROSOFT, name) for name in ("MatMulNBits", "MatMulBnb4")), _blocked_product),
}
"""By domain and operator."""
