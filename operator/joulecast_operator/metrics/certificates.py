"""Declare the metrics of the webhook's certificate as the controller knows it, where it makes that certificate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from prometheus_client import CollectorRegistry

from joulecast_operator.metrics.declaration import Metric

BEHIND: Final = Metric(
    name="joulecast_webhook_certificate_behind_seconds",
    kind="gauge",
    labels=(),
    text="For how long the webhook's certificate has needed something that the controller could not do, in seconds: to"
    " be made, to be renewed, or to be told to the API server; 0 if it is in order. Served where the chart's"
    " certificate source is the controller.",
)
AUTHORITY_EXPIRY: Final = Metric(
    name="joulecast_webhook_authority_expiry_timestamp_seconds",
    kind="gauge",
    labels=(),
    text="When the authority expires that signed the webhook's certificate, in seconds since 1970; 0 while there is"
    " none. Served likewise.",
)
CERTIFICATES: Final = (BEHIND, AUTHORITY_EXPIRY)


def show_certificate(
    registry: CollectorRegistry, behind_seconds: Callable[[], float], authority_expires: Callable[[], float]
) -> None:
    """Serve both at scrape time."""
    BEHIND.gauge(registry).set_function(behind_seconds)
    AUTHORITY_EXPIRY.gauge(registry).set_function(authority_expires)
