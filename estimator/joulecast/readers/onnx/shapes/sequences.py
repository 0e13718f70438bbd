"""Sequences and optionals: their elements' own types, which ONNX's inference merges into one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import TensorProto, TypeProto, helper

from joulecast.readers.onnx.attributes import plain
from joulecast.readers.onnx.values import Value, dtype_name, from_array

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from onnx import NodeProto

    Rule = Callable[[NodeProto, Sequence[Value | None]], list[Value] | None]


def outputs(node: NodeProto, inputs: Sequence[Value | None]) -> list[Value] | None:
    """Return the outputs of a sequence or optional operator whose elements are known, else ``None``."""
    rule = RULES.get(node.op_type) if not node.domain else None
    return rule(node, inputs) if rule is not None else None


def sequence_of(items: Sequence[Value], elem: int) -> Value:
    """Return a sequence value of known elements; ``elem`` types an empty one."""
    inner = items[0].type_proto() if items else helper.make_tensor_type_proto(elem, None)
    if len({item.type_proto().SerializeToString() for item in items}) > 1:
        inner = helper.make_tensor_type_proto(items[0].elem, None)
    return Value(name="", container=helper.make_sequence_type_proto(inner), items=tuple(items))


def _items(value: Value | None) -> tuple[Value, ...] | None:
    return value.items if value is not None else None


def _element(value: Value) -> int:
    proto = value.container or TypeProto()
    return int(proto.sequence_type.elem_type.tensor_type.elem_type)


def _construct(node: NodeProto, inputs: Sequence[Value | None]) -> list[Value] | None:
    items = [value for value in inputs if value is not None]
    return [sequence_of(items, items[0].elem)] if items else None


def _empty(node: NodeProto, inputs: Sequence[Value | None]) -> list[Value] | None:
    elem = int(plain(node).get("dtype", TensorProto.FLOAT))
    dtype_name(elem)  # refuses one that ONNX does not define
    return [sequence_of((), elem)]


def _position(inputs: Sequence[Value | None], index: int, length: int) -> int | None:
    """Return where the optional position input points, counted from the front; the end where it is absent."""
    value = inputs[index] if len(inputs) > index else None
    if value is None:
        return length
    if value.data is None or value.data.size != 1:
        return None
    position = int(value.data.reshape(()))
    return position + length if position < 0 else position


def _insert(node: NodeProto, inputs: Sequence[Value | None]) -> list[Value] | None:
    items, tensor = _items(inputs[0]), inputs[1]
    if items is None or tensor is None:
        return None
    position = _position(inputs, 2, len(items))
    if position is None:
        return None
    return [sequence_of((*items[:position], tensor, *items[position:]), tensor.elem)]


def _erase(node: NodeProto, inputs: Sequence[Value | None]) -> list[Value] | None:
    items = _items(inputs[0])
    if items is None:
        return None
    position = _position(inputs, 1, len(items) - 1 if len(inputs) < 2 else len(items))
    if position is None or inputs[0] is None:
        return None
    return [sequence_of((*items[:position], *items[position + 1 :]), _element(inputs[0]))]


def _at(node: NodeProto, inputs: Sequence[Value | None]) -> list[Value] | None:
    items = _items(inputs[0])
    if not items:
        return None
    position = _position(inputs, 1, len(items))
    if position is not None and 0 <= position < len(items):
        return [replace(items[position], name="")]
    same = {item.shape for item in items}
    return [replace(items[0], name="", data=None)] if len(same) == 1 else None


def _length(node: NodeProto, inputs: Sequence[Value | None]) -> list[Value] | None:
    items = _items(inputs[0])
    return None if items is None else [from_array("", np.array(len(items), np.int64))]


def _split(node: NodeProto, inputs: Sequence[Value | None]) -> list[Value] | None:
    tensor = inputs[0]
    if tensor is None or tensor.shape is None or not tensor.static:
        return None
    attributes = plain(node)
    axis = int(attributes.get("axis", 0)) % max(len(tensor.shape), 1)
    lengths = _pieces(tensor.shape[axis] or 0, inputs)
    if lengths is None:
        return None
    squeeze = (len(inputs) < 2 or inputs[1] is None) and not attributes.get("keepdims", 1)
    middle: list[tuple[int, ...]] = [() if squeeze else (length,) for length in lengths]
    items = [
        replace(tensor, name="", data=None, shape=(*tensor.shape[:axis], *m, *tensor.shape[axis + 1 :])) for m in middle
    ]
    return [sequence_of(items, tensor.elem)]


def _pieces(dimension: int, inputs: Sequence[Value | None]) -> list[int] | None:
    """Return lengths along the split axis: ones, a given list, or chunks of a given size with a shorter last."""
    split = inputs[1] if len(inputs) > 1 else None
    if split is None:
        return [1] * dimension if dimension <= MAX_ITEMS else None
    if split.data is None:
        return None
    if split.data.ndim == 1:
        return [int(length) for length in split.data]
    size = int(split.data)
    if size < 1 or dimension // size > MAX_ITEMS:
        return None
    return [min(size, dimension - start) for start in range(0, dimension, size)]


MAX_ITEMS = 4096
"""Longest sequence whose elements are followed one by one."""


def _concat(node: NodeProto, inputs: Sequence[Value | None]) -> list[Value] | None:
    items = _items(inputs[0])
    if not items or any(item.shape is None or not item.static for item in items):
        return None
    attributes = plain(node)
    axis, new_axis = int(attributes["axis"]), attributes.get("new_axis", 0)
    first = items[0].shape or ()
    axis %= len(first) + 1 if new_axis else max(len(first), 1)
    if new_axis:
        shape = (*first[:axis], len(items), *first[axis:])
    else:
        shape = (*first[:axis], sum((item.shape or ())[axis] or 0 for item in items), *first[axis + 1 :])
    data = _joined(items, axis, new_axis)
    return [Value(name="", elem=items[0].elem, shape=shape, data=data)]


def _joined(items: Sequence[Value], axis: int, new_axis: int) -> Any:
    if any(item.data is None for item in items):
        return None
    arrays = [item.data for item in items]
    return np.stack(arrays, axis) if new_axis else np.concatenate(arrays, axis)


def _optional(node: NodeProto, inputs: Sequence[Value | None]) -> list[Value] | None:
    if inputs and inputs[0] is not None:
        inner = inputs[0].type_proto()
        return [Value(name="", container=helper.make_optional_type_proto(inner), items=(inputs[0],))]
    for attribute in node.attribute:
        if attribute.name == "type":
            return [Value(name="", container=helper.make_optional_type_proto(attribute.tp), items=())]
    return None


def _has_element(node: NodeProto, inputs: Sequence[Value | None]) -> list[Value] | None:
    value = inputs[0] if inputs else None
    if value is None:
        return [from_array("", np.array(False))]
    if value.container is None or value.container.WhichOneof("value") != "optional_type":
        return [from_array("", np.array(True))]
    return None if value.items is None else [from_array("", np.array(bool(value.items)))]


def _get_element(node: NodeProto, inputs: Sequence[Value | None]) -> list[Value] | None:
    value = inputs[0]
    if value is None:
        return None
    if value.container is None or value.container.WhichOneof("value") != "optional_type":
        return [replace(value, name="")]
    return [replace(value.items[0], name="")] if value.items else None


RULES: dict[str, Rule] = {
    "SequenceConstruct": _construct,
    "SequenceEmpty": _empty,
    "SequenceInsert": _insert,
    "SequenceErase": _erase,
    "SequenceAt": _at,
    "SequenceLength": _length,
    "SplitToSequence": _split,
    "ConcatFromSequence": _concat,
    "Optional": _optional,
    "OptionalHasElement": _has_element,
    "OptionalGetElement": _get_element,
}
