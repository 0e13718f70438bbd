"""Nodes in the order in which their inputs exist: graph editors write files in any order, and onnxruntime runs them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from joulecast.errors import ModelFormatError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from onnx import GraphProto, ModelProto, NodeProto

_MAX_NAMED = 5
"""Nodes of a circle that a message names."""


def sort(model: ModelProto) -> None:
    """Put the nodes of every graph and function into topological order, in place; a graph in order stays as it is.

    Raises ``ModelFormatError`` for nodes that need each other.
    """
    for owner in (model.graph, *model.functions):
        _sort_nodes(owner)


def _sort_nodes(owner: Any) -> None:
    """``owner``: a graph or a function, whose ``node`` is sorted."""
    for node in owner.node:
        for graph in _graphs(node):
            _sort_nodes(graph)
    order = _order(owner.node)
    if order is not None:
        nodes = [type(node).FromString(node.SerializeToString()) for node in (owner.node[index] for index in order)]
        del owner.node[:]
        owner.node.extend(nodes)


def _order(nodes: Sequence[NodeProto]) -> list[int] | None:
    """Positions in topological order, as near to the file's as may be; ``None`` if the file's order is one."""
    makers = {name: index for index in reversed(range(len(nodes))) for name in nodes[index].output if name}
    needs = [{makers[name] for name in _reads(node) if name in makers} - {index} for index, node in enumerate(nodes)]
    if all(max(needed, default=-1) < index for index, needed in enumerate(needs)):
        return None
    placed: dict[int, None] = {}
    for index in range(len(nodes)):
        _place(index, needs, placed, nodes)
    return list(placed)


def _place(start: int, needs: Sequence[set[int]], placed: dict[int, None], nodes: Sequence[NodeProto]) -> None:
    """Place a node behind all that it needs; a stack of its own, because chains may be longer than Python's."""
    stack, open_ones = [(start, iter(sorted(needs[start])))], {start}
    while stack:
        index, rest = stack[-1]
        following = next((needed for needed in rest if needed not in placed), None)
        if following is None:
            placed.setdefault(index)
            open_ones.discard(index)
            stack.pop()
        elif following in open_ones:
            raise _circle([nodes[each] for each, _ in stack])
        else:
            stack.append((following, iter(sorted(needs[following]))))
            open_ones.add(following)


def _circle(nodes: Sequence[NodeProto]) -> ModelFormatError:
    names = ", ".join(repr(node.name or node.output[0]) for node in nodes[:_MAX_NAMED])
    return ModelFormatError(f"the nodes {names} need each other's outputs; the file is damaged, export it again")


def _reads(node: NodeProto) -> Iterator[str]:
    """Names that the node reads, those that its nested graphs take from outside included."""
    yield from node.input
    for graph in _graphs(node):
        yield from _outer_names(graph)


def _outer_names(graph: GraphProto) -> set[str]:
    own = {info.name for info in graph.input} | {tensor.name for tensor in graph.initializer}
    own |= {sparse.values.name for sparse in graph.sparse_initializer}
    own |= {name for node in graph.node for name in node.output}
    read = {name for node in graph.node for name in _reads(node)} | {info.name for info in graph.output}
    return read - own


def _graphs(node: NodeProto) -> Iterator[GraphProto]:
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs
