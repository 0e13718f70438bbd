"""Attention as one row: queries against keys, probabilities against values; causal masks counted dense."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from joulecast.counting.contraction import has, shape_of
from joulecast.counting.registry import MICROSOFT, Cost, rule
from joulecast.layers import Contraction

if TYPE_CHECKING:
    from joulecast.graph import ModelGraph, Node


@dataclass(frozen=True, slots=True, kw_only=True)
class Heads:
    """The sizes of one attention call.

    - ``heads``: heads of the queries.
    - ``head_size``: elements of a key.
    - ``value_size``: elements of a value.
    - ``keys``: positions of keys and values, cache included.
    """

    batch: int
    heads: int
    queries: int
    keys: int
    head_size: int
    value_size: int

    def contractions(self) -> tuple[Contraction, Contraction]:
        """Return ``(queries, head_size) × (head_size, keys)`` and ``(queries, keys) × (keys, value_size)``.

        There is one product a head.
        """
        products = self.batch * self.heads
        return (
            Contraction(batch=products, m=self.queries, n=self.keys, k=self.head_size),
            Contraction(batch=products, m=self.queries, n=self.value_size, k=self.keys),
        )


@rule("counted", "Attention")
def _attention(node: Node, graph: ModelGraph) -> Cost:
    """Count attention.

    Queries are ``(batch, heads, queries, head_size)``, with further leading axes in PyTorch, or ``(batch, queries,
    heads × head_size)`` with the head counts as attributes.
    """
    return Cost(kind="counted", contractions=standard(node, graph).contractions())


@rule("counted", "FlexAttention", domain="ai.onnx.preview")
def _flex(node: Node, graph: ModelGraph) -> Cost:
    """Count FlexAttention, whose modifiers are elementwise on the scores and have no MACs."""
    return Cost(kind="counted", contractions=standard(node, graph).contractions())


def standard(node: Node, graph: ModelGraph) -> Heads:
    """Return the sizes of a standard Attention call; a key cache at position 4 lengthens the keys."""
    query, key, value = (shape_of(node, graph, position) for position in range(3))
    past = shape_of(node, graph, 4)[2] if has(node, 4) else 0
    if len(query) >= 4:
        return Heads(
            batch=math.prod(query[:-3]),
            heads=query[-3],
            queries=query[-2],
            keys=key[-2] + past,
            head_size=query[-1],
            value_size=value[-1],
        )
    heads, kv_heads = int(node.attributes["q_num_heads"]), int(node.attributes["kv_num_heads"])
    return Heads(
        batch=query[0],
        heads=heads,
        queries=query[1],
        keys=key[1] + past,
        head_size=query[2] // heads,
        value_size=value[2] // kv_heads,
    )


@rule("counted", "LinearAttention")
def _linear(node: Node, graph: ModelGraph) -> Cost:
    return linear(node, graph)


@rule("counted", "LinearAttention", domain=MICROSOFT)
def _linear_microsoft(node: Node, graph: ModelGraph) -> Cost:
    return linear(node, graph)


def linear(node: Node, graph: ModelGraph) -> Cost:
    """Count the recurrence that defines linear attention.

    Each step adds ``key ⊗ value`` to a state ``(d_k, d_v)`` a key head and reads it by each query.

    The delta rules also read the state by the key. A chunked kernel does more arithmetic; the recurrence is what is
    counted.
    """
    query, key, value = (shape_of(node, graph, position) for position in range(3))
    heads, kv_heads = int(node.attributes["q_num_heads"]), int(node.attributes["kv_num_heads"])
    batch, steps, d_k, d_v = query[0], query[1], key[2] // kv_heads, value[2] // kv_heads
    update = Contraction(batch=batch * kv_heads, m=d_k, n=d_v, k=1, repeats=steps)
    retrieve = Contraction(batch=batch * kv_heads, m=1, n=d_v, k=d_k, repeats=steps)
    read = Contraction(batch=batch * heads, m=1, n=d_v, k=d_k, repeats=steps)
    delta = str(node.attributes.get("update_rule", "gated_delta")).endswith("delta")
    return Cost(kind="counted", contractions=(retrieve, update, read) if delta else (update, read))
