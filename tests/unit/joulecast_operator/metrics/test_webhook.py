from __future__ import annotations

from prometheus_client import CollectorRegistry

from joulecast_operator.metrics.webhook import AdmissionMetrics
from tests.unit.joulecast_operator.samples.scrapes import samples


def test_admission_is_counted_by_decision_from_zero() -> None:
    registry = CollectorRegistry()
    counted = AdmissionMetrics(registry)
    counted.observe("annotated", 0.003)
    found = samples(registry)
    assert found["joulecast_admission_requests_total", frozenset({("decision", "annotated")})] == 1
    assert found["joulecast_admission_requests_total", frozenset({("decision", "error")})] == 0
    assert found["joulecast_admission_duration_seconds_count", frozenset()] == 1
