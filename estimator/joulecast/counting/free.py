"""Operators that run no kernel: they rename a tensor or make a view of its memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from joulecast.counting.registry import Cost, rule

if TYPE_CHECKING:
    from joulecast.graph import ModelGraph, Node

NOTHING = Cost(kind="free", eager_kernels=0, onnxruntime_kernels=0)

VIEW = Cost(kind="free", eager_kernels=0, onnxruntime_kernels=0, views=1)

EAGER_VIEW = Cost(kind="free", eager_kernels=0, onnxruntime_kernels=1, views=1)
"""A view in torch, which has strides; a copy in onnxruntime, which has none."""


@rule("free", "Reshape", "Squeeze", "Unsqueeze", "Flatten")
def _view(node: Node, graph: ModelGraph) -> Cost:
    return VIEW


@rule("free", "Identity")
def _identity(node: Node, graph: ModelGraph) -> Cost:
    """Count nothing, except where a canonical graph says that eager execution copies here."""
    return Cost(kind="zero") if node.attributes.get("copies") else VIEW


@rule("free", "Transpose", "Slice", "Split", "Expand")
def _eager_view(node: Node, graph: ModelGraph) -> Cost:
    return EAGER_VIEW


@rule("free", "Dropout")
def _dropout(node: Node, graph: ModelGraph) -> Cost:
    """Count nothing, because dropout is the identity at inference."""
    return VIEW


@rule("free", *"Constant If Loop Scan Shape Size Optional OptionalGetElement OptionalHasElement".split())
def _nothing(node: Node, graph: ModelGraph) -> Cost:
    """Count nothing for control flow itself; the nodes of its body are rows of their own."""
    return NOTHING


@rule(
    "free",
    *"SequenceMap SequenceAt SequenceConstruct SequenceEmpty SequenceErase SequenceInsert SequenceLength".split(),
)
def _sequence(node: Node, graph: ModelGraph) -> Cost:
    """Count nothing, because sequences hold references to tensors."""
    return NOTHING
