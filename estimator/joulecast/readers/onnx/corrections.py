"""Where the pinned onnx infers a wrong shape, or none."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onnx import NodeProto

    from joulecast.readers.onnx.values import Value


def before(node: NodeProto, inputs: Sequence[Value | None]) -> list[Value] | None:
    """The outputs of an operator that the library mistakes, else ``None``."""
    return None


def after(node: NodeProto, inputs: Sequence[Value | None], outputs: list[Value]) -> list[Value]:
    """What the library inferred, completed where it gives up too early."""
    return outputs
