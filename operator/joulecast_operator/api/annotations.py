"""Define the annotations that joulecast reads from and writes to a workload; pure functions for both processes.

The user writes the inputs: which model, which estimate, how the model is run. Only joulecast writes the outputs: it
replaces or removes what a user or a copied manifest sets there. No key is both an input and an output, because a copied
output would then be read as an input.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, Final

from joulecast_operator.api.objects import mapping

PREFIX: Final = "joulecast.dev/"

MODEL: Final = PREFIX + "model"
ESTIMATE: Final = PREFIX + "estimate"
BATCH_SIZE: Final = PREFIX + "batch-size"
PRECISION: Final = PREFIX + "precision"
RUNTIME: Final = PREFIX + "runtime"
FOR_ACCELERATOR: Final = PREFIX + "for-accelerator"
CONTAINER: Final = PREFIX + "container"
PHASE: Final = PREFIX + "phase"
CONCURRENCY: Final = PREFIX + "concurrency"
INPUT_TOKENS: Final = PREFIX + "input-tokens"
OUTPUT_TOKENS: Final = PREFIX + "output-tokens"
SKIP: Final = PREFIX + "skip"
REFRESH: Final = PREFIX + "refresh"
INPUT_KEYS: Final = frozenset(
    {
        MODEL, ESTIMATE, BATCH_SIZE, PRECISION, RUNTIME, FOR_ACCELERATOR, CONTAINER, PHASE, CONCURRENCY, INPUT_TOKENS,
        OUTPUT_TOKENS, SKIP, REFRESH,
    }
)  # fmt: skip

WRITTEN_LABEL: Final = PREFIX + "annotations"
NOT_WRITTEN: Final = "none"
"""Label of a namespace, and its value that keeps joulecast from annotating the workloads there."""

REST_UNTIL: Final = PREFIX + "rest-until"
"""Read from the controller's own Deployment only: the controller writes no annotations until this time (RFC 3339)."""

RESTING_UNTIL: Final = PREFIX + "resting-until"
"""Written by the controller beside it, with the same time, when its last write under way has ended."""

JOULES: Final = PREFIX + "joules-per-batch"
JOULES_LOWER: Final = PREFIX + "joules-per-batch-lower"
JOULES_UPPER: Final = PREFIX + "joules-per-batch-upper"
JOULES_PER_REQUEST: Final = PREFIX + "joules-per-request"
JOULES_PER_REQUEST_LOWER: Final = PREFIX + "joules-per-request-lower"
JOULES_PER_REQUEST_UPPER: Final = PREFIX + "joules-per-request-upper"
JOULES_PER_OUTPUT_TOKEN: Final = PREFIX + "joules-per-output-token"
JOULES_PER_OUTPUT_TOKEN_LOWER: Final = PREFIX + "joules-per-output-token-lower"
JOULES_PER_OUTPUT_TOKEN_UPPER: Final = PREFIX + "joules-per-output-token-upper"
WATTS: Final = PREFIX + "watts"
ACCELERATOR: Final = PREFIX + "accelerator"
COVERAGE: Final = PREFIX + "coverage"
ORIGIN: Final = PREFIX + "origin"
MODEL_DIGEST: Final = PREFIX + "model-digest"
ESTIMATED_AT: Final = PREFIX + "estimated-at"
ESTIMATED_BY: Final = PREFIX + "estimated-by"
ESTIMATED_BATCH_SIZE: Final = PREFIX + "estimated-batch-size"
ESTIMATED_PRECISION: Final = PREFIX + "estimated-precision"
ESTIMATED_RUNTIME: Final = PREFIX + "estimated-runtime"
ESTIMATED_PHASE: Final = PREFIX + "estimated-phase"
ESTIMATED_CONCURRENCY: Final = PREFIX + "estimated-concurrency"
ESTIMATED_INPUT_TOKENS: Final = PREFIX + "estimated-input-tokens"
ESTIMATED_OUTPUT_TOKENS: Final = PREFIX + "estimated-output-tokens"
ESTIMATED_TENSOR_PARALLEL: Final = PREFIX + "estimated-tensor-parallel"
ESTIMATED_POWER_LIMIT: Final = PREFIX + "estimated-power-limit-watts"
ESTIMATED_CLOCK: Final = PREFIX + "estimated-clock-mhz"
STATE: Final = PREFIX + "state"
REASON: Final = PREFIX + "reason"
OUTPUT_KEYS: Final = frozenset(
    {
        JOULES, JOULES_LOWER, JOULES_UPPER, WATTS, ACCELERATOR, COVERAGE, ORIGIN, MODEL_DIGEST, STATE, REASON,
        ESTIMATED_AT, ESTIMATED_BY, ESTIMATED_BATCH_SIZE, ESTIMATED_PRECISION, ESTIMATED_RUNTIME,
        JOULES_PER_REQUEST, JOULES_PER_REQUEST_LOWER, JOULES_PER_REQUEST_UPPER, JOULES_PER_OUTPUT_TOKEN,
        JOULES_PER_OUTPUT_TOKEN_LOWER, JOULES_PER_OUTPUT_TOKEN_UPPER, ESTIMATED_PHASE, ESTIMATED_CONCURRENCY,
        ESTIMATED_INPUT_TOKENS, ESTIMATED_OUTPUT_TOKENS, ESTIMATED_TENSOR_PARALLEL,
        ESTIMATED_POWER_LIMIT, ESTIMATED_CLOCK,
    }
)  # fmt: skip

READY: Final = "Ready"
PENDING: Final = "Pending"
FAILED: Final = "Failed"

Outputs = dict[str, str]
"""Output keys with their values."""

Changes = dict[str, str | None]
"""Output keys with the value to write, or None to remove the key."""

_SIGNIFICANT_DIGITS: Final = 3  # an interval is never narrower than 1 %; more digits would rewrite objects for noise


def annotations_of(resource: Mapping[str, Any]) -> dict[str, str]:
    """Return all annotations of a resource; {} if it has none."""
    metadata = resource.get("metadata")
    found = metadata.get("annotations") if isinstance(metadata, Mapping) else None
    return dict(found) if isinstance(found, Mapping) else {}


def outputs(current: Mapping[str, str]) -> Outputs:
    """Return those of the ``current`` annotations that joulecast writes."""
    return {key: value for key, value in current.items() if key in OUTPUT_KEYS}


def significant(value: float, *, rounding: str = ROUND_HALF_EVEN) -> str:
    """Format ``value`` with three significant digits as a plain decimal: no exponent, no trailing zeros."""
    number = Decimal(repr(float(value)))
    if number == 0:
        return "0"
    quantum = Decimal(1).scaleb(number.adjusted() - _SIGNIFICANT_DIGITS + 1)
    rounded = number.quantize(quantum, rounding=rounding)
    text = format(rounded, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def state_of(estimate: Mapping[str, Any]) -> str:
    """Return ``Ready``, ``Failed`` or ``Pending``, from the Ready condition of the estimate's current generation."""
    ready = ready_condition(estimate)
    return {"True": READY, "False": FAILED}.get(str(ready.get("status")), PENDING) if ready else PENDING


def ready_condition(estimate: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the Ready condition; None if it is absent or describes an older generation."""
    ready = _condition(estimate, "Ready")
    return None if ready is None or _outdated(ready, estimate) else ready


def _condition(estimate: Mapping[str, Any], kind: str) -> Mapping[str, Any] | None:
    conditions = _status(estimate).get("conditions")
    listed = conditions if isinstance(conditions, (list, tuple)) else ()
    return next((found for found in listed if isinstance(found, Mapping) and found.get("type") == kind), None)


def _outdated(condition: Mapping[str, Any], estimate: Mapping[str, Any]) -> bool:
    generation = mapping(estimate.get("metadata")).get("generation")
    observed = condition.get("observedGeneration")
    return isinstance(generation, int) and isinstance(observed, int) and observed < generation


def _status(estimate: Mapping[str, Any]) -> Mapping[str, Any]:
    return mapping(estimate.get("status"))
