"""The metric of the webhook's certificate."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from joulecast_operator.metrics.certificates import CERTIFICATE_BEHIND, show_certificate


def test_the_time_is_asked_for_at_every_scrape() -> None:
    registry, seconds = CollectorRegistry(), [0.0]
    show_certificate(registry, lambda: seconds[0])
    assert registry.get_sample_value(CERTIFICATE_BEHIND.name) == 0
    seconds[0] = 7.5
    assert registry.get_sample_value(CERTIFICATE_BEHIND.name) == 7.5
