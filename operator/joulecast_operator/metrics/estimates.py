"""Declare and collect the metrics of the forecasts of estimates."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from prometheus_client.core import GaugeMetricFamily

from joulecast_operator.api import bounds
from joulecast_operator.api.annotations import READY, state_of
from joulecast_operator.api.objects import Resource, mapping, mappings
from joulecast_operator.metrics.declaration import Metric, identity_of
from joulecast_operator.metrics.exposition import LargeFamily, Point, label_text
from joulecast_operator.workloads.choice import row_for, rows_of

FORECAST_LABELS: Final = ("namespace", "estimate", "workload", "accelerator", "batch_size", "precision")

INFO_LABELS: Final = (*FORECAST_LABELS, "state", "origin", "runtime", "model", "model_digest")

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
    Metric(
        name="joulecast_coverage_ratio",
        kind="gauge",
        labels=FORECAST_LABELS,
        text="Share of the model's FLOPs that the forecast covers, 0 to 1.",
        field="coverage",
    ),
)

INFO: Final = Metric(
    name="joulecast_estimate_info",
    kind="gauge",
    labels=INFO_LABELS,
    text="Always 1. The labels tell what else is known about a forecast. An estimate that is not Ready has one series,"
    " without an accelerator.",
)


class ServedRow(NamedTuple):
    """One result of an estimate as it is served.

    - ``labels``: values of the labels that all its series have.
    - ``known``: values of the further labels of ``INFO``.
    - ``values``: the value for each of ``FORECASTS``; None where there is none.
    """

    labels: tuple[str, ...]
    known: tuple[str, ...]
    values: tuple[float | None, ...]


def shown(estimate: Resource, *, all_results: bool = False) -> tuple[ServedRow, ...]:
    """Return the rows of an estimate to serve: the one that its summary names, or all."""
    state, status = state_of(estimate), mapping(estimate.get("status"))
    image = mapping(mapping(estimate.get("spec")).get("model")).get("image") or status.get("image", "")
    model, digest = bounds.text(str(image)), str(status.get("modelDigest", ""))
    nothing: tuple[tuple[str, ...], Resource] = ((*identity_of(estimate), _workload(estimate), "", "", ""), {})
    return tuple(
        ServedRow(
            labels=tuple(map(sys.intern, labels)),
            known=tuple(
                map(sys.intern, (state, str(row.get("origin", "")), str(row.get("runtime", "")), model, digest))
            ),
            values=tuple(_finite(row.get(metric.field)) for metric in FORECASTS),
        )
        for labels, row in _rows(estimate, all_results=all_results) or [nothing]
    )


def _finite(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else None


def estimate_families(rows: Iterable[ServedRow]) -> Iterator[GaugeMetricFamily]:
    """Yield the families of all rows. All series of a family are together, as the text format requires."""
    points: list[list[Point]] = [[] for _ in (*FORECASTS, INFO)]
    for row in rows:
        text = label_text(FORECAST_LABELS, row.labels)
        for found, value in zip(points, row.values, strict=False):
            if value is not None:
                found.append((row.labels, text, value))
        known = label_text(INFO_LABELS[len(FORECAST_LABELS) :], row.known)
        points[-1].append(((*row.labels, *row.known), f"{text},{known}", 1.0))
    for metric, found in zip((*FORECASTS, INFO), points, strict=True):
        yield LargeFamily(metric.name, metric.text, metric.labels, found)


def _rows(estimate: Resource, *, all_results: bool) -> list[tuple[tuple[str, ...], Resource]]:
    """Return the results of a Ready estimate with their labels, each set of labels once, else the page is invalid."""
    if state_of(estimate) != READY:
        return []
    chosen = None if all_results else row_for(estimate, {})
    results = rows_of(estimate) if all_results else (chosen,) if chosen else ()
    found: dict[tuple[str, ...], Resource] = {}
    for row in results:
        own = tuple(str(row.get(key, "")) for key in ("accelerator", "batchSize", "precision"))
        found.setdefault((*identity_of(estimate), _workload(estimate), *own), row)
    return list(found.items())


def _workload(estimate: Resource) -> str:
    """Return the name of the workload that the estimate targets or was created for; "" if there is none."""
    target = mapping(mapping(estimate.get("spec")).get("targetRef")).get("name")
    owners = mappings(mapping(estimate.get("metadata")).get("ownerReferences"))
    made_for = next((owner.get("name") for owner in owners if owner.get("kind") == "Deployment"), "")
    return str(target or made_for or "")
