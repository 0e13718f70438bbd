"""The profile of a graph, whichever reader made it: canonicalised, counted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from joulecast.canonical import canonicalise
from joulecast.counting import count, coverage, totals
from joulecast.layers import ModelProfile, Workload

if TYPE_CHECKING:
    from joulecast.graph import ModelGraph


def profile_graph(graph: ModelGraph, workload: Workload, /, **identity: Any) -> ModelProfile:
    """Count a graph as it was read. ``identity``: the fields of ``ModelProfile`` that say which model it is."""
    layers = count(canonicalise(graph))
    return ModelProfile(
        workload=workload,
        layers=layers,
        totals=totals(layers),
        coverage=coverage(layers),
        input_shapes={name: graph.tensors[name].shape or () for name in graph.inputs},
        **identity,
    )
