"""Checks that the graph made of a watched pass keeps what the pass showed.

The nodes of a call must have the products of the operators that it dispatched, and the removal of dead nodes must
keep the products of every call whose results are read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

from joulecast.canonical.dead import without_dead
from joulecast.counting import known
from joulecast.counting.rows import COMPLEX_DTYPES, COMPLEX_PRODUCTS, cost, dtype
from joulecast.errors import InternalInconsistencyError
from joulecast.graph import ModelGraph, Node
from joulecast.readers.module.calls import Call, Witness


def verify(calls: Sequence[Call], witness: Witness, ends: Sequence[int], graph: ModelGraph) -> None:
    """Check that the graph keeps what the pass showed.

    ``ends``: for each call, how many of the graph's nodes stand for it and the calls before it.

    Raises InternalInconsistencyError, which names the pass and the call.
    """
    multiplying: list[tuple[Call, Node]] = []
    for position, (call, seen) in enumerate(zip(calls, witness.macs, strict=True)):
        nodes = graph.nodes[ends[position - 1] if position else 0 : ends[position]]
        counted = {node.outputs: _macs(node, graph) for node in nodes}
        if seen is not None and not _unsupported(nodes) and sum(counted.values()) != seen:
            raise InternalInconsistencyError(
                f"the reading of torch modules counts {sum(counted.values()):,} MACs for the call {_named(call)}, and"
                f" the operators that it ran multiply {seen:,}: this is a defect of joulecast, please report it"
            )
        if position in witness.needed:
            multiplying += [(call, node) for node in nodes if counted[node.outputs]]
    left = {node.outputs for node in without_dead(graph).nodes}
    for call, node in multiplying:
        if node.outputs not in left:
            raise InternalInconsistencyError(
                f"the removal of dead nodes takes {node.op_type} {node.name!r} of the call {_named(call)}, of which"
                " something is read later: this is a defect of joulecast, please report it"
            )


def _macs(node: Node, graph: ModelGraph) -> int:
    if _kinds().get((node.domain, node.op_type)) != "counted":
        return 0
    products = COMPLEX_PRODUCTS if dtype(node, graph) in COMPLEX_DTYPES else 1
    return products * node.repeats * sum(each.macs for each in cost(node, graph).contractions)


@cache
def _kinds() -> Mapping[tuple[str, str], str]:
    return known()


def _unsupported(nodes: Sequence[Node]) -> bool:
    return any((node.domain, node.op_type) not in _kinds() for node in nodes)


def _named(call: Call) -> str:
    return f"{call.function} in the module {call.scope!r}" if call.scope else call.function
