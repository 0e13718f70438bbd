"""Make the annotations that joulecast writes to a workload, and the changes by which it gets them; pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import ROUND_DOWN, ROUND_HALF_EVEN
from typing import Any, Final

from joulecast_operator.api import bounds
from joulecast_operator.api.annotations import (
    ACCELERATOR,
    COVERAGE,
    ESTIMATED_AT,
    ESTIMATED_BATCH_SIZE,
    ESTIMATED_BY,
    ESTIMATED_CLOCK,
    ESTIMATED_CONCURRENCY,
    ESTIMATED_INPUT_TOKENS,
    ESTIMATED_OUTPUT_TOKENS,
    ESTIMATED_PHASE,
    ESTIMATED_POWER_LIMIT,
    ESTIMATED_PRECISION,
    ESTIMATED_RUNTIME,
    ESTIMATED_TENSOR_PARALLEL,
    JOULES,
    JOULES_LOWER,
    JOULES_PER_OUTPUT_TOKEN,
    JOULES_PER_OUTPUT_TOKEN_LOWER,
    JOULES_PER_OUTPUT_TOKEN_UPPER,
    JOULES_PER_REQUEST,
    JOULES_PER_REQUEST_LOWER,
    JOULES_PER_REQUEST_UPPER,
    JOULES_UPPER,
    MODEL_DIGEST,
    ORIGIN,
    READY,
    REASON,
    STATE,
    WATTS,
    Changes,
    Outputs,
    outputs,
    significant,
)
from joulecast_operator.api.objects import mapping
from joulecast_operator.api.workload import CLOCK_FIELD


def outputs_of(estimate: Mapping[str, Any], row: Mapping[str, Any]) -> Outputs:
    """Return the annotations for the result ``row`` of a Ready estimate."""
    status = mapping(estimate.get("status"))
    found = _numbers(row) | {
        ACCELERATOR: row.get("accelerator"),
        ORIGIN: row.get("origin"),
        MODEL_DIGEST: status.get("modelDigest"),
        ESTIMATED_AT: status.get("estimatedAt"),
        ESTIMATED_BATCH_SIZE: row.get("batchSize"),
        ESTIMATED_PRECISION: row.get("precision"),
        ESTIMATED_RUNTIME: row.get("runtime"),
        ESTIMATED_POWER_LIMIT: row.get("powerLimitWatts"),
        ESTIMATED_CLOCK: row.get(CLOCK_FIELD),
        **_generation(row),
    }
    written = {key: bounds.text(str(value)) for key, value in found.items() if value is not None}
    return {STATE: READY} | _by(estimate) | written


def outputs_without_numbers(estimate: Mapping[str, Any] | None, state: str, reason: str | None) -> Outputs:
    """Return the annotations of a workload without a forecast. ``reason``: None while the forecast is being made."""
    why = {} if reason is None else {REASON: bounds.text(reason)}
    return {STATE: state} | why | ({} if estimate is None else _by(estimate))


def merge(current: Mapping[str, str], desired: Mapping[str, str]) -> Changes:
    """Return the changes from the outputs in ``current`` to ``desired``; {} if only ``estimated-at`` differs."""
    present = outputs(current)
    changes: Changes = {key: value for key, value in desired.items() if present.get(key) != value}
    changes |= {key: None for key in present if key not in desired}
    has_time = ESTIMATED_AT in present and ESTIMATED_AT in desired
    return {} if has_time and set(changes) <= {ESTIMATED_AT} else changes


def admitted(*, old: Mapping[str, str], new: Mapping[str, str], desired: Outputs) -> Changes:
    """Return the changes to make to the annotations ``new`` at admission, whatever outputs they contain.

    ``old``: annotations of oldObject if model, images and inputs did not change, else {}. Its outputs are kept, unless
    ``desired`` was estimated later and differs.
    """
    stands = outputs(old)
    newer = _later(desired, stands) and bool(merge(stands, desired))
    return _replace(new, stands if stands and not newer else desired)


def _replace(new: Mapping[str, str], wanted: Outputs) -> Changes:
    present = outputs(new)
    changes: Changes = {key: value for key, value in wanted.items() if present.get(key) != value}
    return changes | {key: None for key in present if key not in wanted}


def _later(desired: Outputs, stands: Outputs) -> bool:
    """Tell whether ``desired`` was estimated later than ``stands``; outputs without a time count as the oldest."""
    return bool(desired) and (ESTIMATED_AT not in stands or desired.get(ESTIMATED_AT, "") > stands[ESTIMATED_AT])


def _by(estimate: Mapping[str, Any]) -> Outputs:
    name = mapping(estimate.get("metadata")).get("name")
    return {} if name is None else {ESTIMATED_BY: bounds.text(str(name))}


def _generation(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is written of a result for a language model: its phase and what runs at once."""
    return {
        ESTIMATED_PHASE: row.get("phase"),
        ESTIMATED_CONCURRENCY: row.get("concurrency"),
        ESTIMATED_INPUT_TOKENS: row.get("inputTokens"),
        ESTIMATED_OUTPUT_TOKENS: row.get("outputTokens"),
        ESTIMATED_TENSOR_PARALLEL: row.get("parallel"),
    }


def _numbers(row: Mapping[str, Any]) -> dict[str, str | None]:
    return _of_generation(row) | {
        JOULES: _number(row.get("joulesPerBatch")),
        JOULES_LOWER: _number(row.get("joulesPerBatchLower")),
        JOULES_UPPER: _number(row.get("joulesPerBatchUpper")),
        WATTS: _number(row.get("averagePowerWatts")),
        COVERAGE: _number(row.get("coverage"), rounding=ROUND_DOWN),  # so that 0.9996 is not shown as 1
    }


def _of_generation(row: Mapping[str, Any]) -> dict[str, str | None]:
    """Return the joules of a request and of an output token; of the phase decode only of a token, which is all of it.

    A phase without output tokens has 0 for them, which is not written.
    """
    figures = {name: field for name, field in _FIGURES.items() if row.get(field)}
    if row.get("phase") == "decode":
        figures = {name: field for name, field in figures.items() if not name.startswith(JOULES_PER_REQUEST)}
    return {name: _number(row[field]) for name, field in figures.items()}


_FIGURES: Final = {
    JOULES_PER_REQUEST: "joulesPerRequest",
    JOULES_PER_REQUEST_LOWER: "joulesPerRequestLower",
    JOULES_PER_REQUEST_UPPER: "joulesPerRequestUpper",
    JOULES_PER_OUTPUT_TOKEN: "joulesPerOutputToken",
    JOULES_PER_OUTPUT_TOKEN_LOWER: "joulesPerOutputTokenLower",
    JOULES_PER_OUTPUT_TOKEN_UPPER: "joulesPerOutputTokenUpper",
}


def _number(value: object, *, rounding: str = ROUND_HALF_EVEN) -> str | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return significant(value, rounding=rounding)
