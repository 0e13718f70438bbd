"""What Prometheus sees: forecasts read from the live index at scrape time, and counters of the admission webhook.

A deleted estimate's series go with it, because nothing is stored here. ``python -m joulecast_operator.metrics`` prints
the reference page from the same declarations.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple, Protocol

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from joulecast_operator.api import bounds
from joulecast_operator.api.annotations import READY, state_of
from joulecast_operator.api.kinds import CALIBRATIONS, DEPLOYMENTS, ESTIMATES, PROFILES
from joulecast_operator.api.products import product_named
from joulecast_operator.metrics import work
from joulecast_operator.metrics.declaration import Metric
from joulecast_operator.metrics.exposition import LargeFamily, Point, label_text
from joulecast_operator.metrics.reconciles import OPERATOR
from joulecast_operator.serving.admission_server import REFUSALS
from joulecast_operator.workers.sandbox import BARRIERS
from joulecast_operator.workloads.admission import OUTCOMES
from joulecast_operator.workloads.choice import row_for, rows_of

Resource = Mapping[str, Any]

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
        text="Share of the model's FLOPs that a calibrated model priced, 0 to 1.",
        field="coverage",
    ),
)
INFO: Final = Metric(
    name="joulecast_estimate_info",
    kind="gauge",
    labels=INFO_LABELS,
    text="Always 1: what else is known of a forecast. An estimate that is not Ready has one, without an accelerator.",
)
CALIBRATION_ERROR: Final = Metric(
    name="joulecast_calibration_error_ratio",
    kind="gauge",
    labels=("accelerator",),
    text="Held-out error of the accelerator's profile, as a ratio; of several profiles the largest.",
)
CALIBRATION_LABELS: Final = ("namespace", "calibration", "accelerator")
CALIBRATION_PROGRESS: Final = Metric(
    name="joulecast_calibration_progress_ratio",
    kind="gauge",
    labels=CALIBRATION_LABELS,
    text="How far an EnergyCalibration's last run is, 0 to 1.",
)
CALIBRATION_INFO: Final = Metric(
    name="joulecast_calibration_info",
    kind="gauge",
    labels=(*CALIBRATION_LABELS, "phase", "reason", "better"),
    text="Always 1: an EnergyCalibration's phase, why, and whether its last profile is better than the one before.",
)
ISOLATED: Final = Metric(
    name="joulecast_profiler_isolated",
    kind="gauge",
    labels=("barrier",),
    text="1 for each barrier that keeps whoever reads models from the network, 0 where the kernel does not grant it:"
    f" {', '.join(BARRIERS)}, strongest first. The last one alone holds no hostile native code.",
)
REFUSED: Final = Metric(
    name="joulecast_refused_writes_total",
    kind="counter",
    labels=("kind",),
    text="Writes that the API server refused for good (a policy, a schema, a right), by the kind of the object.",
)
REQUESTS: Final = Metric(
    name="joulecast_admission_requests_total",
    kind="counter",
    labels=("decision",),
    text=f"Workloads reviewed at admission, by decision: {', '.join(OUTCOMES)}. None is ever denied.",
    process="webhook",
)
REFUSED_REQUESTS: Final = Metric(
    name="joulecast_admission_refused_requests_total",
    kind="counter",
    labels=("reason",),
    text=f"Requests to the webhook that were refused before a review was decided, by reason: {', '.join(REFUSALS)}.",
    process="webhook",
)
DURATION: Final = Metric(
    name="joulecast_admission_duration_seconds",
    kind="histogram",
    labels=(),
    text="Time to decide about one workload at admission, in seconds.",
    process="webhook",
)
CERTIFICATE_EXPIRY: Final = Metric(
    name="joulecast_webhook_certificate_expiry_timestamp_seconds",
    kind="gauge",
    labels=(),
    text="When the certificate that the webhook serves ends, in seconds since 1970; a damaged file leaves the old one.",
    process="webhook",
)
METRICS: Final = (
    *FORECASTS,
    INFO,
    CALIBRATION_ERROR,
    CALIBRATION_PROGRESS,
    CALIBRATION_INFO,
    ISOLATED,
    REFUSED,
    *work.METRICS,
    REQUESTS,
    REFUSED_REQUESTS,
    DURATION,
    CERTIFICATE_EXPIRY,
    *OPERATOR,
)

disable_created_metrics()  # type: ignore[no-untyped-call]  # a `_created` gauge beside each counter is in no list of ours

# around the target of 20 ms (docs/performance.md), up to the 2 s after which the API server stops waiting
_DURATION_BUCKETS: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2.0)


class Shown(NamedTuple):
    """What is served of a row: labels, those of the info besides, a value for each of ``FORECASTS``."""

    labels: tuple[str, ...]
    known: tuple[str, ...]
    values: tuple[float | None, ...]


class LiveIndex(Protocol):
    """What is read at scrape time: the resources as the last events left them."""

    def shown(self) -> Iterable[tuple[Shown, ...]]: ...

    def profiles(self) -> Iterable[Resource]: ...

    def calibrations(self) -> Iterable[Resource]: ...


class EstimateCollector(Collector):
    """Series of every estimate, profile and calibration that the index holds now."""

    def __init__(self, index: LiveIndex) -> None:
        self._index = index

    def collect(self) -> Iterator[GaugeMetricFamily]:
        yield from _estimate_families([row for rows in self._index.shown() for row in rows])
        yield _calibration_family(self._index.profiles())
        yield from _run_families(self._index.calibrations())

    def describe(self) -> Iterator[GaugeMetricFamily]:
        for metric in (*FORECASTS, INFO, CALIBRATION_ERROR, CALIBRATION_PROGRESS, CALIBRATION_INFO):
            yield _family(metric)


class AdmissionMetrics:
    """Counts decisions of the webhook and how long each took."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(REQUESTS.name, REQUESTS.text, REQUESTS.labels, registry=registry)
        self._duration = Histogram(DURATION.name, DURATION.text, buckets=_DURATION_BUCKETS, registry=registry)
        self._refused = Counter(
            REFUSED_REQUESTS.name, REFUSED_REQUESTS.text, REFUSED_REQUESTS.labels, registry=registry
        )
        for outcome in OUTCOMES:
            self._requests.labels(outcome)  # a rate needs the zero before the first error
        for reason in REFUSALS:
            self._refused.labels(reason)

    def observe(self, outcome: str, seconds: float) -> None:
        self._requests.labels(outcome).inc()
        self._duration.observe(seconds)

    def refused(self, reason: str) -> None:
        self._refused.labels(reason).inc()


def refused_writes() -> Counter:
    """Counts refusals by kind; in no registry yet."""
    counter = Counter(REFUSED.name, REFUSED.text, REFUSED.labels, registry=None)
    for kind in (ESTIMATES, PROFILES, CALIBRATIONS, DEPLOYMENTS):
        counter.labels(kind.kind)  # a rate needs the zero before the first refusal
    return counter


def show_isolation(registry: CollectorRegistry, standing: Collection[str]) -> None:
    """Serve which barriers stand between the profiler and the network; it is found out once, at the start."""
    gauge = Gauge(ISOLATED.name, ISOLATED.text, ISOLATED.labels, registry=registry)
    for barrier in BARRIERS:
        gauge.labels(barrier).set(barrier in standing)


def show_expiry(registry: CollectorRegistry, expires: Callable[[], float]) -> None:
    """Serve when the webhook's certificate ends, as it is at scrape time."""
    Gauge(CERTIFICATE_EXPIRY.name, CERTIFICATE_EXPIRY.text, registry=registry).set_function(expires)


def registry_with(*collectors: Collector) -> CollectorRegistry:
    """A registry of the process's own memory and CPU figures, and of ``collectors``."""
    registry = CollectorRegistry()
    for collector in collectors:
        registry.register(collector)
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    return registry


def reference() -> str:
    """docs/metrics.md, from the declarations above."""
    lines = [
        "# Metrics",
        "",
        "Both processes serve `/metrics` on `--metrics-port`, over TLS, to accounts that may get that URL:",
        "[security.md](security.md#metrics). This page is generated:",
        "`python -m joulecast_operator.metrics > docs/metrics.md`.",
        "",
        "| metric | kind | served by | labels | meaning |",
        "|---|---|---|---|---|",
    ]
    lines += [_reference_row(metric) for metric in METRICS]
    return "\n".join([*lines, "", *_REFERENCE_NOTES])


_REFERENCE_NOTES: Final = (
    "`workload` is the Deployment that an estimate targets or was made for, empty for an estimate of a bare image. A",
    "forecast is served while its estimate is Ready, of each estimate the result that its summary names; with",
    "`--metrics-all-results` (`metrics.allResults` of the chart) all of them. A deleted estimate's series end. The",
    "usual `process_*` and `python_info` metrics are served too.",
    "",
)


def _reference_row(metric: Metric) -> str:
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    return f"| `{metric.name}` | {metric.kind} | {metric.process} | {labels} | {metric.text} |"


def _family(metric: Metric) -> GaugeMetricFamily:
    return GaugeMetricFamily(metric.name, metric.text, labels=metric.labels)


def shown(estimate: Resource, *, all_results: bool = False) -> tuple[Shown, ...]:
    """The rows of an estimate that are served: the one that its summary names, or all."""
    state, status = state_of(estimate), _mapping(estimate.get("status"))
    image = _mapping(_mapping(estimate.get("spec")).get("model")).get("image") or status.get("image", "")
    model, digest = bounds.text(str(image)), str(status.get("modelDigest", ""))
    nothing: tuple[tuple[str, ...], Resource] = ((*_identity(estimate), _workload(estimate), "", "", ""), {})
    return tuple(
        Shown(
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


def _estimate_families(rows: Iterable[Shown]) -> Iterator[GaugeMetricFamily]:
    """A family's series stand together, as the text format demands."""
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


def _calibration_family(profiles: Iterable[Resource]) -> GaugeMetricFamily:
    worst: dict[str, float] = {}
    for profile in profiles:
        product = product_named(str(_mapping(profile.get("spec")).get("product") or ""))
        error = _mapping(profile.get("status")).get("heldOutError")
        if product and isinstance(error, (int, float)):
            worst[product] = max(error, worst.get(product, 0.0))
    family = _family(CALIBRATION_ERROR)
    for product, error in sorted(worst.items()):
        family.add_metric((product,), error)
    return family


def _run_families(calibrations: Iterable[Resource]) -> Iterator[GaugeMetricFamily]:
    progress, info = _family(CALIBRATION_PROGRESS), _family(CALIBRATION_INFO)
    for calibration in sorted(calibrations, key=_identity):
        status = _mapping(calibration.get("status"))
        labels = (*_identity(calibration), str(status.get("accelerator", "")))
        if isinstance(status.get("progress"), (int, float)):
            progress.add_metric(labels, status["progress"])
        better = _mapping(status.get("quality")).get("better")
        shown = "" if better is None else str(better).lower()
        info.add_metric((*labels, str(status.get("phase", "")), _reason(status), shown), 1)
    yield progress
    yield info


def _reason(status: Resource) -> str:
    """Of the last condition, Calibrated."""
    conditions = _mappings(status.get("conditions")) or [{}]
    return str(conditions[-1].get("reason", ""))


def _rows(estimate: Resource, *, all_results: bool) -> list[tuple[tuple[str, ...], Resource]]:
    """The rows of a Ready estimate with their labels; each label set once, as a second would void the scrape."""
    if state_of(estimate) != READY:
        return []
    chosen = None if all_results else row_for(estimate, {})
    results = rows_of(estimate) if all_results else (chosen,) if chosen else ()
    found: dict[tuple[str, ...], Resource] = {}
    for row in results:
        own = tuple(str(row.get(key, "")) for key in ("accelerator", "batchSize", "precision"))
        found.setdefault((*_identity(estimate), _workload(estimate), *own), row)
    return list(found.items())


def _identity(estimate: Resource) -> tuple[str, str]:
    metadata = _mapping(estimate.get("metadata"))
    return str(metadata.get("namespace", "")), str(metadata.get("name", ""))


def _workload(estimate: Resource) -> str:
    """The name of the workload that the estimate targets or was made for."""
    target = _mapping(_mapping(estimate.get("spec")).get("targetRef")).get("name")
    owners = _mappings(_mapping(estimate.get("metadata")).get("ownerReferences"))
    made_for = next((owner.get("name") for owner in owners if owner.get("kind") == "Deployment"), "")
    return str(target or made_for or "")


def _mapping(value: object) -> Resource:
    return value if isinstance(value, Mapping) else {}


def _mappings(value: object) -> list[Resource]:
    """Entries that are mappings: one object of another shape must not stop a scrape."""
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, (list, tuple)) else []
