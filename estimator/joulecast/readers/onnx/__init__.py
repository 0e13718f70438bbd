"""Read an ONNX skeleton into a graph with static shapes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from joulecast.readers.onnx.reader import batch_size, read

__all__ = ["batch_size", "read"]

if TYPE_CHECKING:
    from joulecast.graph import ModelGraph as ModelGraph
