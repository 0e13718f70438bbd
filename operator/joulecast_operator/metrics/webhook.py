"""Declare and record the metrics of the admission webhook."""

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
    text=f"Reviews of workloads, by decision: {', '.join(OUTCOMES)}. None denies the workload.",
    process="webhook",
)

REFUSED_REQUESTS: Final = Metric(
    name="joulecast_admission_refused_requests_total",
    kind="counter",
    labels=("reason",),
    text=f"Requests that the webhook refused before it decided about a review, by reason: {', '.join(REFUSALS)}.",
    process="webhook",
)

DURATION: Final = Metric(
    name="joulecast_admission_duration_seconds",
    kind="histogram",
    labels=(),
    text="Time to decide about a workload at admission, in seconds.",
    process="webhook",
)

CERTIFICATE_EXPIRY: Final = Metric(
    name="joulecast_webhook_certificate_expiry_timestamp_seconds",
    kind="gauge",
    labels=(),
    text="When the webhook's certificate expires, in seconds since 1970; if its file is damaged, that of the old one.",
    process="webhook",
)

# around the target of 20 ms (docs/performance.md), up to the 2 s after which the API server stops waiting
_DURATION_BUCKETS: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2.0)


class AdmissionMetrics:
    """Records the decisions of the webhook, how long each took, and the requests that it refused."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = REQUESTS.counter(registry)
        self._duration = DURATION.histogram(_DURATION_BUCKETS, registry)
        self._refused = REFUSED_REQUESTS.counter(registry)
        for outcome in OUTCOMES:
            self._requests.labels(outcome)  # a rate needs a zero before the first error
        for reason in REFUSALS:
            self._refused.labels(reason)

    def observe(self, outcome: str, seconds: float) -> None:
        """Record one review: its outcome, and how many seconds it took."""
        self._requests.labels(outcome).inc()
        self._duration.observe(seconds)

    def refused(self, reason: str) -> None:
        """Count a request that was refused."""
        self._refused.labels(reason).inc()


def show_expiry(registry: CollectorRegistry, expires: Callable[[], float]) -> None:
    """Serve the expiry of the webhook's certificate at scrape time."""
    CERTIFICATE_EXPIRY.gauge(registry).set_function(expires)
