"""Reads an ONNX skeleton into a graph with static shapes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from joulecast.readers.onnx.reader import read

__all__ = ["read"]

if TYPE_CHECKING:
    from joulecast.graph import ModelGraph as ModelGraph
