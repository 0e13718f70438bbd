"""Count what an execution does on the machine that measures it: the columns that a forecast's features come from.

The suite's index holds the same counts, so that a difference shows in the digest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from joulecast.canonical import canonicalise
from joulecast.counting import count, totals
from joulecast.graph import ModelGraph
from joulecast.readers.module import graph_digest, graph_of, graph_of_call, trace
from joulecast.readers.module.calls import Call
from joulecast_calibration.rows.counted import contents_of
from joulecast_calibration.rows.graphs import PackedGraph

RUNTIME = "torch-eager"  # the kernels of a captured graph are the same


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Counts of an execution.

    - ``columns``: of the row of an execution.
    - ``contents``: its distinct rows with a kernel, as ``suite.contents.contents_of`` lists them; None where it could
      not be traced or counted.
    """

    columns: Mapping[str, Any]
    contents: list[list[Any]] | None

    def graph(self, *, name: str, families: tuple[str, ...] = ()) -> PackedGraph | None:
        """Return what the journal keeps of the graph; None where nothing was traced."""
        digest = self.columns.get("digest")
        if self.contents is None or not digest:
            return None
        unsupported = self.columns["unsupported"]
        return PackedGraph(digest=digest, name=name, families=families, unsupported=unsupported, contents=self.contents)


def call_counts(call: Call) -> Counts:
    """Count a single layer.

    ``digest``: the call's. ``untraced_reason`` stands in place of counts that cannot be made.
    """
    known = {"digest": call.digest, "function": call.function, "module_calls": 0}
    return _reasoned(known, lambda: _counted(graph_of_call(call), known))


def network_counts(module: Any, args: Sequence[Any], kwargs: Mapping[str, Any], *, name: str) -> Counts:
    """Count one forward pass.

    ``digest``: of the graph as traced here, None where it cannot be traced.
    """

    def counted() -> Counts:
        traced = trace(module, args, kwargs, name=name)
        known = {"digest": graph_digest(traced), "module_calls": traced.module_calls}
        return _counted(graph_of(traced), known)

    return _reasoned({"digest": None}, counted)


def _reasoned(known: Mapping[str, Any], counted: Callable[[], Counts]) -> Counts:
    """Return the reason instead of raising it: joules are kept without their counts."""
    try:
        return counted()
    except Exception as error:
        sentence = (str(error).splitlines() or [""])[0]
        reason = f"{type(error).__name__}: {sentence}"[:300]
        return Counts(columns={**known, "untraced_reason": reason}, contents=None)


def _counted(graph: ModelGraph, known: Mapping[str, Any]) -> Counts:
    layers = count(canonicalise(graph, eager=True))
    sums = totals(layers)
    columns = {
        **known,
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
    return Counts(columns=columns, contents=contents_of(layers))
