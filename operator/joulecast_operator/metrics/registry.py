"""Make the registry of each process."""

from __future__ import annotations

from prometheus_client import (
    CollectorRegistry,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.registry import Collector


def registry_with(*collectors: Collector) -> CollectorRegistry:
    """A registry of the process's own memory and CPU figures, and of ``collectors``."""
    registry = CollectorRegistry()
    for collector in collectors:
        registry.register(collector)
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    return registry
