"""List the systems that forecast a card which was left out."""

from __future__ import annotations

from joulecast_calibration.evaluate.cards.forms import LimitTimesSeconds, ProportionalToMacs, ScaledForm
from joulecast_calibration.evaluate.cards.systems import CardSystem, PopulationLaw, Remembered
from joulecast_calibration.evaluate.systems.catalogue import FORMS

LAW: CardSystem = Remembered(PopulationLaw())
"""The law of this project as it forecasts cards of which nothing was measured."""

CARD_SYSTEMS: tuple[CardSystem, ...] = (
    LAW,
    *(ScaledForm(name, form) for name, form in FORMS.items()),
    LimitTimesSeconds(LAW),
    ProportionalToMacs(),
)
"""Every system, in the order of every table; the first one is this project's."""
