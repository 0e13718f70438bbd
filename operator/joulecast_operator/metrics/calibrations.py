"""Declare and collect the metrics of accelerator profiles and calibrations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from prometheus_client.core import GaugeMetricFamily

from joulecast_operator.api.objects import Resource, mapping, mappings
from joulecast_operator.api.products import product_named
from joulecast_operator.metrics.declaration import Metric, identity_of

CALIBRATION_ERROR: Final = Metric(
    name="joulecast_calibration_error_ratio",
    kind="gauge",
    labels=("accelerator",),
    text="Median relative error of an accelerator's profile on held-out models, 0 to 1; of several profiles the worst.",
)

CALIBRATION_LABELS: Final = ("namespace", "calibration", "accelerator")

CALIBRATION_PROGRESS: Final = Metric(
    name="joulecast_calibration_progress_ratio",
    kind="gauge",
    labels=CALIBRATION_LABELS,
    text="How much of an EnergyCalibration's last run is done, 0 to 1.",
)

CALIBRATION_INFO: Final = Metric(
    name="joulecast_calibration_info",
    kind="gauge",
    labels=(*CALIBRATION_LABELS, "phase", "reason", "better"),
    text="Always 1. The labels tell an EnergyCalibration's phase, the reason, and whether its last profile is better"
    " than the one in use before.",
)


def calibration_family(profiles: Iterable[Resource]) -> GaugeMetricFamily:
    """Return the held-out error of each accelerator."""
    worst: dict[str, float] = {}
    for profile in profiles:
        product = product_named(str(mapping(profile.get("spec")).get("product") or ""))
        error = mapping(profile.get("status")).get("heldOutError")
        if product and isinstance(error, (int, float)):
            worst[product] = max(error, worst.get(product, 0.0))
    family = CALIBRATION_ERROR.family()
    for product, error in sorted(worst.items()):
        family.add_metric((product,), error)
    return family


def run_families(calibrations: Iterable[Resource]) -> Iterator[GaugeMetricFamily]:
    """Yield progress and state of each calibration."""
    progress, info = CALIBRATION_PROGRESS.family(), CALIBRATION_INFO.family()
    for calibration in sorted(calibrations, key=identity_of):
        status = mapping(calibration.get("status"))
        labels = (*identity_of(calibration), str(status.get("accelerator", "")))
        if isinstance(status.get("progress"), (int, float)):
            progress.add_metric(labels, status["progress"])
        better = mapping(status.get("quality")).get("better")
        shown = "" if better is None else str(better).lower()
        info.add_metric((*labels, str(status.get("phase", "")), _reason(status), shown), 1)
    yield progress
    yield info


def _reason(status: Resource) -> str:
    """Return the reason of the last condition, Calibrated."""
    conditions = mappings(status.get("conditions")) or [{}]
    return str(conditions[-1].get("reason", ""))
