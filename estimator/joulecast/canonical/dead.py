"""Remove what a model computes without using the result."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from joulecast.canonical.conservation import require_results
from joulecast.graph import Node

if TYPE_CHECKING:
    from joulecast.graph import ModelGraph


def without_dead(graph: ModelGraph) -> ModelGraph:
    """Remove the nodes whose results reach no output of the model.

    Eager mode runs such nodes (a pooler whose result the caller drops, the mean of attention's weights); a runtime that
    compiles the graph does not.

    The body of a loop stands in line, and the loop's own node reads all that any pass of it hands out, so that the
    states of a loop that is needed are needed, too. A graph without outputs is left as it is.
    """
    if not graph.outputs:
        return graph
    needed, kept = graph.reached((*graph.outputs, *graph.steering)), list[Node]()
    for node in reversed(graph.nodes):
        if node.folded or needed.intersection(node.outputs):
            needed |= graph.reached(() if node.folded else (*node.inputs, *node.outputs))
            kept.append(node)
    dropped = len(graph.nodes) - len(kept)
    if not dropped:
        return graph
    found = replace(graph, nodes=tuple(reversed(kept)), free_nodes=graph.free_nodes + dropped)
    require_results(graph, found, "the removal of unread results")
    return found
