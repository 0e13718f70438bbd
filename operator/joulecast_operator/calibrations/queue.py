"""Decide which calibration measures next where several would make the same profile; pure.

A GPU is one pod's alone by the device plugin. What has to be in order beside it is who writes the profile of a product
and runtime: one at a time, and of those that wait the one that has waited longest.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from joulecast_operator.api.objects import Resource
from joulecast_operator.calibrations.status import PhaseUpdate, holds_accelerator, status_of


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductRuntime:
    """What a calibration wants to measure: the ``product`` and ``runtime`` whose profile it would make."""

    product: str
    runtime: str

    def __str__(self) -> str:
        return f"{self.product} under {self.runtime}"


def waits_in_queue(calibration: Resource) -> bool:
    """Tell whether it stands in a line."""
    return "waitingSince" in status_of(calibration)


def product_runtime_of(calibration: Resource) -> ProductRuntime:
    """Return the place where it measures or waits."""
    status = status_of(calibration)
    return ProductRuntime(product=status.get("accelerator", ""), runtime=status.get("runtime", ""))


def waiting_state(
    calibration: Resource, place: ProductRuntime, others: Iterable[Resource], now: datetime
) -> PhaseUpdate | None:
    """Return its state while another one measures or is before it; None where it may begin."""
    if holds_accelerator(calibration):
        return None  # its Job went, its turn did not
    rivals = [other for other in others if _is_rival(other, calibration, place)]
    since = _since(calibration, place, now)
    holder = next((other for other in rivals if holds_accelerator(other)), None)
    mine = _order(calibration, since)
    before = sorted((each for each in rivals if waits_in_queue(each) and _order(each) < mine), key=_order)
    if holder is None and not before:
        return None
    facts = {"waitingSince": since, "accelerator": place.product, "runtime": place.runtime}
    return PhaseUpdate(phase="Waiting", reason="AnotherCalibration", message=_says(holder, before, place), facts=facts)


def _says(holder: Resource | None, before: list[Resource], place: ProductRuntime) -> str:
    if holder is None:
        return f"waits for {_named(before[0])}, which waited before it to measure {place}"
    more = f"; {len(before)} more before it, first {_named(before[0])}" if before else ""
    return f"waits for {_named(holder)}, which measures {place}{more}"


def _since(calibration: Resource, place: ProductRuntime, now: datetime) -> str:
    """Return since when it waits here; after a change of accelerator it starts at the end of that queue."""
    since = status_of(calibration).get("waitingSince")
    if since and product_runtime_of(calibration) == place:
        return str(since)
    return now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")  # as metav1.MicroTime: many are applied in one second


def _order(calibration: Resource, since: str | None = None) -> tuple[str, str, str, str]:
    metadata = calibration["metadata"]
    own = since or str(status_of(calibration)["waitingSince"])
    return own, metadata.get("creationTimestamp", ""), metadata["namespace"], metadata["name"]


def _is_rival(other: Resource, calibration: Resource, place: ProductRuntime) -> bool:
    metadata = other["metadata"]
    mine = metadata["uid"] == calibration["metadata"]["uid"]
    going = "deletionTimestamp" in metadata and not holds_accelerator(other)
    return not mine and not going and product_runtime_of(other) == place


def _named(calibration: Resource) -> str:
    metadata = calibration["metadata"]
    return f"{metadata['namespace']}/{metadata['name']}"
