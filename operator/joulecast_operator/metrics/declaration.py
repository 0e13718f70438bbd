"""What is declared of a metric: its name, labels and meaning, from which docs/metrics.md is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from prometheus_client import disable_created_metrics
from prometheus_client.core import GaugeMetricFamily

from joulecast_operator.api.objects import Resource, mapping

disable_created_metrics()  # type: ignore[no-untyped-call]  # else each counter has a gauge `_created` that is not declared


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """Declaration of one metric. ``field``: the key of its value in a row of ``status.results``, if it has one."""

    name: str
    kind: Literal["gauge", "counter", "histogram"]
    labels: tuple[str, ...]
    text: str
    process: Literal["controller", "webhook", "each"] = "controller"
    field: str = ""


def family_of(metric: Metric) -> GaugeMetricFamily:
    """Return an empty family of the metric."""
    return GaugeMetricFamily(metric.name, metric.text, labels=metric.labels)


def identity_of(resource: Resource) -> tuple[str, str]:
    """Return namespace and name, the first two labels of every series about an object."""
    metadata = mapping(resource.get("metadata"))
    return str(metadata.get("namespace", "")), str(metadata.get("name", ""))
