"""Sort nodes so that their inputs exist: graph editors write files in any order, and onnxruntime runs them."""

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
    _sort_nodes(model.graph.node, _given(model.graph))
    for function in model.functions:
        _sort_nodes(function.node, frozenset(function.input))


def _sort_nodes(nodes: Any, given: frozenset[str]) -> None:
    """Sort the nodes of a graph or a function. ``given``: names that exist before the first of them runs."""
    made = {name for node in nodes for name in node.output}
    for node in nodes:
        for graph in _graphs(node):
            _sort_nodes(graph.node, given | made | _given(graph))
    order = _order(nodes, given)
    if order is not None:
        sorted_nodes = [type(nodes[index]).FromString(nodes[index].SerializeToString()) for index in order]
        del nodes[:]
        nodes.extend(sorted_nodes)


def _given(graph: GraphProto) -> frozenset[str]:
    """Return the names of inputs and stored tensors."""
    stored = [tensor.name for tensor in graph.initializer] + [sparse.values.name for sparse in graph.sparse_initializer]
    return frozenset(stored) | {info.name for info in graph.input}


def _order(nodes: Sequence[NodeProto], given: frozenset[str]) -> list[int] | None:
    """Return positions in topological order, as near to the file's as possible; ``None`` if the file's order is one."""
    makers = {name: index for index in reversed(range(len(nodes))) for name in nodes[index].output if name}
    waited = [{makers[name] for name in _reads(node) if name in makers and name not in given} for node in nodes]
    needs = [needed - {index} for index, needed in enumerate(waited)]
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
    """Yield the names that the node reads, those that its nested graphs take from outside included."""
    yield from node.input
    for graph in _graphs(node):
        yield from _outer_names(graph)


def _outer_names(graph: GraphProto) -> set[str]:
    own = _given(graph) | {name for node in graph.node for name in node.output}
    read = {name for node in graph.node for name in _reads(node)} | {info.name for info in graph.output}
    return read - own


def _graphs(node: NodeProto) -> Iterator[GraphProto]:
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs
