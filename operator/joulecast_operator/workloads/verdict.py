"""Make what to say about a workload from its estimate: the annotations, and one sentence for people; pure.

Both processes call the same function, so that a warning, an event and the annotations always agree.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from joulecast.printable import bounded
from joulecast_operator.api import bounds
from joulecast_operator.api.annotations import (
    BATCH_SIZE,
    ESTIMATE,
    FAILED,
    PENDING,
    READY,
    REASON,
    STATE,
    Outputs,
    annotations_of,
    ready_condition,
    significant,
    state_of,
)
from joulecast_operator.api.objects import Resource
from joulecast_operator.workloads import choice, discovery
from joulecast_operator.workloads.choice import Dimension, Wanted
from joulecast_operator.workloads.outputs import outputs_of, outputs_without_numbers

NO_ESTIMATE: Final = "EstimateNotFound"
INVALID_BATCH_SIZE: Final = "InvalidBatchSize"
NOT_TOGETHER: Final = "CombinationNotEstimated"

_ESTIMATING: Final = "Estimating"
_UNDER_WAY: Final = frozenset({_ESTIMATING, "Queued"})
"""Reasons of Ready that end by themselves and soon, so that they are not written into annotations."""

_SAME_PERCENT: Final = 1  # differences that round to less are not mentioned
_MESSAGE_CHARACTERS: Final = 512  # of a condition's message; the API allows 32,768, which a terminal cannot show
_LISTED: Final = 8  # values of a dimension that a sentence lists: as many as a spec may give batch sizes


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What to say about a workload.

    - ``outputs``: the annotations to write.
    - ``sentence``: the same in words, for the warning at admission and the event.
    """

    outputs: Outputs
    sentence: str

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
    if estimate is None:
        return _without_estimate(workload, namespace)
    if _overtaken(workload, estimate):
        return _being_made(workload)
    if state_of(estimate) != READY:
        return _not_ready(estimate)
    wanted = choice.wanted_by(workload)
    row = choice.row_for(estimate, wanted)
    if row is None:
        return _no_such_row(workload, estimate, wanted)
    return Verdict(outputs=outputs_of(estimate, row), sentence=_forecast(row, estimate))


def _without_estimate(workload: Resource, namespace: str) -> Verdict | None:
    named = annotations_of(workload).get(ESTIMATE, "").strip()
    if named:
        sentence = f'no estimate "{named}" in namespace "{namespace}": create it, or correct the annotation {ESTIMATE}'
        return Verdict(outputs=outputs_without_numbers(None, PENDING, NO_ESTIMATE), sentence=sentence)
    return _being_made(workload) if discovery.wants_estimate(workload) else None


def _being_made(workload: Resource) -> Verdict:
    model = discovery.model_reference(workload)
    name = model.reference if model else "this model"
    sentence = f"no forecast yet of {name}: it is being made, then the annotations follow"
    return Verdict(outputs=outputs_without_numbers(None, PENDING, None), sentence=sentence)


def _overtaken(workload: Resource, estimate: Resource) -> bool:
    """Tell whether ``estimate`` must not be used until the workload's own estimate is made.

    This is so if it describes the workload before its model or the way it is run changed, or if it belongs to another
    workload and has no matching result.
    """
    if not estimate.get("spec", {}).get("targetRef"):
        row = choice.row_for(estimate, choice.wanted_by(workload))
        return discovery.wants_estimate(workload) and (state_of(estimate) != READY or row is None)
    images, priced = discovery.model_references(workload), estimate.get("status", {}).get("image")
    if images and priced is not None and priced not in map(bounds.text, images):
        return True
    asked = choice.asked_spec(workload)
    return discovery.is_made(estimate) and not choice.same_request(estimate["spec"], asked)


def _not_ready(estimate: Resource) -> Verdict:
    name, ready, state = _name(estimate), ready_condition(estimate), state_of(estimate)
    reason = str(ready.get("reason") or "") if ready else _ESTIMATING
    outputs = outputs_without_numbers(estimate, state, None if reason in _UNDER_WAY else reason)
    if ready is None or reason == _ESTIMATING:
        sentence = f'no forecast yet: the estimate "{name}" is still being made, then the annotations follow'
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
    elif dimension.annotation == BATCH_SIZE and discovery.asked_batch_size(workload) is None:
        reason, said = INVALID_BATCH_SIZE, _invalid_batch_size(estimate, wanted, dimension)
    else:
        reason, said = dimension.reason, _not_held(workload, estimate, wanted, dimension)
    return Verdict(outputs=outputs_without_numbers(estimate, FAILED, reason), sentence=f"no forecast: {said}")


def _not_together(estimate: Resource, wanted: Wanted) -> str:
    asked = [f"{each.words} {_any_of(wanted[each.field])}" for each in choice.DIMENSIONS if each.field in wanted]
    return f'the estimate "{_name(estimate)}" has no result for {", ".join(asked)} together: apply one that has it'


def _invalid_batch_size(estimate: Resource, wanted: Wanted, dimension: Dimension) -> str:
    given, held = _any_of(wanted[dimension.field]), _held(estimate, dimension)
    return f'{BATCH_SIZE} is "{given}": give one of the batch sizes of "{_name(estimate)}", {held}'


def _not_held(workload: Resource, estimate: Resource, wanted: Wanted, dimension: Dimension) -> str:
    asked, held = _any_of(wanted[dimension.field]), _held(estimate, dimension)
    head = f'the estimate "{_name(estimate)}" has no result for {dimension.words} {asked}, but for {held}'
    if _is_one_of_many(workload, estimate):
        head = f"no estimate of this image has a result for {dimension.words} {asked}; {head}"
    return f"{head}: {_WAYS_OUT[dimension.field]}"


_WAYS_OUT: Final[Mapping[str, str]] = {
    "batchSize": "add it to its workload.batchSizes",
    "precision": "apply an estimate with that workload.precision, or correct the annotation",
    "runtime": "apply an estimate with that runtime, or correct the annotation",
    "accelerator": "add it to its accelerators.names",
}


def _is_one_of_many(workload: Resource, estimate: Resource) -> bool:
    """Tell whether the estimate was found by its image, so that other estimates of that image were considered too."""
    return not (annotations_of(workload).get(ESTIMATE, "").strip() or estimate.get("spec", {}).get("targetRef"))


def _held(estimate: Resource, dimension: Dimension) -> str:
    """Return the values that the estimate's results have in a dimension, as a list in words, numbers in order."""
    found = {str(row[dimension.field]) for row in choice.rows_of(estimate) if dimension.field in row}
    listed = sorted(found, key=lambda value: (len(value), value) if value.isdecimal() else (0, value))
    more = f" and {len(listed) - _LISTED} more" if len(listed) > _LISTED else ""
    return ", ".join(listed[:_LISTED]) + more


def _any_of(values: tuple[str, ...]) -> str:
    return " or ".join(values[:_LISTED])


def _forecast(row: Resource, estimate: Resource) -> str:
    interval = "–".join(significant(float(row[key])) for key in ("joulesPerBatchLower", "joulesPerBatchUpper"))
    joules, batch_size, accelerator = significant(float(row["joulesPerBatch"])), row["batchSize"], row["accelerator"]
    head = f"{joules} J per batch of {batch_size} on {accelerator} ({interval}, {row['origin']})"
    said = ", ".join([head, *_comparison(row, estimate), *_uncovered(row)])
    return f'{said}; by the estimate "{_name(estimate)}", precision {row.get("precision")}, {row.get("runtime")}'


def _comparison(row: Resource, estimate: Resource) -> tuple[str, ...]:
    """Return a comparison with the other accelerator that needs least energy at the same batch size and precision."""
    others = [other for other in choice.rows_of(estimate) if _comparable(other, row)]
    if not others:
        return ()
    other = min(others, key=lambda found: float(found["joulesPerBatch"]))
    percent = round(100 * (float(row["joulesPerBatch"]) / float(other["joulesPerBatch"]) - 1))
    if abs(percent) < _SAME_PERCENT:
        return (f"as much as {other['accelerator']}",)
    return (f"{abs(percent)} % {'below' if percent < 0 else 'above'} {other['accelerator']}",)


def _comparable(other: Resource, row: Resource) -> bool:
    same = all(other.get(key) == row.get(key) for key in ("batchSize", "precision", "runtime"))
    return same and other.get("accelerator") != row.get("accelerator") and float(other.get("joulesPerBatch") or 0) > 0


def _uncovered(row: Resource) -> tuple[str, ...]:
    coverage = row.get("coverage")
    share = int(100 * coverage) if isinstance(coverage, (int, float)) else 100
    return () if share >= 100 else (f"priced for {share} % of its FLOPs",)


def _name(estimate: Resource) -> str:
    return str(estimate.get("metadata", {}).get("name"))
