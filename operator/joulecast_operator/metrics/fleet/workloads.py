"""Declare and collect the metrics of workloads: of each one series for a workload, however many estimates it has."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from joulecast_operator.metrics.declaration import Metric
from joulecast_operator.metrics.exposition import LargeFamily, Point, label_text

_LABELS: Final = ("namespace", "workload_kind", "workload", "accelerator")

PODS: Final = Metric(
    name="joulecast_workload_pods",
    kind="gauge",
    labels=_LABELS,
    text="Number of pods that a workload with a forecast asks for at once.",
)
JOULES: Final = Metric(
    name="joulecast_workload_predicted_joules",
    kind="gauge",
    labels=(*_LABELS, "per"),
    text="Predicted energy of one inference, request or token (the label per) of a workload, in joules.",
)
POWER: Final = Metric(
    name="joulecast_workload_predicted_power_watts",
    kind="gauge",
    labels=_LABELS,
    text="Predicted mean power of all replicas of a workload, in watts, if its estimate says a rate of requests or a"
    " utilization and the forecast is of one replica.",
)
WORKLOAD_METRICS: Final = (PODS, JOULES, POWER)
"""All metrics of workloads."""


class ServedWorkload(NamedTuple):
    """A workload as it is served.

    - ``labels``: values of the labels ``namespace``, ``workload_kind``, ``workload`` and ``accelerator``.
    - ``per``: value of this label.
    - ``values``: the value for each of ``WORKLOAD_METRICS``; None where there is none.
    """

    labels: tuple[str, str, str, str]
    per: str
    values: tuple[float | None, float | None, float | None]


class WorkloadCollector(Collector):
    """Collects the series of all workloads that ``workloads`` returns at scrape time."""

    def __init__(self, workloads: Callable[[], Iterable[ServedWorkload]]) -> None:
        self._workloads = workloads

    def collect(self) -> Iterator[GaugeMetricFamily]:
        points: dict[str, list[Point]] = {metric.name: [] for metric in WORKLOAD_METRICS}
        for workload in self._workloads():
            for metric, value in zip(WORKLOAD_METRICS, workload.values, strict=True):
                if value is not None:
                    labels = workload.labels if metric is not JOULES else (*workload.labels, workload.per)
                    points[metric.name].append((labels, label_text(metric.labels, labels), value))
        for metric in WORKLOAD_METRICS:
            yield LargeFamily(metric.name, metric.text, metric.labels, points[metric.name])

    def describe(self) -> Iterator[GaugeMetricFamily]:
        for metric in WORKLOAD_METRICS:
            yield metric.family()
