"""What a system must be to forecast a card that was left out, and the law of this project as such a system."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from joulecast.energy.features import Array
from joulecast_calibration.evaluate.cardscores import JOULES, SECONDS, WATTS
from joulecast_calibration.evaluate.contenders import PHYSICAL
from joulecast_calibration.fit.across.sets import CardSet
from joulecast_calibration.fit.across.transfer import unseen


@dataclass(frozen=True, slots=True, kw_only=True)
class CardForecast:
    """Forecasts of every network of a set, (size,) each.

    - ``values``: by quantity, of ``QUANTITIES``; a system may forecast some of them only.
    - ``log_half_widths``: of intervals, as logarithms, by quantity; without an entry there is no interval.
    """

    values: Mapping[str, Array]
    log_half_widths: Mapping[str, Array] = field(default_factory=dict)


class CardSystem(Protocol):
    """A way to forecast networks on a card of which no row was seen."""

    @property
    def name(self) -> str: ...

    def forecast(self, folder: Path, asked: CardSet, others: Sequence[CardSet]) -> CardForecast | None:
        """Forecast the networks of ``asked``, whose measured columns are nan, by rows of other cards and hosts.

        ``folder`` holds tables of operators and latencies; those of the card asked for must not be used either.
        Returns None where ``others`` are not enough.
        """
        ...


@dataclass(frozen=True, slots=True)
class PopulationLaw:
    """The law by the card's data sheet and by what cards and hosts have in common (ADR 0166)."""

    name: str = PHYSICAL

    def forecast(self, folder: Path, asked: CardSet, others: Sequence[CardSet]) -> CardForecast | None:
        """Forecast by a joint fit of ``others`` and by tables of operators of cards with other chips."""
        card, clock = unseen(folder, asked.sheet, others, without=(asked.product,), tables=False), asked.clock_shares
        with np.errstate(all="ignore"):  # an arithmetic without a peak: its rows are not finite, and not scored
            found = card.forecast(asked.table, clock)
            widths = card.log_half_widths(asked.table, clock)
        values = {JOULES: found.joules, SECONDS: found.seconds, WATTS: found.joules / found.seconds}
        return CardForecast(values=values, log_half_widths=dict(zip((JOULES, SECONDS, WATTS), widths, strict=True)))


@dataclass(slots=True)
class Remembered:
    """A system that keeps its latest forecast, because rules beside it need the same one."""

    system: CardSystem
    _latest: tuple[CardSet, Sequence[CardSet], CardForecast | None] | None = None

    @property
    def name(self) -> str:
        return self.system.name

    def forecast(self, folder: Path, asked: CardSet, others: Sequence[CardSet]) -> CardForecast | None:
        if self._latest is None or self._latest[0] is not asked or self._latest[1] is not others:
            self._latest = asked, others, self.system.forecast(folder, asked, others)
        return self._latest[2]
