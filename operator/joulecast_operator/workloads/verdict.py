"""Make what to say about a workload from its estimate: the annotations, and one sentence for people; pure.

Both processes call the same function, so that a warning, an event and the annotations always agree.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from joulecast.printable import bounded
from joulecast_operator.api import bounds
from joulecast_operator.api.annotations import (
    ESTIMATE,
    FAILED,
    PENDING,
    READY,
    REASON,
    STATE,
    Outputs,
    annotations_of,
    ready_condition,
    state_of,
)
from joulecast_operator.api.conditions import Wrong
from joulecast_operator.api.objects import Resource, mapping
from joulecast_operator.workloads import choice, discovery, power_limits
from joulecast_operator.workloads.choice import Wanted
from joulecast_operator.workloads.containers import reference, serving, unserved
from joulecast_operator.workloads.dimensions import (
    CLOCKS,
    DEGREES,
    DIMENSIONS,
    PHASES,
    POWER_LIMITS,
    Dimension,
    invalid,
)
from joulecast_operator.workloads.engines.served import ServedModel
from joulecast_operator.workloads.outputs import outputs_of, outputs_without_numbers
from joulecast_operator.workloads.sentences import forecast

NO_ESTIMATE: Final = "EstimateNotFound"
NOT_TOGETHER: Final = "CombinationNotEstimated"

_ESTIMATING: Final = "Estimating"
_UNDER_WAY: Final = frozenset({_ESTIMATING, "Queued"})
"""Reasons of Ready that end by themselves and soon, so that they are not written into annotations."""

_MESSAGE_CHARACTERS: Final = 512  # of a condition's message; the API allows 32,768, which a terminal cannot show
_GIVEN_CHARACTERS: Final = 64  # of an invalid value
_LISTED: Final = 8  # values of a dimension that a sentence lists: as many as a spec may give batch sizes


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What to say about a workload.

    - ``outputs``: the annotations to write.
    - ``sentence``: the same in words, for the warning at admission and the event.
    - ``row``: the result that is said; None if there is none.
    """

    outputs: Outputs
    sentence: str
    row: Resource | None = None

    @property
    def state(self) -> str:
        """Return ``Ready``, ``Failed`` or ``Pending``."""
        return self.outputs[STATE]

    @property
    def reason(self) -> str | None:
        """Return the reason of a missing forecast; None if there is a forecast or it is being made."""
        return self.outputs.get(REASON)


def verdict_on(workload: Resource, estimate: Resource | None, namespace: str) -> Verdict | None:
    """Return what to say about ``workload`` from ``estimate``, the one that applies to it; None for nothing."""
    if not discovery.annotatable(workload):
        return None
    if estimate is None and not discovery.wants_estimate(workload):
        return _without_estimate(workload, namespace)
    unclear = _unclear(workload, estimate)
    if unclear is not None:
        return unclear
    if estimate is None:
        return _being_made(workload)
    wanted = _wanted(workload, estimate)
    row = choice.row_for(estimate, wanted) if state_of(estimate) == READY else None
    if _overtaken(workload, estimate, row):
        return _being_made(workload)
    if state_of(estimate) != READY:
        return _not_ready(estimate)
    if row is None:
        return _no_such_row(workload, estimate, wanted)
    return Verdict(outputs=outputs_of(estimate, row), sentence=forecast(row, estimate), row=row)


def _without_estimate(workload: Resource, namespace: str) -> Verdict | None:
    named = annotations_of(workload).get(ESTIMATE, "").strip()
    if not named:
        return None
    sentence = f'no estimate "{named}" in namespace "{namespace}": create it, or correct the annotation {ESTIMATE}'
    return Verdict(outputs=outputs_without_numbers(None, PENDING, NO_ESTIMATE), sentence=sentence)


def _unclear(workload: Resource, estimate: Resource | None) -> Verdict | None:
    """Return a verdict that the workload does not say how its model is run, or which model it serves; None if it does.

    An estimate that the workload names is taken as it is, whatever the command line of an engine leaves open.
    """
    dimension = invalid(workload)
    if dimension is not None:
        return _failed(estimate, dimension.invalid, _invalid(workload, estimate, dimension))
    named = annotations_of(workload).get(ESTIMATE, "").strip()
    problem = None if named else _problem(workload, estimate)
    return _failed(estimate, problem.reason, problem.message) if problem else None


def _problem(workload: Resource, estimate: Resource | None) -> Wrong | None:
    """Return why what the workload says of its engine, its accelerator or its power limit has no price."""
    found = unserved(workload, runtime=_given_runtime(estimate)) or discovery.unpriced(workload)
    return found or (None if _gives_cap(estimate) else power_limits.invalid(workload))


def _given_runtime(estimate: Resource | None) -> str | None:
    """Return the runtime that an estimate of a target gives in its spec; None if it has no target or gives none."""
    spec = mapping(estimate.get("spec")) if estimate is not None else {}
    return spec.get("runtime") if spec.get("targetRef") else None


def _wanted(workload: Resource, estimate: Resource) -> Wanted:
    """Return what the workload requires of a result, without what an estimate that targets it gives in its own spec:
    the power limit or the clock, and the runtime that stands for the engine."""
    wanted, served = choice.wanted_by(workload), serving(workload)
    if _gives_cap(estimate):
        wanted = {field: values for field, values in wanted.items() if field != POWER_LIMITS.field}
    if not isinstance(served, ServedModel) or served.runtime is not None or _given_runtime(estimate) is None:
        return wanted
    return {field: values for field, values in wanted.items() if values != (served.engine,)}


def _gives_cap(estimate: Resource | None) -> bool:
    """Tell whether an estimate of a target gives a power limit or a clock in its spec."""
    spec = mapping(estimate.get("spec")) if estimate is not None else {}
    given = mapping(spec.get("workload"))
    return bool(spec.get("targetRef")) and any(given.get(each.field) is not None for each in (POWER_LIMITS, CLOCKS))


def _invalid(workload: Resource, estimate: Resource | None, dimension: Dimension) -> str:
    given = bounded(dimension.given(annotations_of(workload)), _GIVEN_CHARACTERS)
    held = _held(estimate, dimension) if estimate is not None else ""
    if estimate is not None and held:
        accepted = f'one of the {dimension.plural} of "{_name(estimate)}", {held}'
    else:
        accepted = dimension.accepted
    return f'{dimension.annotation} is "{given}": give {accepted}'


def _being_made(workload: Resource) -> Verdict:
    model = discovery.model_reference(workload)
    name = model.reference if model else "this model"
    sentence = f"no forecast yet of {name}: it is being made, and `kubectl get iee` shows it then"
    return Verdict(outputs=outputs_without_numbers(None, PENDING, None), sentence=sentence)


def _overtaken(workload: Resource, estimate: Resource, row: Resource | None) -> bool:
    """Tell whether ``estimate`` must not be used until the workload's own estimate is made.

    This is so if it describes the workload before its model or the way it is run changed, or if it belongs to another
    workload and has no matching result. ``row``: the result that matches, None if none does or it is not Ready.
    """
    if not estimate.get("spec", {}).get("targetRef"):
        return row is None and discovery.wants_estimate(workload)
    models, priced = discovery.model_references(workload), estimate.get("status", {}).get("image")
    if models and priced is not None and reference(priced) not in map(bounds.text, models):
        return True
    if _runs_otherwise(workload, estimate):
        return True
    asked = choice.asked_spec(workload)
    return discovery.is_made(estimate) and not choice.same_request(estimate["spec"], asked)


def _runs_otherwise(workload: Resource, estimate: Resource) -> bool:
    """Tell whether the results are of another engine, tensor parallel degree or power limit than the workload asks for
    now, although the estimate follows it."""
    served, spec = serving(workload), mapping(estimate.get("spec"))
    limits = {POWER_LIMITS.value(row) for row in choice.rows_of(estimate)}
    if limits and (limit := power_limits.of_pods(workload)) and limit not in limits and not _gives_cap(estimate):
        return True
    if not isinstance(served, ServedModel):
        return False
    engine = mapping(mapping(estimate.get("status")).get("understood")).get("engine")
    if engine is not None and engine != served.engine and not spec.get("runtime"):
        return True
    follows = served.runtime is not None and not mapping(spec.get("workload")).get("tensorParallel")
    degrees = {DEGREES.value(row) for row in choice.rows_of(estimate)} if follows else set()
    return bool(degrees) and str(served.tensor_parallel or 1) not in degrees


def _not_ready(estimate: Resource) -> Verdict:
    name, ready, state = _name(estimate), ready_condition(estimate), state_of(estimate)
    reason = str(ready.get("reason") or "") if ready else _ESTIMATING
    outputs = outputs_without_numbers(estimate, state, None if reason in _UNDER_WAY else reason)
    if ready is None or reason == _ESTIMATING:
        sentence = f"no forecast yet: it is still being made, and `kubectl get iee {name}` shows it then"
        return Verdict(outputs=outputs, sentence=sentence)
    message = bounded(str(ready.get("message") or reason or "see its conditions"), _MESSAGE_CHARACTERS)
    if state == PENDING:
        return Verdict(outputs=outputs, sentence=f'no forecast yet: the estimate "{name}" waits: {message}')
    return Verdict(outputs=outputs, sentence=f'no forecast: the estimate "{name}" failed: {message}')


def _no_such_row(workload: Resource, estimate: Resource, wanted: Wanted) -> Verdict:
    """Return a verdict that the estimate has no result for how the workload is run; another result would be wrong."""
    dimension = choice.lacking(estimate, wanted)
    if dimension is None:
        reason, said = NOT_TOGETHER, _not_together(estimate, wanted)
    else:
        reason, said = dimension.reason, _not_held(workload, estimate, wanted, dimension)
    return _failed(estimate, reason, said)


def _failed(estimate: Resource | None, reason: str, said: str) -> Verdict:
    return Verdict(outputs=outputs_without_numbers(estimate, FAILED, reason), sentence=f"no forecast: {said}")


def _not_together(estimate: Resource, wanted: Wanted) -> str:
    asked = [f"{each.words} {_any_of(wanted[each.field])}" for each in DIMENSIONS if each.field in wanted]
    return f'the estimate "{_name(estimate)}" has no result for {", ".join(asked)} together: apply one that has it'


def _not_held(workload: Resource, estimate: Resource, wanted: Wanted, dimension: Dimension) -> str:
    asked, held = _any_of(wanted[dimension.field]), _held(estimate, dimension)
    if not held:
        return _without(estimate, dimension, asked)
    head = f'the estimate "{_name(estimate)}" has no result for {dimension.words} {asked}, but for {held}'
    if _is_one_of_many(workload, estimate):
        head = f"no estimate of this model has a result for {dimension.words} {asked}; {head}"
    return f"{head}: {dimension.way_out}"


def _without(estimate: Resource, dimension: Dimension, asked: str) -> str:
    """Say that results of the estimate's phase have no such property, as a generation has no batch size."""
    phases = _held(estimate, PHASES)
    head = f'the estimate "{_name(estimate)}" has no result for {dimension.words} {asked}'
    return f"{head}: its results are of the phase {phases}, which has no {dimension.words}: correct the annotation"


def _is_one_of_many(workload: Resource, estimate: Resource) -> bool:
    """Tell whether the estimate was found by its model, so that other estimates of that model were considered too."""
    return not (annotations_of(workload).get(ESTIMATE, "").strip() or estimate.get("spec", {}).get("targetRef"))


def _held(estimate: Resource, dimension: Dimension) -> str:
    """Return the values that the estimate's results have in a dimension, as a list in words, numbers in order."""
    found = {value for row in choice.rows_of(estimate) if (value := dimension.value(row))}
    listed = sorted(found, key=lambda value: (len(value), value) if value.isdecimal() else (0, value))
    more = f" and {len(listed) - _LISTED} more" if len(listed) > _LISTED else ""
    return ", ".join(listed[:_LISTED]) + more


def _any_of(values: tuple[str, ...]) -> str:
    return " or ".join(values[:_LISTED])


def _name(estimate: Resource) -> str:
    return str(estimate.get("metadata", {}).get("name"))
