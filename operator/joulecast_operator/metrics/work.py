"""Declare and record the metrics of the controller's work on models: jobs that wait and run, fetches, cache hits."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Final, Literal

from prometheus_client import (
    CollectorRegistry,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from joulecast_operator.metrics.declaration import Metric
from joulecast_operator.workers.sandbox import BARRIERS
from joulecast_operator.workers.turns import Turns

ISOLATED: Final = Metric(
    name="joulecast_profiler_isolated",
    kind="gauge",
    labels=("barrier",),
    text="1 for each barrier between the network and the processes that read models, 0 if the kernel does not provide"
    f" it: {', '.join(BARRIERS)}, the strongest first. The last one alone does not stop hostile native code.",
)


QUEUED: Final = Metric(
    name="joulecast_queued_jobs",
    kind="gauge",
    labels=("pool",),
    text="Number of jobs that wait for their turn, by pool: fetch or profile.",
)
OLDEST: Final = Metric(
    name="joulecast_oldest_queued_job_seconds",
    kind="gauge",
    labels=("pool",),
    text="For how long the oldest job has waited for its turn, in seconds; 0 if none waits.",
)
RUNNING: Final = Metric(
    name="joulecast_running_jobs",
    kind="gauge",
    labels=("pool",),
    text="Number of jobs that run, by pool.",
)
FETCH_DURATION: Final = Metric(
    name="joulecast_fetch_duration_seconds",
    kind="histogram",
    labels=("operation",),
    text="Time of a fetcher's job in seconds, without the time that it waited for its turn: `resolve` looks up a tag,"
    " `fetch` reads the model. Failed jobs are included.",
)
FETCHED_BYTES: Final = Metric(
    name="joulecast_fetched_bytes_total",
    kind="counter",
    labels=(),
    text="Bytes received from registries for models that were read.",
)
CACHE_REQUESTS: Final = Metric(
    name="joulecast_cache_requests_total",
    kind="counter",
    labels=("kind", "result"),
    text="Look-ups in the cache, by what was looked for (`claim`: a model that was read before, `profile`: its rows at"
    " a batch size, `price`: its forecasts), and whether it was there: `hit` or `miss`.",
)
METRICS: Final = (QUEUED, OLDEST, RUNNING, FETCH_DURATION, FETCHED_BYTES, CACHE_REQUESTS)

CacheKind = Literal["claim", "profile", "price"]
"""What is looked for in the cache."""

_KINDS: Final[tuple[CacheKind, ...]] = ("claim", "profile", "price")
_OPERATIONS: Final = ("resolve", "fetch")
_FETCH_BUCKETS: Final = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0, 120.0)  # around the budget of 60 s


class WorkMetrics:
    """Records fetches and look-ups in the cache. The caller registers its ``collectors``."""

    def __init__(self) -> None:
        self._seconds = FETCH_DURATION.histogram(_FETCH_BUCKETS)
        self._bytes = FETCHED_BYTES.counter()
        self._requests = CACHE_REQUESTS.counter()
        for operation in _OPERATIONS:
            self._seconds.labels(operation)
        for kind in _KINDS:
            for result in ("hit", "miss"):
                self._requests.labels(kind, result)  # a rate needs a zero before the first miss

    @property
    def collectors(self) -> Sequence[Collector]:
        """Return the collectors to register."""
        return (self._seconds, self._bytes, self._requests)

    def fetched(self, operation: str, seconds: float) -> None:
        """Record how long a fetcher took for a job."""
        self._seconds.labels(operation).observe(seconds)

    def received(self, number: int) -> None:
        """Count bytes received from a registry."""
        self._bytes.inc(number)

    def looked_up(self, kind: CacheKind, *, hits: int = 0, misses: int = 0) -> None:
        """Count hits and misses of look-ups in the cache."""
        self._requests.labels(kind, "hit").inc(hits)
        self._requests.labels(kind, "miss").inc(misses)


class TurnsCollector(Collector):
    """Collects at scrape time how many jobs of each pool wait and run."""

    def __init__(self, pools: Iterable[Turns]) -> None:
        self._pools = tuple(pools)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        yield self._by_pool(QUEUED, lambda pool: pool.waiting)
        yield self._by_pool(OLDEST, Turns.oldest_seconds)
        yield self._by_pool(RUNNING, lambda pool: pool.running)

    def _by_pool(self, metric: Metric, value: Callable[[Turns], float]) -> GaugeMetricFamily:
        family = metric.family()
        for pool in self._pools:
            family.add_metric((pool.pool,), value(pool))
        return family


def show_isolation(registry: CollectorRegistry, standing: Collection[str]) -> None:
    """Serve which barriers there are between profilers and the network. This does not change while the process runs."""
    gauge = ISOLATED.gauge(registry)
    for barrier in BARRIERS:
        gauge.labels(barrier).set(barrier in standing)
