"""The declaration of a metric: its name, labels and meaning, from which docs/metrics.md is made."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.core import GaugeMetricFamily

from joulecast_operator.api.objects import Resource, mapping

disable_created_metrics()  # type: ignore[no-untyped-call]  # else each counter has a gauge `_created` that is not declared


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """The declaration of one metric, from which its instrument and its row in docs/metrics.md are made.

    - ``name``: the name that Prometheus stores, with its unit last.
    - ``kind``: the type of the metric.
    - ``labels``: names of the labels.
    - ``text``: what the metric means; the HELP line.
    - ``process``: which process serves it; ``each``: both.
    - ``field``: key of its value in a row of ``status.results``, or in the part of a status that it is of; "" where it
      has none.
    """

    name: str
    kind: Literal["gauge", "counter", "histogram"]
    labels: tuple[str, ...]
    text: str
    process: Literal["controller", "webhook", "each"] = "controller"
    field: str = ""

    def counter(self, registry: CollectorRegistry | None = None) -> Counter:
        """Return a counter, registered in ``registry`` if one is given."""
        return Counter(self.name, self.text, self.labels, registry=registry)

    def gauge(self, registry: CollectorRegistry | None = None) -> Gauge:
        """Return a gauge, registered in ``registry`` if one is given."""
        return Gauge(self.name, self.text, self.labels, registry=registry)

    def histogram(self, buckets: Sequence[float], registry: CollectorRegistry | None = None) -> Histogram:
        """Return a histogram with the upper bounds ``buckets``, registered in ``registry`` if one is given."""
        return Histogram(self.name, self.text, self.labels, buckets=buckets, registry=registry)

    def family(self) -> GaugeMetricFamily:
        """Return an empty family, for a collector that fills it at scrape time."""
        return GaugeMetricFamily(self.name, self.text, labels=self.labels)


def finite(value: object) -> float | None:
    """Return a number of a status as the value of a sample; None for anything else, such as infinity."""
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else None


def identity_of(resource: Resource) -> tuple[str, str]:
    """Return namespace and name, the first two labels of every series about an object."""
    metadata = mapping(resource.get("metadata"))
    return str(metadata.get("namespace", "")), str(metadata.get("name", ""))
