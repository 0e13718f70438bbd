"""Decide which calibration measures next if several would make the same profile; pure.

The device plugin gives each GPU to one pod. In addition, only one calibration at a time may make the profile of a
product and runtime; of those that wait, the one that has waited longest is next.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from joulecast_operator.api.objects import Resource
from joulecast_operator.calibrations.status import PhaseUpdate, holds_accelerator, status_of


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductRuntime:
    """The accelerator product and the runtime whose profile a calibration makes.

    - ``product``: product name of the accelerator.
    - ``runtime``: the runtime that executes the networks.
    """

    product: str
    runtime: str

    def __str__(self) -> str:
        return f"{self.product} under {self.runtime}"


def waits_in_queue(calibration: Resource) -> bool:
    """Tell whether the calibration waits for another one of the same product and runtime."""
    return "waitingSince" in status_of(calibration)


def product_runtime_of(calibration: Resource) -> ProductRuntime:
    """Return the product and runtime that the calibration measures or waits for."""
    status = status_of(calibration)
    return ProductRuntime(product=status.get("accelerator", ""), runtime=status.get("runtime", ""))


def waiting_state(
    calibration: Resource, wanted: ProductRuntime, others: Iterable[Resource], now: datetime
) -> PhaseUpdate | None:
    """Return the update for a calibration that has to wait for ``others``; None if it may begin."""
    if holds_accelerator(calibration):
        return None  # its Job is gone, but it is still its turn
    rivals = [other for other in others if _is_rival(other, calibration, wanted)]
    since = _since(calibration, wanted, now)
    holder = next((other for other in rivals if holds_accelerator(other)), None)
    mine = _order(calibration, since)
    before = sorted((each for each in rivals if waits_in_queue(each) and _order(each) < mine), key=_order)
    if holder is None and not before:
        return None
    facts = {"waitingSince": since, "accelerator": wanted.product, "runtime": wanted.runtime}
    return PhaseUpdate(phase="Waiting", reason="AnotherCalibration", message=_says(holder, before, wanted), facts=facts)


def _says(holder: Resource | None, before: list[Resource], wanted: ProductRuntime) -> str:
    if holder is None:
        return f"waits for {_named(before[0])}, which has waited longer to measure {wanted}"
    verb = "is" if len(before) == 1 else "are"
    more = f"; {len(before)} more {verb} before it, the first is {_named(before[0])}" if before else ""
    return f"waits for {_named(holder)}, which measures {wanted}{more}"


def _since(calibration: Resource, wanted: ProductRuntime, now: datetime) -> str:
    """Return since when the calibration waits for ``wanted``: from now if it waited for another accelerator before."""
    since = status_of(calibration).get("waitingSince")
    if since and product_runtime_of(calibration) == wanted:
        return str(since)
    return now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")  # metav1.MicroTime, as many may come in one second


def _order(calibration: Resource, since: str | None = None) -> tuple[str, str, str, str]:
    metadata = calibration["metadata"]
    own = since or str(status_of(calibration)["waitingSince"])
    return own, metadata.get("creationTimestamp", ""), metadata["namespace"], metadata["name"]


def _is_rival(other: Resource, calibration: Resource, wanted: ProductRuntime) -> bool:
    metadata = other["metadata"]
    mine = metadata["uid"] == calibration["metadata"]["uid"]
    going = "deletionTimestamp" in metadata and not holds_accelerator(other)
    return not mine and not going and product_runtime_of(other) == wanted


def _named(calibration: Resource) -> str:
    metadata = calibration["metadata"]
    return f"{metadata['namespace']}/{metadata['name']}"
