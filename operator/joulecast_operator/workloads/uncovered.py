"""Say why a workload that serves a language model has no forecast, although it asks for none; pure."""

from __future__ import annotations

from joulecast_operator.api.annotations import MODEL
from joulecast_operator.api.kinds import ESTIMATES
from joulecast_operator.api.objects import Resource
from joulecast_operator.workloads.containers import reference_of, serving, unserved
from joulecast_operator.workloads.engines.served import ServedModel


def warnings(workload: Resource, namespace: str) -> tuple[str, ...]:
    """Return a sentence for a workload that no estimate applies to, if a container of it starts an inference engine."""
    problem = unserved(workload)
    if problem is not None:
        return (f"no forecast: {problem.message}",)
    served = serving(workload)
    if not isinstance(served, ServedModel):
        return ()
    model = reference_of(served)
    head = f'container "{served.container}" serves {model} by {served.engine}, which no estimate covers'
    return (f'no forecast: {head}: annotate it with {MODEL}: {model}, or apply an {ESTIMATES.kind} to "{namespace}"',)
