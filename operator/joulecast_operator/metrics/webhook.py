"""Metrics of the admission webhook."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from prometheus_client import (
    CollectorRegistry,
)

from joulecast_operator.metrics.declaration import Metric
from joulecast_operator.metrics.reasons import REFUSALS
from joulecast_operator.workloads.admission import OUTCOMES

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

# around the target of 20 ms (docs/performance.md), up to the 2 s after which the API server stops waiting
_DURATION_BUCKETS: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2.0)


class AdmissionMetrics:
    """Counts decisions of the webhook and how long each took."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = REQUESTS.counter(registry)
        self._duration = DURATION.histogram(_DURATION_BUCKETS, registry)
        self._refused = REFUSED_REQUESTS.counter(registry)
        for outcome in OUTCOMES:
            self._requests.labels(outcome)  # a rate needs the zero before the first error
        for reason in REFUSALS:
            self._refused.labels(reason)

    def observe(self, outcome: str, seconds: float) -> None:
        self._requests.labels(outcome).inc()
        self._duration.observe(seconds)

    def refused(self, reason: str) -> None:
        self._refused.labels(reason).inc()


def show_expiry(registry: CollectorRegistry, expires: Callable[[], float]) -> None:
    """Serve when the webhook's certificate ends, as it is at scrape time."""
    CERTIFICATE_EXPIRY.gauge(registry).set_function(expires)
