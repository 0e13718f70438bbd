"""Reading operands and making results, for the rules of onnxruntime's operators."""

from __future__ import annotations

from typing import TYPE_CHECKING

from joulecast.readers.onnx.values import Value

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from onnx import NodeProto

    from joulecast.readers.onnx.shapes.inference import Inference

    Inputs = Sequence[Value | None]
    Rule = Callable[[NodeProto, Inputs, Inference], list[Value]]


def like(value: Value | None, elem: int | None = None) -> Value:
    if value is None:
        raise ValueError("an input is absent")
    return Value(name="", elem=value.elem if elem is None else elem, shape=value.shape)


def shape_of(inputs: Inputs, position: int) -> tuple[int, ...]:
    value = inputs[position]
    if value is None or value.shape is None or None in value.shape:
        raise ValueError(f"the shape of input {position} is unknown")
    return tuple(d for d in value.shape if d is not None)


def given(inputs: Inputs, position: int) -> bool:
    return position < len(inputs) and inputs[position] is not None


def made(inputs: Inputs, shape: tuple[int, ...], elem: int | None = None) -> Value:
    first = inputs[0]
    return Value(name="", elem=first.elem if elem is None and first is not None else elem or 0, shape=shape)
