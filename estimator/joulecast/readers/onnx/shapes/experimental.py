"""Operators of ONNX's first versions that later ones dropped; onnxruntime runs them, and old converters wrote them.

ONNX 1.4 removed the experimental operators of the default domain; their descriptions are in ``docs/Operators.md`` of
ONNX 1.3.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from joulecast.readers.onnx.attributes import plain
from joulecast.readers.onnx.shapes.inference import ShapeConflictError
from joulecast.readers.onnx.shapes.operands import like, made
from joulecast.readers.onnx.values import Value, static_shape

if TYPE_CHECKING:
    from onnx import NodeProto

    from joulecast.readers.onnx.shapes.inference import Inference
    from joulecast.readers.onnx.shapes.operands import Inputs

SAME_AS_FIRST = frozenset("Affine ImageScaler ParametricSoftplus ScaledTanh".split())
"""Elementwise, with numbers in attributes."""


def outputs(node: NodeProto, inputs: Inputs, inference: Inference) -> list[Value] | None:
    """Return the outputs of a dropped operator, ``None`` for any other or where unknown.

    Raises ``ShapeConflictError``.
    """
    if node.domain or not inputs or inputs[0] is None:
        return None
    if node.op_type in SAME_AS_FIRST:
        return [like(inputs[0])]
    if node.op_type == "Crop":
        return _crop(node, inputs)
    return inference.standard("Slice", inputs, {}) if node.op_type == "DynamicSlice" else None


def _crop(node: NodeProto, inputs: Inputs) -> list[Value] | None:
    """Infer pictures ``(batch, channels, height, width)`` without a border, or of a given size from a corner on."""
    first = inputs[0]
    shape = static_shape(first) if first is not None else None
    attributes = plain(node)
    left, top, right, bottom = attributes.get("border", (0, 0, 0, 0))
    if first is None or shape is None or len(shape) != 4:
        return None
    height, width = attributes.get("scale", (shape[2] - top - bottom, shape[3] - left - right))
    if height < 0 or width < 0:
        raise ShapeConflictError(f"a border of {[left, top, right, bottom]} leaves nothing of {list(shape)}")
    return [replace(made(inputs, (*shape[:2], int(height), int(width))), name="")]
