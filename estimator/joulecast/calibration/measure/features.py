"""What is counted of an execution on the machine that measures it: the columns that a forecast's features come from.

The same counts as in the suite's index, so that a difference shows in the digest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from joulecast.canonical import canonicalise
from joulecast.counting import count, totals
from joulecast.graph import ModelGraph
from joulecast.readers.module import graph_digest, graph_of, graph_of_call, trace
from joulecast.readers.module.calls import Call

RUNTIME = "torch-eager"  # the kernels of a captured graph are the same


def call_features(call: Call) -> dict[str, Any]:
    """Of a lone layer. ``digest``: the call's. ``untraced_reason``: instead of counts that cannot be had."""
    known = {"digest": call.digest, "function": call.function, "module_calls": 0}
    return known | _reasoned(lambda: _counted(graph_of_call(call)))


def network_features(module: Any, args: Sequence[Any], kwargs: Mapping[str, Any], *, name: str) -> dict[str, Any]:
    """Of one forward pass. ``digest``: of the graph as traced here, None where it cannot be traced."""

    def counted() -> dict[str, Any]:
        traced = trace(module, args, kwargs, name=name)
        return {"digest": graph_digest(traced), **_counted(graph_of(traced)), "module_calls": traced.module_calls}

    return {"digest": None} | _reasoned(counted)


def _reasoned(counted: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Joules are worth having without their counts, which can be made later from the name alone."""
    try:
        return counted()
    except Exception as error:
        sentence = (str(error).splitlines() or [""])[0]
        return {"untraced_reason": f"{type(error).__name__}: {sentence}"[:300]}


def _counted(graph: ModelGraph) -> dict[str, Any]:
    layers = count(canonicalise(graph, eager=True))
    sums = totals(layers)
    return {
        "rows": sum(row.kind in ("counted", "zero") and row.kernels.get(RUNTIME, 0) > 0 for row in layers),
        "macs": sums.macs,
        "params": sums.params,
        "activations": sums.activations,
        "input_numel": sums.input_numel,
        "bytes_moved": sums.bytes_moved,
        "kernels": sums.kernels[RUNTIME],
        "views": sum(row.views for row in layers),
        "unsupported": sum(row.kind == "unsupported" for row in layers),
    }
