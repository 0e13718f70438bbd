"""Make the registry of each process."""

from __future__ import annotations

from prometheus_client import (
    CollectorRegistry,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.registry import Collector

disable_created_metrics()  # type: ignore[no-untyped-call]  # a `_created` gauge beside each counter is in no list of ours


def registry_with(*collectors: Collector) -> CollectorRegistry:
    """A registry of the process's own memory and CPU figures, and of ``collectors``."""
    registry = CollectorRegistry()
    for collector in collectors:
        registry.register(collector)
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    return registry
