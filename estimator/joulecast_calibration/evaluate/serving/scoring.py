"""Scores of forecasts of served language models: what was forecast, what was measured, and how far they differ."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

OWN = "joulecast"
"""The system whose forecasts these are; the others are simple rules beside it."""
ALL = "all"

LEVEL = 0.9
"""Of the intervals."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedForecast:
    """One forecast beside its measurement.

    - ``groups``: what the case belongs to, by the kind of group: its lineage, its card, and so on.
    - ``log_half_width``: of the forecast's interval; None for a system without one.
    """

    groups: Mapping[str, str]
    forecast: float
    measured: float
    log_half_width: float | None = None

    @property
    def error(self) -> float:
        return self.forecast / self.measured - 1

    @property
    def inside(self) -> bool:
        return abs(math.log(self.forecast / self.measured)) <= (self.log_half_width or 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedScore:
    """Errors of one figure of some rows, in percent; coverage is a share from 0 to 1.

    - ``figure``: what is forecast, and in which unit: seconds, watts or joules.
    - ``part``: which rows of the set.
    - ``bias``: median of forecast less measured.
    - ``interval_coverage``, ``interval_half_width``: None for a system without intervals.
    """

    set: str
    figure: str
    system: str
    part: str
    n: int
    median_ape: float
    mean_ape: float
    max_ape: float
    bias: float
    interval_coverage: float | None = None
    interval_half_width: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """Rows of a set that were not scored, and the reason."""

    set: str
    reason: str
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedEvaluation:
    """All scores of served models, and the rows that have none."""

    scores: tuple[ServedScore, ...] = ()
    left_out: tuple[LeftOut, ...] = ()


def scored(of: str, figure: str, system: str, forecasts: Sequence[ServedForecast]) -> Iterator[ServedScore]:
    """Yield the score of all rows, and for this project's own system those of each group of several."""
    if not forecasts:
        return
    yield score(of, figure, system, ALL, forecasts)
    if system != OWN:
        return
    for kind in forecasts[0].groups:
        names = dict.fromkeys(each.groups[kind] for each in forecasts)
        for name in sorted(names) if len(names) > 1 else ():
            yield score(of, figure, system, name, [each for each in forecasts if each.groups[kind] == name])


def score(of: str, figure: str, system: str, part: str, forecasts: Sequence[ServedForecast]) -> ServedScore:
    """Return the score of rows, of which there is at least one."""
    errors = 100 * np.array([each.error for each in forecasts])
    widths = [each.log_half_width for each in forecasts if each.log_half_width is not None]
    return ServedScore(
        set=of,
        figure=figure,
        system=system,
        part=part,
        n=len(forecasts),
        median_ape=float(np.median(np.abs(errors))),
        mean_ape=float(np.mean(np.abs(errors))),
        max_ape=float(np.max(np.abs(errors))),
        bias=float(np.median(errors)),
        interval_coverage=float(np.mean([each.inside for each in forecasts])) if widths else None,
        interval_half_width=float(np.median(100 * np.sinh(widths))) if widths else None,
    )


def left_out(of: str, reasons: Mapping[str, int]) -> Iterator[LeftOut]:
    """Yield the reasons by name."""
    yield from (LeftOut(set=of, reason=reason, n=n) for reason, n in sorted(reasons.items()) if n)


def proportional(sizes: Sequence[float], measured: Sequence[float], kin: Sequence[str]) -> list[float]:
    """Return forecasts in proportion to ``sizes``; the factor of each row is that of the rows of other ``kin``.

    Rows without others are forecast by the factor of all rows: the most that the rule could reach.
    """
    logs = np.log(np.array(measured) / np.array(sizes))
    names = np.array(kin)
    factors = {name: float(np.median(logs[names != name] if (names != name).any() else logs)) for name in set(kin)}
    return [size * math.exp(factors[name]) for size, name in zip(sizes, kin, strict=True)]


def batch_band(sequences: int) -> str:
    """Name the band of a batch size, so that names sort by size."""
    return next((name for most, name in _BANDS if sequences <= most), _LARGEST)


_BANDS = ((8, "batch 001 – 008"), (64, "batch 009 – 064"))
_LARGEST = "batch 065 and more"


def cards_word(cards: int) -> str:
    return f"{cards} card{'s' * (cards > 1)}"
