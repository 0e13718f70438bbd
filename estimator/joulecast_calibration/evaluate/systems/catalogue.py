"""List the published systems by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from joulecast_calibration.evaluate.systems import getzner, hidden_joules, mac_linear, neuralpower, wattlayer
from joulecast_calibration.evaluate.systems.adaptation import Adapted, Form, Weigh, fit_adapted
from joulecast_calibration.evaluate.systems.features import NetworkFeatures
from joulecast_calibration.rows.networks import Truth

FORMS: Mapping[str, Form] = {
    "wattlayer": wattlayer.fit,
    "mac-linear": mac_linear.fit,
    "hidden-joules": hidden_joules.fit,
    "neuralpower": neuralpower.fit,
    "getzner": getzner.fit,
}
"""Names of systems, in the order of every table."""

LAYER_WISE = frozenset({"wattlayer", "neuralpower", "getzner"})
"""Systems that papers fit on measured layers. Fitted on whole networks they are aggregate-fitted: on sums by layer
type. The others are forms of whole networks."""


def fit_system(name: str, rows: Sequence[NetworkFeatures], truth: Truth, weigh: Weigh | None = None) -> Adapted:
    """Fit the system ``name``, one of ``FORMS``, on ``rows``; ``weigh``: see ``fit_adapted``."""
    return fit_adapted(FORMS[name], rows, truth, weigh)
