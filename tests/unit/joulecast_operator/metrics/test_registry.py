"""What every process serves of itself."""

from __future__ import annotations

import sys

import pytest
from prometheus_client import Counter, generate_latest

from joulecast_operator.metrics.registry import registry_with


def test_two_registries_share_nothing_but_the_process() -> None:
    first, second = registry_with(Counter("own", "text", registry=None)), registry_with()
    assert first.get_sample_value("own_total") == 0
    assert second.get_sample_value("own_total") is None
    assert b"python_info" in generate_latest(second)


@pytest.mark.skipif(sys.platform != "linux", reason="prometheus_client reads /proc")
def test_memory_and_processor_time_of_the_process_are_served() -> None:
    found = registry_with()
    assert (found.get_sample_value("process_resident_memory_bytes") or 0) > 0
    assert (found.get_sample_value("process_cpu_seconds_total") or 0) > 0


def test_a_counter_has_no_gauge_that_is_not_declared() -> None:
    page = generate_latest(registry_with(Counter("own", "text", registry=None))).decode()
    assert "own_total 0.0" in page
    assert "_created" not in page
