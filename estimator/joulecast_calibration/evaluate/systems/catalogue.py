"""List the published systems by name."""

from __future__ import annotations

from collections.abc import Mapping

from joulecast_calibration.evaluate.systems import neuralpower, regressions
from joulecast_calibration.evaluate.systems.adaptation import Form

FORMS: Mapping[str, Form] = {
    "wattlayer": regressions.linear(regressions.wattlayer),
    "mac-linear": regressions.linear(regressions.mac_linear),
    "hidden-joules": regressions.power_law(regressions.hidden_joules),
    "neuralpower": neuralpower.fit,
    "getzner": regressions.linear(regressions.getzner),
}
"""Names of systems, in the order of every table."""

LAYER_WISE = frozenset({"wattlayer", "neuralpower", "getzner"})
"""Systems that papers fit on measured layers. Fitted on whole networks they are aggregate-fitted: on sums by layer
type. The others are forms of whole networks."""
