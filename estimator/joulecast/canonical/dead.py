"""What a model computes and nobody reads."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from joulecast.graph import Node

if TYPE_CHECKING:
    from collections.abc import Iterable

    from joulecast.graph import ModelGraph

CONTROL = ("If", "Loop", "Scan", "SequenceMap")
"""Operators whose body stands in line; its values are read by what is written in their place."""


def without_dead(graph: ModelGraph) -> ModelGraph:
    """The graph without nodes of which no output reaches one of the model's: eager mode runs them (a pooler whose
    result the caller drops, the mean of attention's weights), a runtime that compiles the graph does not.

    A graph with control flow or without outputs is left as it is.
    """
    if not graph.outputs or any(node.op_type in CONTROL or node.repeats != 1 for node in graph.nodes):
        return graph
    needed, kept = set[str](), list[Node]()
    _need(graph.outputs, graph, needed)
    for node in reversed(graph.nodes):
        if node.folded or needed.intersection(node.outputs):
            _need(() if node.folded else (*node.inputs, *node.outputs), graph, needed)
            kept.append(node)
    dropped = len(graph.nodes) - len(kept)
    return replace(graph, nodes=tuple(reversed(kept)), free_nodes=graph.free_nodes + dropped) if dropped else graph


def _need(names: Iterable[str], graph: ModelGraph, needed: set[str]) -> None:
    """Add the names, and those of the values that they come after, to what is needed."""
    new = [name for name in names if name and name not in needed]
    while new:
        needed.update(new)
        found = [graph.tensors[name] for name in new if name in graph.tensors]
        new = [name for tensor in found for name in tensor.after if name not in needed]
