"""Declare and record the metrics of the operator itself: its queue, its reconciles, and the lag of its index."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
)

from joulecast_operator.api.kinds import ANNOTATED, CALIBRATIONS, ESTIMATES, PROFILES, SITES
from joulecast_operator.metrics.declaration import Metric
from joulecast_operator.metrics.reasons import counted

REFUSED: Final = Metric(
    name="joulecast_refused_writes_total",
    kind="counter",
    labels=("kind",),
    text="Writes that the API server refused for good (a policy, the schema, missing rights), by the object's kind.",
)


QUEUE_DEPTH: Final = Metric(
    name="joulecast_queue_depth",
    kind="gauge",
    labels=(),
    text="Number of objects that wait to be reconciled or are being reconciled.",
)
QUEUE_AGE: Final = Metric(
    name="joulecast_queue_oldest_seconds",
    kind="gauge",
    labels=(),
    text="For how long the oldest of these objects has waited, in seconds.",
)
RECONCILE_DURATION: Final = Metric(
    name="joulecast_reconcile_duration_seconds",
    kind="histogram",
    labels=("kind",),
    text="Duration of a reconcile in seconds, by the object's kind. A fetch that lasts longer is not included.",
)
RECONCILE_ERRORS: Final = Metric(
    name="joulecast_reconcile_errors_total",
    kind="counter",
    labels=("kind", "reason"),
    text="Failures, by the object's kind and the reason of its condition. `ApiUnavailable` and `ApiRefused` stand"
    " for requests to the API server, `InternalError` for joulecast itself, and `Other` for an unknown reason.",
)
INDEX_BEHIND: Final = Metric(
    name="joulecast_index_behind_seconds",
    kind="gauge",
    labels=(),
    text="For how long the process has known that a watch of its misses changes, in seconds; 0 if none does.",
    process="each",
)
CONTESTED: Final = Metric(
    name="joulecast_contested_workloads",
    kind="gauge",
    labels=(),
    text="Number of workloads whose annotations somebody else undoes after each write (the event AnnotationsUndone).",
)
OPERATOR: Final = (QUEUE_DEPTH, QUEUE_AGE, RECONCILE_DURATION, RECONCILE_ERRORS, INDEX_BEHIND, CONTESTED)

# from a reconcile that changes nothing, over 1 s, after which an estimate is shown as pending, to retried requests
_DURATION_BUCKETS: Final = (0.001, 0.005, 0.02, 0.1, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0)


class Reconciles:
    """Records how long reconciles take and how they fail."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._duration = RECONCILE_DURATION.histogram(_DURATION_BUCKETS, registry)
        self._errors = RECONCILE_ERRORS.counter(registry)
        for kind in (ESTIMATES, PROFILES, SITES, CALIBRATIONS, *ANNOTATED.values()):
            self._duration.labels(kind.kind)
            self._errors.labels(kind.kind, counted("InternalError"))  # a rate needs a zero before the first error

    @contextmanager
    def timed(self, kind: str) -> Iterator[None]:
        """Record how long the code inside takes for an object of ``kind``, whether it fails or not."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self._duration.labels(kind).observe(time.perf_counter() - started)

    def failed(self, kind: str, reason: str) -> None:
        """Count a failure of an object of ``kind``."""
        self._errors.labels(kind, counted(reason)).inc()


def show_queue(registry: CollectorRegistry, depth: Callable[[], float], age_seconds: Callable[[], float]) -> None:
    """Serve the number of queued objects and the age of the oldest at scrape time."""
    QUEUE_DEPTH.gauge(registry).set_function(depth)
    QUEUE_AGE.gauge(registry).set_function(age_seconds)


def show_contested(registry: CollectorRegistry, workloads: Callable[[], float]) -> None:
    """Serve at scrape time the number of workloads whose annotations are undone."""
    CONTESTED.gauge(registry).set_function(workloads)


def show_index(registry: CollectorRegistry, behind_seconds: Callable[[], float]) -> None:
    """Serve at scrape time for how long the index has been behind."""
    INDEX_BEHIND.gauge(registry).set_function(behind_seconds)


def refused_writes() -> Counter:
    """Return a counter of refused writes by kind; the caller registers it."""
    counter = REFUSED.counter()
    for kind in (ESTIMATES, PROFILES, SITES, CALIBRATIONS, *ANNOTATED.values()):
        counter.labels(kind.kind)  # a rate needs a zero before the first refusal
    return counter
