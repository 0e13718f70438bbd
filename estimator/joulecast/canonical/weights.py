"""Arithmetic that makes weights of stored values: the norm of a weight, a table of relative positions.

Eager mode runs it in every pass. Exporters take it apart (a normalised weight is one kernel in PyTorch and up to eight
operators in a file), so what leads to one result becomes one node, whichever reader it comes from.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from joulecast.counting.rows import cost
from joulecast.graph import FLOATING_DTYPES, STORED

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping

    from joulecast.graph import ModelGraph, Node

ARITHMETIC = frozenset(
    """Abs Add And BatchNormalization Cast Ceil Clip Cos Div Equal Exp Floor Greater GreaterOrEqual Less LessOrEqual Log
    LpNormalization Max Min Mod Mul Neg Not Or Pow Reciprocal ReduceL2 ReduceMax ReduceMean ReduceSum ReduceSumSquare
    Sigmoid Sign Sin Sqrt Sub Sum Tanh Where""".split()
)
"""Elementwise operators and reductions."""

WHOLE = "Sum"
"""ONNX's elementwise operator of any number of operands, which stands for all of a group."""

TAKEN_APART = ("LpNormalization",)
"""Kernels of PyTorch that exporters always write as several operators."""

VIEWS = frozenset("Expand Flatten Identity Reshape Squeeze Transpose Unsqueeze".split())


def without_shape_arithmetic(graph: ModelGraph) -> ModelGraph:
    """Mark positions and masks that are computed of shapes and numbers alone as free.

    Applying such a mask to stored values is free too. Exporters write some of these as constants and others as nodes.
    """
    made: set[str] = set()
    weighty: set[str] = set()
    nodes = []
    for node in graph.nodes:
        weighs = [name in weighty or (name not in made and _is_weight(name, graph)) for name in node.inputs]
        if any(weighs):
            weighty.update(node.outputs)
        masks = node.op_type == "Where" and not weighs[0]
        if (masks or not any(weighs)) and _free(node, graph):
            node = replace(node, folded=True, loaded=False)
        made.update(node.outputs)
        nodes.append(node)
    return replace(graph, nodes=tuple(nodes))


def _free(node: Node, graph: ModelGraph) -> bool:
    return not node.folded and _stored(node, graph) and cost(node, graph).kind in ("zero", "free")


def _is_weight(name: str, graph: ModelGraph) -> bool:
    tensor = graph.tensors.get(name)
    return tensor is not None and tensor.role in STORED and tensor.dtype in FLOATING_DTYPES and tensor.numel > 1


def _stored(node: Node, graph: ModelGraph) -> bool:
    return all(graph.tensors[name].role in STORED for name in node.outputs if name)


def joined(graph: ModelGraph) -> ModelGraph:
    """Join all arithmetic on stored values that only one result needs into one node."""
    places = [place for place, node in enumerate(graph.nodes) if _of_stored_values(node, graph)]
    if not places:
        return graph
    roots = _roots(graph, places)
    members: dict[int, list[Node]] = {}
    for place in places:
        if place in roots:
            members.setdefault(roots[place], []).append(graph.nodes[place])
    copies = {place for place in places if graph.nodes[place].attributes.get("copies")}
    return replace(graph, nodes=tuple(_nodes(graph, roots, members, copies)))


def _of_stored_values(node: Node, graph: ModelGraph) -> bool:
    if node.folded or node.domain or len(node.outputs) != 1 or node.op_type not in ARITHMETIC | VIEWS:
        return False
    return _stored(node, graph)


def _roots(graph: ModelGraph, places: list[int]) -> dict[int, int]:
    """Return the place of the last node of its group, for each node that is in a group."""
    readers = _readers(graph, {graph.nodes[place].outputs[0] for place in places})
    roots: dict[int, int] = {}
    for place in reversed(places):
        node = graph.nodes[place]
        above = {roots.get(reader, -1) for reader in readers[node.outputs[0]]}
        root = above.pop() if len(above) == 1 else -1
        if root >= 0 and _runs_with(node, graph.nodes[root]):
            roots[place] = root
        elif node.op_type in ARITHMETIC:
            roots[place] = place
    return roots


def _readers(graph: ModelGraph, names: Iterable[str]) -> dict[str, set[int]]:
    """Return the places of the nodes that read each value.

    -1 where the model returns it or a node chooses or writes by it.
    """
    outside = {*graph.outputs, *graph.steering}.union(*(tensor.after for tensor in graph.tensors.values()))
    readers: dict[str, set[int]] = {name: {-1} if name in outside else set() for name in names}
    for place, node in enumerate(graph.nodes):
        for name in () if node.folded else node.inputs:
            if name in readers:
                readers[name].add(place)
    return readers


def _runs_with(node: Node, root: Node) -> bool:
    return (node.repeats, node.loaded) == (root.repeats, root.loaded)


def _nodes(
    graph: ModelGraph, roots: Mapping[int, int], members: Mapping[int, list[Node]], copies: Container[int]
) -> Iterable[Node]:
    """Yield the nodes in order, each group as one. ``copies`` become views, because a file does not show them."""
    for place, node in enumerate(graph.nodes):
        if roots.get(place, place) != place:
            continue
        group = members.get(place, [])
        if len(group) > 1 or (group and node.op_type in TAKEN_APART):
            yield _whole(node, group)
        else:
            yield replace(node, attributes={}) if place in copies else node


def _whole(root: Node, group: list[Node]) -> Node:
    made = {node.outputs[0] for node in group}
    read = dict.fromkeys(name for node in group for name in node.inputs if name and name not in made)
    return replace(root, op_type=WHOLE, inputs=tuple(read), attributes={}, values={})
