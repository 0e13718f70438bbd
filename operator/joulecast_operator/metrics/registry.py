"""Make the registry of metrics of a process."""

from __future__ import annotations

from prometheus_client import (
    CollectorRegistry,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.registry import Collector


def registry_with(*collectors: Collector) -> CollectorRegistry:
    """Return a registry with ``collectors`` and the process's own memory and CPU metrics."""
    registry = CollectorRegistry()
    for collector in collectors:
        registry.register(collector)
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    return registry
