"""Whether the intervals of two candidates tell which one costs less, and which measurement would.

The error of a forecast is mostly that of the model on the card: what the law misses of this network, and of this
hardware, it misses at every setting alike. So it cancels in the ratio of two settings of one card, and stays in the
ratio of two cards. ADR 0178 says how much of it cancels, and what was measured.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from joulecast.planning.candidates import Candidate
from joulecast.planning.settings import Setting

SAME_CARD = 0.7
"""Of the width of two independent forecasts, what is left in the ratio of two sizes on one card (ADR 0178)."""
MEASURED = 0.02
"""Log half-width of joules that were measured: repeats of a measurement must not decide (ADR 0130, two points)."""


def log_half_width(one: Candidate, other: Candidate) -> float:
    """Return the half-width of the interval of the logarithm of the ratio of their joules."""
    apart = math.hypot(one.log_half_width, other.log_half_width)
    return SAME_CARD * apart if _shares_card(one.setting, other.setting) else apart


def told_apart(one: Candidate, other: Candidate) -> bool:
    """Decide whether the intervals tell which of the two costs less."""
    return _distance(one, other) > log_half_width(one, other)


def rivals(first: Candidate, others: Iterable[Candidate]) -> tuple[Candidate, ...]:
    """Return those of ``others`` that may cost less than ``first``, in their order."""
    return tuple(other for other in others if not told_apart(first, other))


@dataclass(frozen=True, slots=True, kw_only=True)
class Saving:
    """What a candidate saves of another one's joules, as shares, with its interval; below 0 where it costs more."""

    share: float
    lower: float
    upper: float


def saving(candidate: Candidate, today: Candidate) -> Saving:
    """Return what ``candidate`` saves of the joules of ``today``, which are counted by the same unit."""
    ratio, width = candidate.joules / today.joules, log_half_width(candidate, today)
    return Saving(share=1 - ratio, lower=1 - ratio * math.exp(width), upper=1 - ratio * math.exp(-width))


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """Joules of the model on a card, at the settings named, which would decide between candidates."""

    accelerator: str
    settings: tuple[Setting, ...]


def deciding(first: Candidate, others: Sequence[Candidate]) -> tuple[Measurement, ...]:
    """Return the fewest measurements that would tell ``first`` from ``others``, which are in the order of their joules.

    Of each card the setting with the fewest joules is measured, of the card of ``first`` each rival too. Rivals whose
    forecasts differ by less than two measurements can tell are left out; none where that leaves nobody.
    """
    tellable = [other for other in others if _distance(first, other) > math.hypot(MEASURED, MEASURED)]
    measured: dict[str, list[Candidate]] = {first.setting.accelerator: [first]} if tellable else {}
    for other in tellable:
        own = measured.setdefault(other.setting.accelerator, [])
        if not own or other.setting.accelerator == first.setting.accelerator:
            own.append(other)
    found = [
        Measurement(accelerator=card, settings=tuple(each.setting for each in own)) for card, own in measured.items()
    ]
    widest = sorted(found, key=lambda each: -max(own.log_half_width for own in measured[each.accelerator]))
    alone = (each for each in widest if all(_decided(first, other, each.accelerator) for other in tellable))
    one = next(alone, None)
    return (one,) if one else tuple(found)


def _decided(first: Candidate, other: Candidate, card: str) -> bool:
    """Decide whether the two are told apart once joules on ``card`` are known."""
    known = [each.setting.accelerator == card for each in (first, other)]
    if not any(known):
        return told_apart(first, other)
    widths = [MEASURED if own else each.log_half_width for own, each in zip(known, (first, other), strict=True)]
    return _distance(first, other) > math.hypot(*widths)


def _distance(one: Candidate, other: Candidate) -> float:
    if one.joules <= 0 or other.joules <= 0:
        return 0.0 if one.joules == other.joules else math.inf
    return abs(math.log(other.joules / one.joules))


def _shares_card(one: Setting, other: Setting) -> bool:
    """Decide whether two settings differ in their sizes and caps alone, so that the error of the model is shared."""
    return (one.accelerator, one.runtime, one.precision, one.tensor_parallel) == (
        other.accelerator,
        other.runtime,
        other.precision,
        other.tensor_parallel,
    )
