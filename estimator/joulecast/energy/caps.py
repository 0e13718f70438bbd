"""Caps that an operator sets on a card: a power limit below its own, or a locked clock."""

from __future__ import annotations

from dataclasses import replace

from joulecast.energy.profile import AcceleratorProfile
from joulecast.errors import NotCalibratedError

OUT_OF_RANGE = "PowerLimitOutOfRange"

_LOCKED = ("NVIDIA-A100-PCIE-40GB",)
"""Products whose rows of networks were measured at several locked clocks, so that what a clock changes is fitted on the
card itself: EnergAIzer's A100, twelve clocks from 510 to 1410 MHz. The rows of all others ran at one clock, or at
whatever their card chose."""


def limited(accelerator: AcceleratorProfile, power_limit_watts: float | None) -> AcceleratorProfile:
    """Return ``accelerator`` under a power limit; None leaves it as it is.

    Raises NotCalibratedError for a limit that is not between 0 and the card's own, beyond which no row ran.
    """
    if power_limit_watts is None:
        return accelerator
    own = accelerator.power_limit_watts
    if not 0 < power_limit_watts <= own:
        raise NotCalibratedError(
            f"a power limit of {power_limit_watts:g} W cannot be priced on {accelerator.product}, whose own is"
            f" {own:g} W: give one above 0 and up to that",
            reason=OUT_OF_RANGE,
        )
    return replace(accelerator, power_limit_watts=power_limit_watts)


def clocks_were_measured(accelerator: AcceleratorProfile) -> bool:
    """Decide whether rows of this card tell what another clock changes."""
    return accelerator.product in _LOCKED and accelerator.origin == "public"


def not_held(accelerator: AcceleratorProfile, power_limit_watts: float) -> NotCalibratedError:
    """Return the error of a limit below what the card draws at the lowest clock of the law."""
    return NotCalibratedError(
        f"a power limit of {power_limit_watts:g} W does not hold on {accelerator.product} even at the lowest clock that"
        " the law knows: give a higher one",
        reason=OUT_OF_RANGE,
    )
