"""What to do about one workload under admission; pure. A decision can annotate and warn, and has no way to deny."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from joulecast.printable import bounded
from joulecast_operator import bounds
from joulecast_operator.annotations import (
    BATCH_SIZE,
    ESTIMATE,
    FAILED,
    PENDING,
    READY,
    STATE,
    Changes,
    Outputs,
    admitted,
    annotations_of,
    outputs,
    outputs_of,
    ready_condition,
    result_of,
    significant,
    state_of,
)
from joulecast_operator.discovery import (
    EstimateLookup,
    Resource,
    annotatable,
    asked_batch_size,
    estimate_for,
    inputs_hash,
    is_made,
    model_reference,
    model_references,
    wants_estimate,
)

Outcome = Literal["annotated", "pending", "failed", "skipped", "unknown", "error"]
"""annotated: numbers given. pending: an estimate is being made. failed: an estimate says why it has no numbers.
skipped: the workload, or a controller that owns it, wants no annotations. unknown: no estimate is concerned.
error: a defect of ours."""

OUTCOMES: Final[tuple[Outcome, ...]] = ("annotated", "pending", "failed", "skipped", "unknown", "error")

_BY_STATE: Final[Mapping[str, Outcome]] = {READY: "annotated", PENDING: "pending", FAILED: "failed"}
_SAME_PERCENT: Final = 1  # differences that round to less are not worth a sentence
_UNDER_WAY: Final = "Estimating"  # the reason of Ready that names nothing to do
_MESSAGE_CHARACTERS: Final = 512  # of a condition's message; the API allows 32,768, a terminal does not


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """``patch``: RFC 6902 operations on the workload's annotations. ``warnings``: sentences that the client prints."""

    outcome: Outcome
    patch: tuple[dict[str, Any], ...] = ()
    warnings: tuple[str, ...] = ()


ALLOW_UNPATCHED: Final = Decision(outcome="error")


def decide(request: Mapping[str, Any], index: EstimateLookup) -> Decision:
    """The decision about ``request``, the ``request`` part of an AdmissionReview that creates or updates a workload."""
    new, old = _object(request, "object"), _object(request, "oldObject")
    if not annotatable(new):
        return Decision(outcome="skipped", patch=_patch(new, admitted(old={}, new=annotations_of(new), desired={})))
    namespace = str(request.get("namespace") or "default")
    estimate = estimate_for(new, index, namespace=namespace)
    desired = desired_outputs(new, estimate)
    unchanged = request.get("operation") == "UPDATE" and inputs_hash(new) == inputs_hash(old)
    current = annotations_of(new)
    changes = admitted(old=annotations_of(old) if unchanged else {}, new=current, desired=desired)
    final = outputs(current | {key: value for key, value in changes.items() if value is not None})
    return Decision(
        outcome=_BY_STATE.get(final.get(STATE, ""), "unknown"),
        patch=_patch(new, changes),
        warnings=tuple(map(bounds.message, _warnings(new, estimate, namespace))) if desired else (),
    )


def desired_outputs(workload: Resource, estimate: Resource | None) -> Outputs:
    """What the annotations of ``workload`` should say while ``estimate`` speaks for it; asked by both processes."""
    inputs = annotations_of(workload)
    if estimate is not None:
        overtaken = _overtaken(workload, estimate)
        return {STATE: PENDING} if overtaken else outputs_of(estimate, batch_size=inputs.get(BATCH_SIZE))
    return {STATE: PENDING} if wants_estimate(workload) or inputs.get(ESTIMATE, "").strip() else {}


def _overtaken(workload: Resource, estimate: Resource) -> bool:
    """Whether ``estimate`` only stands in until the workload's own is made, and cannot: it speaks of what the workload
    was before it changed its model or its batch size, or is another's without that batch size."""
    if not estimate.get("spec", {}).get("targetRef"):
        row = result_of(estimate, batch_size=annotations_of(workload).get(BATCH_SIZE))
        return wants_estimate(workload) and (state_of(estimate) != READY or row is None)
    images, priced = model_references(workload), estimate.get("status", {}).get("image")
    if images and priced is not None and priced not in map(bounds.text, images):
        return True
    held = (estimate["spec"].get("workload") or {}).get("batchSizes", [1])  # 1 unless the model fixes another
    return is_made(estimate) and (asked_batch_size(workload) or 1) not in held


def _patch(workload: Resource, changes: Changes) -> tuple[dict[str, Any], ...]:
    if not changes:
        return ()
    operations = [_operation(key, value) for key, value in sorted(changes.items())]
    holder = workload.get("metadata", {}).get("annotations")
    if isinstance(holder, Mapping):
        return tuple(operations)
    return {"op": "add", "path": "/metadata/annotations", "value": {}}, *operations


def _operation(key: str, value: str | None) -> dict[str, Any]:
    path = "/metadata/annotations/" + key.replace("~", "~0").replace("/", "~1")
    return {"op": "remove", "path": path} if value is None else {"op": "add", "path": path, "value": value}


def _warnings(workload: Resource, estimate: Resource | None, namespace: str) -> tuple[str, ...]:
    inputs = annotations_of(workload)
    if estimate is None:
        named = inputs.get(ESTIMATE, "").strip()
        return (_missing(named, namespace) if named else _unknown(workload),)
    if _overtaken(workload, estimate):
        return (_unknown(workload),)
    if state_of(estimate) == READY:
        row = result_of(estimate, batch_size=inputs.get(BATCH_SIZE))
        return (_forecast(row, estimate) if row is not None else _no_such_batch(estimate, inputs[BATCH_SIZE]),)
    return (_not_ready(estimate),)


def _forecast(row: Resource, estimate: Resource) -> str:
    interval = "–".join(significant(float(row[key])) for key in ("joulesPerBatchLower", "joulesPerBatchUpper"))
    joules, batch_size, accelerator = significant(float(row["joulesPerBatch"])), row["batchSize"], row["accelerator"]
    head = f"{joules} J per batch of {batch_size} on {accelerator} ({interval}, {row['origin']})"
    return ", ".join([head, *_comparison(row, estimate), *_uncovered(row)])


def _comparison(row: Resource, estimate: Resource) -> tuple[str, ...]:
    """Against the thriftiest other accelerator at the same batch size and precision."""
    others = [other for other in estimate["status"]["results"] if _comparable(other, row)]
    if not others:
        return ()
    other = min(others, key=lambda found: float(found["joulesPerBatch"]))
    percent = round(100 * (float(row["joulesPerBatch"]) / float(other["joulesPerBatch"]) - 1))
    if abs(percent) < _SAME_PERCENT:
        return (f"as much as {other['accelerator']}",)
    return (f"{abs(percent)} % {'below' if percent < 0 else 'above'} {other['accelerator']}",)


def _comparable(other: Resource, row: Resource) -> bool:
    same = all(other.get(key) == row.get(key) for key in ("batchSize", "precision"))
    return same and other.get("accelerator") != row.get("accelerator") and float(other.get("joulesPerBatch") or 0) > 0


def _uncovered(row: Resource) -> tuple[str, ...]:
    coverage = row.get("coverage")
    share = int(100 * coverage) if isinstance(coverage, (int, float)) else 100
    return () if share >= 100 else (f"priced for {share} % of its FLOPs",)


def _not_ready(estimate: Resource) -> str:
    name = estimate.get("metadata", {}).get("name")
    ready = ready_condition(estimate)
    if ready is None or ready.get("reason") == _UNDER_WAY:
        return f'no forecast yet: the estimate "{name}" is still being made, then the annotations follow'
    reason = str(ready.get("message") or ready.get("reason") or "see its conditions")
    message = bounded(reason, _MESSAGE_CHARACTERS)
    if state_of(estimate) == PENDING:
        return f'no forecast yet: the estimate "{name}" waits: {message}'
    return f'no forecast: the estimate "{name}" failed: {message}'


def _missing(name: str, namespace: str) -> str:
    return f'no estimate "{name}" in namespace "{namespace}": create it, or correct the annotation {ESTIMATE}'


def _unknown(workload: Resource) -> str:
    model = model_reference(workload)
    name = model.reference if model else "this model"
    return f"no forecast yet of {name}: it is being made, then the annotations follow"


def _no_such_batch(estimate: Resource, batch_size: str) -> str:
    known = sorted({int(row["batchSize"]) for row in estimate["status"]["results"] if "batchSize" in row})
    held = ", ".join(map(str, known))
    name = estimate.get("metadata", {}).get("name")
    if not batch_size.strip().isdecimal():
        return f'no forecast: {BATCH_SIZE} is "{batch_size}": give one of the batch sizes of "{name}", {held}'
    reason = f'the estimate "{name}" holds no batch size {batch_size}, but {held}'
    return f"no forecast: {reason}; add it to its workload.batchSizes"


def _object(request: Mapping[str, Any], key: str) -> dict[str, Any]:
    found = request.get(key)
    return found if isinstance(found, dict) else {}
