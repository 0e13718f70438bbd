"""Quantised products of the standard."""

from __future__ import annotations

from typing import TYPE_CHECKING

from joulecast.counting.contraction import matmul, shape_of
from joulecast.counting.convolution import convolved
from joulecast.counting.registry import Cost, rule

if TYPE_CHECKING:
    from joulecast.graph import ModelGraph, Node


@rule("counted", "QLinearMatMul")
def _matmul(node: Node, graph: ModelGraph) -> Cost:
    return Cost(kind="counted", contractions=(matmul(shape_of(node, graph, 0), shape_of(node, graph, 3)),))


@rule("counted", "QLinearConv")
def _conv(node: Node, graph: ModelGraph) -> Cost:
    return Cost(kind="counted", contractions=convolved(node, graph, 3))
