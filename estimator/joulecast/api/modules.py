"""The profile of a torch module: traced, canonicalised, counted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from joulecast.api.graphs import profile_graph
from joulecast.errors import WorkloadError
from joulecast.layers import ModelProfile, Workload
from joulecast.readers.module.digest import graph_digest
from joulecast.readers.module.graph import graph_of
from joulecast.readers.module.inputs import arguments
from joulecast.workloads import traced_workload

if TYPE_CHECKING:
    from joulecast.readers.module import Module
    from joulecast.readers.module.calls import Trace

FORMAT = "torch-module"


def profile_module(module: Module, example_inputs: Any, *, batch_size: int | None = None) -> ModelProfile:
    """Profile one batch of ``example_inputs``. ``batch_size``: by default the leading dimension of the first input."""
    from joulecast.readers.module.tracing.forward import trace
    from joulecast.readers.module.tracing.refusals import checked

    module = checked(module)
    if example_inputs is None:
        raise WorkloadError(
            f"{type(module).__name__} has no example inputs: give what forward takes, as"
            " joulecast.profile(module, (x,)), or joulecast.estimate(module, example_inputs={'input_ids': ids})"
        )
    args, kwargs = arguments(example_inputs)
    traced = trace(module, args, kwargs)
    return profile_trace(traced, traced_workload({spec.name: spec.shape for spec in traced.inputs}, batch_size))


def profile_trace(trace: Trace, workload: Workload) -> ModelProfile:
    """Return the profile of a recorded pass; its digest is that of its graph."""
    return profile_graph(graph_of(trace), workload, source=trace.name, digest=graph_digest(trace), format=FORMAT)
