"""What a pass over a graph must keep: multiply-accumulates, parameters, operators without a rule, and every result.

A violation is a defect of joulecast and raises an error, because a wrong number would look like a right one. Only
nodes that differ between the two graphs are counted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from joulecast.counting.rows import macs, parameter_names, unsupported
from joulecast.errors import InternalInconsistencyError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from joulecast.canonical.draft import Change
    from joulecast.graph import ModelGraph, Node

REPORT = "this is a defect of joulecast, not of the model: please report it with the graph (no weights are needed)"


def require_same(before: ModelGraph, after: ModelGraph, changes: Sequence[Change]) -> None:
    """Raise InternalInconsistencyError unless both graphs have the same multiply-accumulates, parameters and operators
    without a rule. ``changes``: what led from one to the other; the message names the first that does not keep them.
    """
    gone, new = _differing(before, after), _differing(after, before)
    lost = _lost(gone, before, new, after)
    if not lost:
        return
    whole = _with_tensors_of(before, after, changes)
    for change in changes:
        own = _lost(change.old, whole, change.new, whole)
        if own:
            raise InternalInconsistencyError(
                f"canonicalisation by {change.pattern} at the node {change.old[0].name!r} changed {own}; {REPORT}"
            )
    names = ", ".join(repr(node.name) for node in gone[:3])
    raise InternalInconsistencyError(f"canonicalisation changed {lost} at the nodes {names or '(none)'}; {REPORT}")


def require_results(before: ModelGraph, after: ModelGraph, pass_name: str) -> None:
    """Raise InternalInconsistencyError where something needs a value whose producer only ``before`` has."""
    made = {name for node in after.nodes for name in node.outputs}
    gone = {name: node for node in before.nodes for name in node.outputs if name and name not in made}
    if not gone:
        return
    needed = (name for node in after.nodes if not node.folded for name in node.inputs)
    for name in after.reached((*needed, *after.outputs, *after.steering)):
        if name in gone:
            raise InternalInconsistencyError(
                f"{pass_name} removed the node {gone[name].name!r}, whose value {name!r} is still needed; {REPORT}"
            )


def _differing(graph: ModelGraph, other: ModelGraph) -> list[Node]:
    """List the nodes that the other graph lacks or has with values of another type."""
    same = {id(node) for node in other.nodes}
    retyped = {name for name, tensor in graph.tensors.items() if other.tensors.get(name, tensor) is not tensor}
    return [node for node in graph.nodes if id(node) not in same or (retyped and _touches(node, retyped))]


def _touches(node: Node, names: set[str]) -> bool:
    return not names.isdisjoint(node.inputs) or not names.isdisjoint(node.outputs)


def _lost(old: Iterable[Node], before: ModelGraph, new: Iterable[Node], after: ModelGraph) -> str:
    """Describe what differs between two sets of nodes; the text is empty if nothing differs."""
    old, new = tuple(old), tuple(new)
    sums = sum(macs(node, before) for node in old), sum(macs(node, after) for node in new)
    if sums[0] != sums[1]:
        return f"the multiply-accumulates from {sums[0]} to {sums[1]}"
    bare = sum(unsupported(node) for node in old), sum(unsupported(node) for node in new)
    if bare[0] != bare[1]:
        return f"the operators without a counting rule from {bare[0]} to {bare[1]}"
    missing = _parameters(old, before) ^ _parameters(new, after)
    if missing:
        missing -= _parameters(_unchanged(before, old), before)
    return f"whether {min(missing)!r} counts as a parameter" if missing else ""


def _parameters(nodes: Iterable[Node], graph: ModelGraph) -> set[str]:
    return {name for node in nodes for name in parameter_names(node, graph)}


def _unchanged(graph: ModelGraph, old: Iterable[Node]) -> Iterable[Node]:
    gone = {id(node) for node in old}
    return (node for node in graph.nodes if id(node) not in gone)


def _with_tensors_of(before: ModelGraph, after: ModelGraph, changes: Sequence[Change]) -> ModelGraph:
    from dataclasses import replace

    tensors = {tensor.name: tensor for change in changes for tensor in change.tensors}
    return replace(before, tensors={**tensors, **before.tensors, **after.tensors})
