"""Declare the metric of the webhook's certificate that the controller makes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from prometheus_client import CollectorRegistry

from joulecast_operator.metrics.declaration import Metric

CERTIFICATE_BEHIND: Final = Metric(
    name="joulecast_webhook_certificate_behind_seconds",
    kind="gauge",
    labels=(),
    text="For how long the webhook's certificate has needed something that the controller could not do, in seconds: to"
    " be made, to be renewed, or to be told to the API server; 0 if it is in order, or if the controller does not make"
    " it.",
)


def show_certificate(registry: CollectorRegistry, behind_seconds: Callable[[], float]) -> None:
    """Serve at scrape time for how long the certificate has not been in order."""
    CERTIFICATE_BEHIND.gauge(registry).set_function(behind_seconds)
