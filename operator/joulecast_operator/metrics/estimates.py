"""Declare and collect the metrics of the forecasts of estimates."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Final, NamedTuple

from prometheus_client.core import GaugeMetricFamily

from joulecast_operator.api import bounds
from joulecast_operator.api.annotations import READY, state_of
from joulecast_operator.api.conditions import PROFILED, RESOLVED, condition
from joulecast_operator.api.kinds import ANNOTATED, DEPLOYMENTS
from joulecast_operator.api.objects import Resource, mapping, mappings
from joulecast_operator.metrics.declaration import Metric, finite, identity_of
from joulecast_operator.metrics.exposition import LargeFamily, Point, label_text
from joulecast_operator.metrics.fleet.costs import ServedCost, served_cost
from joulecast_operator.workloads.choice import row_for, rows_of

FORECAST_LABELS: Final = (
    "namespace", "estimate", "workload_kind", "workload", "accelerator", "batch_size", "precision",
)  # fmt: skip

INFO_LABELS: Final = (*FORECAST_LABELS, "state", "origin", "runtime", "model", "model_digest")

COVERAGE: Final = Metric(
    name="joulecast_coverage_ratio",
    kind="gauge",
    labels=FORECAST_LABELS,
    text="Share of the model's FLOPs that the forecast covers, 0 to 1. batch_size is empty for requests and tokens.",
    field="coverage",
)

FORECASTS: Final = (
    Metric(
        name="joulecast_predicted_joules_per_batch",
        kind="gauge",
        labels=FORECAST_LABELS,
        text="Predicted energy of one batch, in joules.",
        field="joulesPerBatch",
    ),
    Metric(
        name="joulecast_predicted_joules_per_batch_lower",
        kind="gauge",
        labels=FORECAST_LABELS,
        text="Lower end of the 90 % interval of the predicted energy of one batch, in joules.",
        field="joulesPerBatchLower",
    ),
    Metric(
        name="joulecast_predicted_joules_per_batch_upper",
        kind="gauge",
        labels=FORECAST_LABELS,
        text="Upper end of the 90 % interval of the predicted energy of one batch, in joules.",
        field="joulesPerBatchUpper",
    ),
    Metric(
        name="joulecast_predicted_latency_seconds",
        kind="gauge",
        labels=FORECAST_LABELS,
        text="Predicted time of one batch, in seconds.",
        field="latencySeconds",
    ),
    Metric(
        name="joulecast_predicted_power_watts",
        kind="gauge",
        labels=FORECAST_LABELS,
        text="Predicted average power of the accelerator while a batch runs, in watts.",
        field="averagePowerWatts",
    ),
    COVERAGE,
)

GENERATION_LABELS: Final = (
    "namespace", "estimate", "workload_kind", "workload", "accelerator", "precision", "phase", "concurrency",
    "input_tokens", "output_tokens", "parallel",
)  # fmt: skip


def _of_generation(name: str, text: str, field: str) -> Metric:
    return Metric(name=name, kind="gauge", labels=GENERATION_LABELS, text=text, field=field)


GENERATIONS: Final = (
    _of_generation(
        "joulecast_predicted_joules_per_request",
        "Predicted energy of one request of a language model on all accelerators that share it, in joules.",
        "joulesPerRequest",
    ),
    _of_generation(
        "joulecast_predicted_joules_per_request_lower",
        "Lower end of the 90 % interval of the predicted energy of one request, in joules.",
        "joulesPerRequestLower",
    ),
    _of_generation(
        "joulecast_predicted_joules_per_request_upper",
        "Upper end of the 90 % interval of the predicted energy of one request, in joules.",
        "joulesPerRequestUpper",
    ),
    _of_generation(
        "joulecast_predicted_joules_per_output_token",
        "Predicted energy of one output token, in joules.",
        "joulesPerOutputToken",
    ),
    _of_generation(
        "joulecast_predicted_time_to_first_token_seconds",
        "Predicted time from a request's arrival to its first output token, in seconds.",
        "timeToFirstTokenSeconds",
    ),
    _of_generation(
        "joulecast_predicted_inter_token_latency_seconds",
        "Predicted time between two output tokens of a request, in seconds.",
        "interTokenLatencySeconds",
    ),
    _of_generation(
        "joulecast_predicted_generation_power_watts",
        "Predicted average power of all accelerators that share the model while it serves, in watts.",
        "averagePowerWatts",
    ),
)

_OF_GENERATION: Final = ("phase", "concurrency", "inputTokens", "outputTokens", "parallel")
"""Fields of a result for the labels that only generation has."""

INFO: Final = Metric(
    name="joulecast_estimate_info",
    kind="gauge",
    labels=INFO_LABELS,
    text="Always 1. The labels tell what else is known about a forecast. An estimate that is not Ready has one series,"
    " without an accelerator.",
)

STALE: Final = Metric(
    name="joulecast_stale_forecast_since_timestamp_seconds",
    kind="gauge",
    labels=("namespace", "estimate"),
    text="Since when an estimate's last forecast stands although its model cannot be looked up or profiled again, in"
    " seconds since 1970. An estimate whose forecast is up to date has no series.",
)

FAMILIES: Final = (*FORECASTS, *GENERATIONS, INFO, STALE)
"""All metrics of estimates."""


class ServedRow(NamedTuple):
    """One result of an estimate as it is served.

    - ``labels``: values of the labels that all its series have.
    - ``known``: values of the further labels of ``INFO``.
    - ``values``: the value for each of ``FORECASTS``; None where there is none. Of generation it is the coverage alone.
    - ``generation``: values of ``GENERATION_LABELS`` of a result of generation; empty for any other.
    - ``generated``: the value for each of ``GENERATIONS``, of a result of generation.
    - ``stale_since``: the value of ``STALE``; None if the forecast is up to date, and for all rows but the first.
    - ``cost``: what the estimate costs; None if no site prices it, and for all rows but the first.
    """

    labels: tuple[str, ...]
    known: tuple[str, ...]
    values: tuple[float | None, ...]
    generation: tuple[str, ...] = ()
    generated: tuple[float | None, ...] = ()
    stale_since: float | None = None
    cost: ServedCost | None = None


def shown(estimate: Resource, *, all_results: bool = False) -> tuple[ServedRow, ...]:
    """Return the rows of an estimate to serve: the one that its summary names, or all."""
    state, status = state_of(estimate), mapping(estimate.get("status"))
    source = mapping(mapping(estimate.get("spec")).get("model"))
    model = bounds.text(str(source.get("image") or source.get("uri") or status.get("image", "")))
    digest = str(status.get("modelDigest", ""))
    nothing: tuple[tuple[str, ...], Resource] = ((*identity_of(estimate), *_workload(estimate), "", "", ""), {})
    first, *further = (
        _served(labels, row, (state, str(row.get("origin", "")), str(row.get("runtime", "")), model, digest))
        for labels, row in _rows(estimate, all_results=all_results) or [nothing]
    )
    cost = served_cost(*identity_of(estimate), status) if state == READY else None
    return (first._replace(stale_since=stale_since(estimate), cost=cost), *further)


def stale_since(estimate: Resource) -> float | None:
    """Return since when the forecast stands although the model cannot be looked up or profiled, in seconds since 1970.

    None if there is no forecast or it is up to date.
    """
    if state_of(estimate) != READY:
        return None
    found = (condition(mapping(estimate.get("status")), kind) for kind in (RESOLVED, PROFILED))
    times = [_seconds(each.get("lastTransitionTime")) for each in found if each and each.get("status") != "True"]
    return min(times, default=None)


def _seconds(time: object) -> float:
    """Return a time of a condition in seconds since 1970; 0 if somebody else wrote it and it is none."""
    try:
        return datetime.fromisoformat(str(time)).timestamp()
    except ValueError:
        return 0.0


def _served(labels: tuple[str, ...], row: Resource, known: tuple[str, ...]) -> ServedRow:
    generated = is_generation(row)
    return ServedRow(
        labels=tuple(map(sys.intern, labels)),
        known=tuple(map(sys.intern, known)),
        values=tuple(finite(row.get(metric.field)) if _is_of(metric, generated) else None for metric in FORECASTS),
        generation=tuple(map(sys.intern, _generation_labels(labels, row))) if generated else (),
        generated=tuple(finite(row.get(metric.field)) for metric in GENERATIONS) if generated else (),
    )


def _is_of(metric: Metric, generated: bool) -> bool:
    """Tell whether one of ``FORECASTS`` is served of a result: those of a batch are not, of a result of generation."""
    return not generated or metric is COVERAGE


def is_generation(row: Resource) -> bool:
    """Tell whether a result is of requests and tokens rather than of batches."""
    return row.get("joulesPerBatch") is None and row.get("concurrency") is not None


def _generation_labels(labels: tuple[str, ...], row: Resource) -> tuple[str, ...]:
    *identity, accelerator, _, precision = labels
    return (*identity, accelerator, precision, *(str(row.get(field) or "") for field in _OF_GENERATION))


def estimate_families(rows: Iterable[ServedRow]) -> Iterator[GaugeMetricFamily]:
    """Yield the families of all rows. All series of a family are together, as the text format requires."""
    points: dict[str, list[Point]] = {metric.name: [] for metric in FAMILIES}
    for row in rows:
        text = label_text(FORECAST_LABELS, row.labels)
        _add(points, FORECASTS, row.labels, text, row.values)
        if row.generation:
            _add(points, GENERATIONS, row.generation, label_text(GENERATION_LABELS, row.generation), row.generated)
        known = label_text(INFO_LABELS[len(FORECAST_LABELS) :], row.known)
        points[INFO.name].append(((*row.labels, *row.known), f"{text},{known}", 1.0))
        identity = row.labels[: len(STALE.labels)]
        _add(points, (STALE,), identity, label_text(STALE.labels, identity), (row.stale_since,))
    for metric in FAMILIES:
        yield LargeFamily(metric.name, metric.text, metric.labels, points[metric.name])


def _add(
    points: dict[str, list[Point]],
    metrics: Iterable[Metric],
    labels: tuple[str, ...],
    text: str,
    values: Iterable[float | None],
) -> None:
    for metric, value in zip(metrics, values, strict=True):
        if value is not None:
            points[metric.name].append((labels, text, value))


def _rows(estimate: Resource, *, all_results: bool) -> list[tuple[tuple[str, ...], Resource]]:
    """Return the results of a Ready estimate with their labels, each set of labels once, else the page is invalid."""
    if state_of(estimate) != READY:
        return []
    chosen = None if all_results else row_for(estimate, {})
    results = rows_of(estimate) if all_results else (chosen,) if chosen else ()
    found: dict[tuple[str, ...], Resource] = {}
    for row in results:
        own = tuple(str(row.get(key) or "") for key in ("accelerator", "batchSize", "precision"))
        found.setdefault((*identity_of(estimate), *_workload(estimate), *own), row)
    return list(found.items())


def _workload(estimate: Resource) -> tuple[str, str]:
    """Return kind and name of the workload that the estimate targets or was created for; "" twice if there is none."""
    target = mapping(mapping(estimate.get("spec")).get("targetRef"))
    if target.get("name"):
        return str(target.get("kind") or DEPLOYMENTS.kind), str(target["name"])
    owners = mappings(mapping(estimate.get("metadata")).get("ownerReferences"))
    made_for: Resource = next((owner for owner in owners if owner.get("kind") in ANNOTATED), {})
    return str(made_for.get("kind") or ""), str(made_for.get("name") or "")
