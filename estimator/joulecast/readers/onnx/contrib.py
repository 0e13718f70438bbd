"""Shapes of onnxruntime's own operators, which the standard's inference does not know."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onnx import NodeProto

    from joulecast.readers.onnx.values import Value


def outputs(node: NodeProto, inputs: Sequence[Value | None]) -> list[Value] | None:
    """The outputs of a contrib operator, else ``None``."""
    return None
