"""Convolutions as the implicit matrix products that they are."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from joulecast.counting.contraction import has, shape_of
from joulecast.counting.registry import Cost, rule
from joulecast.layers import Contraction

if TYPE_CHECKING:
    from joulecast.graph import ModelGraph, Node, Shape


def convolution(output: Shape, weight: Shape, groups: int) -> Contraction:
    """Return one product a group with one row an output position.

    Output ``(batch, c_out, *spatial)``, weight ``(c_out, c_in / groups, *kernel)``.
    """
    rows = output[0] * math.prod(output[2:])
    return Contraction(batch=groups, m=rows, n=weight[0] // max(groups, 1), k=math.prod(weight[1:]))


def transposed(data: Shape, weight: Shape, groups: int) -> Contraction:
    """Return the products of a transposed convolution, which spreads every input position over the kernel.

    Input ``(batch, c_in, *spatial)``, weight ``(c_in, c_out / groups, *kernel)``.
    """
    rows = data[0] * math.prod(data[2:])
    return Contraction(batch=groups, m=rows, n=math.prod(weight[1:]), k=weight[0] // max(groups, 1))


def convolved(node: Node, graph: ModelGraph, weight: int) -> tuple[Contraction, ...]:
    """Return the product of a convolution whose kernel is the input at position ``weight``."""
    output = graph.tensors[node.outputs[0]].shape or ()
    return (convolution(output, shape_of(node, graph, weight), int(node.attributes.get("group", 1))),)


@rule("counted", "Conv")
def _conv(node: Node, graph: ModelGraph) -> Cost:
    """Count a convolution.

    cuDNN convolves without bias: torch adds it with a kernel of its own, and onnxruntime fuses it.
    """
    return Cost(kind="counted", contractions=convolved(node, graph, 1), eager_kernels=2 if has(node, 2) else 1)


@rule("counted", "ConvInteger", "DeformConv")
def _plain(node: Node, graph: ModelGraph) -> Cost:
    return Cost(kind="counted", contractions=convolved(node, graph, 1))


@rule("counted", "ConvTranspose")
def _transposed(node: Node, graph: ModelGraph) -> Cost:
    groups = int(node.attributes.get("group", 1))
    product = transposed(shape_of(node, graph, 0), shape_of(node, graph, 1), groups)
    return Cost(kind="counted", contractions=(product,), eager_kernels=2 if has(node, 2) else 1)


@rule("counted", "CausalConvWithState")
def _causal(node: Node, graph: ModelGraph) -> Cost:
    """Count a depthwise convolution over time: weight ``(channels, 1, kernel)``, each channel a group."""
    weight = shape_of(node, graph, 1)
    output = graph.tensors[node.outputs[0]].shape or ()
    return Cost(kind="counted", contractions=(convolution(output, weight, weight[0]),))
