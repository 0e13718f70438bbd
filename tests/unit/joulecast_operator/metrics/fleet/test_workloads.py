"""Test the series of workloads."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from joulecast_operator.metrics.fleet.workloads import ServedWorkload, WorkloadCollector
from tests.unit.joulecast_operator.samples.scrapes import samples

LABELS = ("shop", "StatefulSet", "web", "NVIDIA-H200")
NAMES = ("namespace", "workload_kind", "workload", "accelerator")


def scraped(*served: ServedWorkload) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    registry = CollectorRegistry()
    registry.register(WorkloadCollector(lambda: served))
    return samples(registry)


def test_a_workload_has_three_series_at_most() -> None:
    found = scraped(ServedWorkload(labels=LABELS, per="request", values=(3, 3.1, 450.0)))
    own = dict(zip(NAMES, LABELS, strict=True))
    assert {(name, tuple(sorted(dict(labels).items()))): value for (name, labels), value in found.items()} == {
        ("joulecast_workload_pods", tuple(sorted(own.items()))): 3,
        ("joulecast_workload_predicted_joules", tuple(sorted((own | {"per": "request"}).items()))): 3.1,
        ("joulecast_workload_predicted_power_watts", tuple(sorted(own.items()))): 450.0,
    }


def test_what_is_not_known_has_no_series() -> None:
    found = scraped(ServedWorkload(labels=LABELS, per="inference", values=(None, 0.1, None)))
    assert {name for name, _ in found} == {"joulecast_workload_predicted_joules"}
