"""Count what an execution does on the machine that measures it: the columns that a forecast's features come from.

The suite's index holds the same counts, so that a difference shows in the digest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from joulecast.canonical import canonicalise
from joulecast.counting import count
from joulecast.graph import ModelGraph
from joulecast.readers.module import graph_digest, graph_of, graph_of_call, trace
from joulecast.readers.module.calls import Call
from joulecast_calibration.rows.counted import contents_of, sums_of
from joulecast_calibration.rows.graphs import PackedGraph


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Counts of an execution.

    - ``columns``: of the row of an execution.
    - ``graph``: what the journal keeps of its graph; None where it could not be traced or counted.
    """

    columns: Mapping[str, Any]
    graph: PackedGraph | None = None


def call_counts(call: Call, families: tuple[str, ...] = ()) -> Counts:
    """Count a single layer; ``families``: lineages of the networks that have it.

    ``digest``: the call's. ``untraced_reason`` stands in place of counts that cannot be made.
    """
    known = {"digest": call.digest, "function": call.function, "module_calls": 0}
    return _reasoned(known, lambda: _counted(graph_of_call(call), known, call.function, families))


def network_counts(module: Any, args: Sequence[Any], kwargs: Mapping[str, Any], *, name: str) -> Counts:
    """Count one forward pass.

    ``digest``: of the graph as traced here, None where it cannot be traced.
    """

    def counted() -> Counts:
        traced = trace(module, args, kwargs, name=name)
        known = {"digest": graph_digest(traced), "module_calls": traced.module_calls}
        return _counted(graph_of(traced), known, name)

    return _reasoned({"digest": None}, counted)


def _reasoned(known: Mapping[str, Any], counted: Callable[[], Counts]) -> Counts:
    """Return the reason instead of raising it: joules are kept without their counts."""
    try:
        return counted()
    except Exception as error:
        sentence = (str(error).splitlines() or [""])[0]
        reason = f"{type(error).__name__}: {sentence}"[:300]
        return Counts(columns={**known, "untraced_reason": reason})


def _counted(graph: ModelGraph, known: Mapping[str, Any], name: str, families: tuple[str, ...] = ()) -> Counts:
    layers = count(canonicalise(graph, eager=True))
    unsupported = sum(row.kind == "unsupported" for row in layers)
    columns = {**known, **sums_of(layers), "unsupported": unsupported}
    packed = PackedGraph(
        digest=known["digest"], name=name, families=families, unsupported=unsupported, contents=contents_of(layers)
    )
    return Counts(columns=columns, graph=packed)
