"""Recurrent layers: one product over all steps for the input, one a step for the state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from joulecast.counting.contraction import shape_of
from joulecast.counting.registry import MICROSOFT, Cost, rule
from joulecast.layers import Contraction

if TYPE_CHECKING:
    from joulecast.graph import ModelGraph, Node

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1, "DynamicQuantizeLSTM": 4}


@rule("counted", *("LSTM", "GRU", "RNN"))
def _recurrent(node: Node, graph: ModelGraph) -> Cost:
    return recurrent(node, graph, state=shape_of(node, graph, 2)[2])


@rule("counted", "DynamicQuantizeLSTM", domain=MICROSOFT)
def _quantised(node: Node, graph: ModelGraph) -> Cost:
    return recurrent(node, graph)


def recurrent(node: Node, graph: ModelGraph, state: int | None = None) -> Cost:
    """Count a recurrent layer.

    Input ``(steps, batch, features)`` (batch first if ``layout`` is 1), recurrent state of ``hidden`` in ``gates``
    gates a direction. ``state``: the size that a step passes to the next, where it is projected to another size.

    Every step counts at full length; ``sequence_lens`` shortens what is kept, not what a dense kernel computes.
    Launches: one product for all inputs, then a product and a pointwise kernel a step, as cuDNN's standard algorithm
    does.
    """
    data = shape_of(node, graph, 0)
    batch, steps = (data[0], data[1]) if node.attributes.get("layout") else (data[1], data[0])
    hidden, columns = _sizes(node, graph)
    directions = 2 if node.attributes.get("direction") == "bidirectional" else 1
    contractions = (
        Contraction(batch=directions, m=steps * batch, n=columns, k=data[2]),
        Contraction(batch=directions, m=batch, n=columns, k=state or hidden, repeats=steps),
    )
    launches = directions * (1 + 2 * steps)
    return Cost(kind="counted", contractions=contractions, eager_kernels=launches, onnxruntime_kernels=launches)


def _sizes(node: Node, graph: ModelGraph) -> tuple[int, int]:
    """Return the hidden size and the gate columns.

    Quantised weights are stored transposed, so both come from the declared hidden size where there is one.
    """
    gates = GATES[node.op_type]
    hidden = node.attributes.get("hidden_size") or shape_of(node, graph, 1)[1] // gates
    return int(hidden), gates * int(hidden)
