"""Find what in a graph depends on how much its selections keep."""

from __future__ import annotations

from typing import TYPE_CHECKING

from joulecast.counting.rows import cost

if TYPE_CHECKING:
    from joulecast.graph import ModelGraph, Node


def differing(most: ModelGraph, least: ModelGraph) -> frozenset[str] | None:
    """Return the names of values whose size differs between two readings of one model.

    The result is ``None`` where a product's size does, or where the readings run different nodes.
    """
    if [_identity(node) for node in most.nodes] != [_identity(node) for node in least.nodes]:
        return None
    uncertain = {name for name in most.tensors if most.shape(name) != least.shape(name)}
    for node, other in zip(most.nodes, least.nodes, strict=True):
        differs = (node.repeats, node.folded) != (other.repeats, other.folded)
        touches = not uncertain.isdisjoint((*node.inputs, *node.outputs))
        if (differs or touches) and _products(node, most) != _products(other, least):
            return None
        uncertain.update(name for name in node.outputs if name and differs)
    return frozenset(uncertain)


def _identity(node: Node) -> tuple[str, str, tuple[str, ...], tuple[str, ...]]:
    return node.domain, node.op_type, node.inputs, node.outputs


def _products(node: Node, graph: ModelGraph) -> int:
    """Return the multiply-accumulates of all runs."""
    return sum(contraction.macs for contraction in cost(node, graph).contractions) * node.repeats
