"""Compute the status of an InferenceEnergyEstimate; pure functions over resources as plain dicts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from joulecast_operator.api import bounds
from joulecast_operator.api.conditions import (
    PROFILED,
    READY,
    RESOLVED,
    ConditionRow,
    Status,
    Truth,
    Waiting,
    Wrong,
    condition,
    conditions_of,
    timestamp,
)
from joulecast_operator.api.estimates import MAXIMUM_RESULTS, MAXIMUM_TOP_LAYERS
from joulecast_operator.api.objects import Resource, camel
from joulecast_operator.api.results import MAXIMUM_REASONS, MAXIMUM_RESULT_LAYERS
from joulecast_operator.estimates.outcomes import Failure, Forecast, reasons_without_forecast
from joulecast_operator.estimates.request import ForecastRequest
from joulecast_operator.estimates.summary import summary_of
from joulecast_operator.workers.cache import key
from joulecast_operator.workers.frames import Header

_OUTPUTS: Final = (
    "modelDigest", "modelPath", "verification", "estimatedAt", "totals",
    "results", "unsupportedOperators", "summary", "topLayers",
)  # fmt: skip


_ENERGIES: Final = ("joulesPerBatch", "joulesPerRequest")

Unanswered = Failure | Waiting | Wrong
"""Why there is no answer to a request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """An answer that stands although it cannot be looked up again now.

    - ``reason``: the reason of the condition Ready.
    - ``what``: what it is, in a sentence.
    """

    reason: str
    what: str


EstimateState = Forecast | Failure | Waiting | Wrong
"""What the status of an estimate shows: a forecast, or why there is none."""


def is_answered(estimate: Resource, inputs_hash: str) -> bool:
    """Tell whether the status is Ready for the inputs of exactly this hash."""
    status = estimate.get("status") or {}
    ready = condition(status, READY)
    return bool(ready and ready.get("status") == "True" and status.get("inputsHash") == inputs_hash)


def keeps_results(estimate: Resource, request: ForecastRequest | None) -> bool:
    """Tell whether the status has valid results for the present spec and image, though maybe by an older profile."""
    status = estimate.get("status") or {}
    same_spec = status.get("observedGeneration") == (estimate.get("metadata") or {}).get("generation")
    return bool(
        request
        and _sound(status)
        and same_spec
        and status.get("image") in [bounds.text(each) for each in request.images]
    )


def _sound(status: Resource) -> bool:
    """Tell whether there are results and none is negative; earlier versions accepted profiles that gave such ones."""
    results = status.get("results") or ()
    return bool(results) and all(row.get(name, 0) >= 0 for row in results for name in _ENERGIES)


def desired_status(
    estimate: Resource, result: EstimateState, *, request: ForecastRequest | None, now: datetime
) -> Status:
    """Return the complete status for ``result``. ``request``: the request that was made; None if none could be made."""
    current: Resource = estimate.get("status") or {}
    generation = (estimate.get("metadata") or {}).get("generation")
    kept = keeps_results(estimate, request) and passes(result)
    image = current["image"] if kept else _image(result, request)
    status: Status = {"observedGeneration": generation, "image": image}
    if request is not None:
        status["inputsHash"] = current.get("inputsHash") if kept else inputs_hash(request)
        status["understood"] = request.understood
    if isinstance(result, Forecast):
        status |= _outputs(result, current, now)
    elif kept:
        status |= {name: current[name] for name in _OUTPUTS if name in current}
    elif isinstance(result, Failure) and result.digest:
        status["modelDigest"] = result.digest
    if isinstance(result, Forecast):
        rows = _conditions_of_forecast(result)
    else:
        rows = conditions_without(result, kept=Kept(reason="Estimated", what="forecast") if kept else None)
    status["conditions"] = conditions_of(estimate, rows, now=now)
    return {name: value for name, value in status.items() if value is not None}


def same_generation(estimate: Resource) -> Status:
    """Return the present status with the present generation, after a change of the spec that changes no result."""
    status = dict(estimate.get("status") or {})
    generation = (estimate.get("metadata") or {}).get("generation")
    status["observedGeneration"] = generation
    status["conditions"] = [found | {"observedGeneration": generation} for found in status.get("conditions") or ()]
    return status


def inputs_hash(request: ForecastRequest) -> str:
    """Return the hash of all that the results depend on, and of the annotations that ask for a new look-up."""
    return f"{request.hash}-{key(request.refresh)[:8]}" if request.refresh else request.hash


def model_title(image: str, path: str | None) -> str:
    """Return an image without its registry and digest, for a column, such as "models/resnet50:1"; of an address like
    ``hf://`` what follows its scheme, without the revision."""
    scheme, _, address = image.partition("://")
    if address and scheme != "oci":
        return address.partition("@")[0]
    image = address or image
    head, _, rest = image.partition("/")
    named = rest if rest and ("." in head or ":" in head or head == "localhost") else image
    short = named.partition("@")[0]
    return f"{short}//{path}" if path else short


def _image(result: EstimateState, request: ForecastRequest | None) -> str | None:
    """Return the image that the result is about; None if there is none."""
    found = result.image if isinstance(result, (Forecast, Failure)) else None
    image = found or (request.image if request else None)
    return bounds.text(image) if image else None


def passes(result: object) -> bool:
    """Tell whether present results stay valid, because a registry is unavailable or a new look-up is under way."""
    return isinstance(result, Waiting) or (isinstance(result, Failure) and result.transient)


def conditions_without(result: Unanswered, *, kept: Kept | None) -> Sequence[ConditionRow]:
    """Return the conditions of an object whose request has no answer now. ``kept``: the last answer, if it stands."""
    if isinstance(result, Failure):
        return _conditions_of_failure(result, kept=kept)
    truth: Truth = "Unknown" if isinstance(result, Waiting) else "False"
    if kept:
        ready: ConditionRow = (READY, "True", kept.reason, f"the last {kept.what} stands: {result.message}")
    else:
        ready = (READY, truth, result.reason, result.message)
    waits = "waits for what the condition Ready says"
    return ((RESOLVED, "Unknown", result.reason, waits), (PROFILED, "Unknown", result.reason, waits), ready)


def _conditions_of_forecast(result: Forecast) -> Sequence[ConditionRow]:
    number = len(result.results)
    message = f"{number} forecast{'s' if number != 1 else ''}"
    if result.unavailable:
        why = reasons_without_forecast(result.unavailable)
        message += f"; no forecast for {len(result.unavailable)} of the accelerators: {why}"
    profiled = "; ".join(["every operator has a rule", *result.notes])
    if result.unsupported:
        named = ", ".join(map(bounds.name, result.unsupported))
        profiled = f"the energy of these operators is missing, because joulecast has no rule for them: {named}"
    return (
        (RESOLVED, "True", "Resolved", f"the model is {f'{result.path} in ' if result.path else ''}{result.digest}"),
        (PROFILED, "True", "PartlyProfiled" if result.unsupported else "Profiled", profiled),
        (READY, "True", "Estimated", message),
    )


def _conditions_of_failure(result: Failure, *, kept: Kept | None) -> Sequence[ConditionRow]:
    truth: Truth = "Unknown" if result.transient else "False"
    again = "; it is tried again with increasing pauses" if result.transient and "again" not in result.message else ""
    message = result.message + again
    ready: ConditionRow = (READY, truth, result.reason, message)
    if kept:
        stands = f"the last {kept.what} stands although the model cannot be looked up now: {message}"
        ready = (READY, "True", kept.reason, stands)
    resolved: ConditionRow = (RESOLVED, "True", "Resolved", f"the model is in {result.digest}")
    profiled: ConditionRow = (PROFILED, "True", "Profiled", "the model's operators were counted")
    if result.stage == "resolve":
        resolved = (RESOLVED, truth, result.reason, message)
        profiled = (PROFILED, "Unknown", "NotResolved", "waits for the model")
    elif result.stage == "profile":
        profiled = (PROFILED, truth, result.reason, message)
    return resolved, profiled, ready


def _outputs(result: Forecast, current: Resource, now: datetime) -> Status:
    results = [_result(row) for row in result.results[:MAXIMUM_RESULTS]]
    status: Status = {
        "modelDigest": result.digest,
        "modelPath": bounds.text(result.path) or None,
        "verification": result.verification,
        "totals": {camel(name): value for name, value in result.totals.items()},
        "results": results,
        "unsupportedOperators": [bounds.name(each) for each in result.unsupported[: bounds.LISTED]] or None,
        "summary": summary_of(results[0], bounds.text(model_title(result.image, None))),
        "topLayers": [_layer(each) for each in result.top_layers[:MAXIMUM_TOP_LAYERS]],
    }
    unchanged = all(current.get(name) == status[name] for name in ("modelDigest", "results"))
    status["estimatedAt"] = current["estimatedAt"] if unchanged and "estimatedAt" in current else timestamp(now)
    return status


def _result(row: Header) -> Header:
    """Return a result whose texts come from a model, bounded."""
    found = dict(row)
    if "topLayers" in row:
        found["topLayers"] = [_layer(each) for each in row["topLayers"][:MAXIMUM_RESULT_LAYERS]]
    if "intervalReasons" in row:
        found["intervalReasons"] = [bounds.clause(each) for each in row["intervalReasons"][:MAXIMUM_REASONS]]
    return found


def _layer(layer: Header) -> Header:
    return layer | {name: bounds.name(layer[name]) for name in ("name", "opType") if name in layer}
