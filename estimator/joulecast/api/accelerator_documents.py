"""Accelerators as a document: what can be priced, and what is known but cannot."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from joulecast.accelerators.catalogue import find, installed
from joulecast.accelerators.product_names import normalise_product
from joulecast.api.documents import Document, header, problem, rounded
from joulecast.energy.datasheets import datasheets
from joulecast.errors import NotCalibratedError

if TYPE_CHECKING:
    from joulecast.energy.profile import AcceleratorProfile


def accelerators_document() -> Document:
    """Return a document of kind ``accelerators``: those that can be priced, and what the others lack."""
    profiles = sorted(installed().values(), key=lambda profile: profile.product)
    return {
        **header("accelerators"),
        "accelerators": [accelerator_fields(profile) for profile in profiles],
        "unavailable": [problem(label, error) for label, error in _unavailable()],
    }


def accelerator_fields(profile: AcceleratorProfile) -> Document:
    """Return the fields by which a user chooses an accelerator.

    The bounds of the interval are shares of the forecast: 0.3 above means + 30 %.
    """
    return {
        "accelerator": profile.product,
        "origin": profile.origin,
        "architecture": profile.architecture,
        "precisions": list(profile.precisions),
        "runtimes": list(profile.runtimes),
        "power_limit_watts": rounded(profile.power_limit_watts),
        "bandwidth_bytes_per_second": rounded(profile.bandwidth_bytes_per_second),
        "peak_flops": {name: rounded(peak) for name, peak in profile.peak_flops.items()},
        "interval_level": profile.interval.level,
        "interval_below": rounded(1 - math.exp(-profile.interval.log_half_width)),
        "interval_above": rounded(math.exp(profile.interval.log_half_width) - 1),
        "interval_guaranteed": profile.interval.guaranteed,
        "unverified": list(profile.unverified),
    }


def _unavailable() -> Iterator[tuple[str, NotCalibratedError]]:
    """Yield the name of each card with a data sheet that cannot be priced, with the reason."""
    for label in sorted({normalise_product(label) for sheet in datasheets() for label in sheet.labels}):
        try:
            find(label)
        except NotCalibratedError as error:
            yield label, error
