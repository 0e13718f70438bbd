"""The results of leaving cards out: errors of each quantity, and how well cards are ranked."""

from __future__ import annotations

from dataclasses import dataclass

JOULES, SECONDS, WATTS = "joules", "seconds", "watts"
QUANTITIES = (JOULES, SECONDS, WATTS)

CARD = "card left out"
"""Split: by fits that saw neither the card nor the host of what they forecast."""
ALL = "all"
"""Part: every row of a set."""
OWN_ROWS = "physical, on rows of both cards"
"""Ranking by forecasts of fits on other architectures of the same card."""
NEVER_ASKED = "no forecast: always the one that is cheaper more often"
"""Ranking: what a choice without any forecast reaches at best."""
OTHER_ARCHITECTURES = "physical, on rows of other architectures"
"""Ranking of settings by forecasts of fits on other architectures of the same card."""
USUAL = "no forecast: always the larger or always the smaller one"
"""Ranking of settings: what the better of two rules reaches that look at no network."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CardScore:
    """Errors, in percent, of one quantity of a set by fits that saw neither its card nor its host.

    - ``fitted_on``: names of the sets that were fitted.
    - ``part``: which rows of the set.
    - ``bias``: median of forecast less measured.
    - ``interval_coverage``, ``interval_half_width``: None for a forecast without an interval.
    """

    set: str
    card: str
    fitted_on: str
    system: str
    quantity: str
    part: str
    n: int
    median_ape: float
    mean_ape: float
    max_ape: float
    bias: float
    interval_coverage: float | None = None
    interval_half_width: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RankingScore:
    """How well forecasts choose between two cards, over all pairs of rows with the same network and workload.

    - ``n``: number of pairs; each row stands at its own clock.
    - ``right``: share of the pairs in which the cheaper card is named, from 0 to 1.
    - ``mean_regret``: what the named row costs above the cheaper one, in percent of it; mean over pairs.
    - ``total_regret``: the same of the joules of all pairs together, in percent.
    - ``regret_joules``: joules above the cheaper row, mean over pairs.
    """

    cards: str
    by: str
    n: int
    right: float
    mean_regret: float
    total_regret: float
    regret_joules: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingScore:
    """How well forecasts choose between two settings of one card, over all pairs of rows that differ in it alone.

    - ``setting``: what the rows of a pair differ in.
    - ``n``: number of pairs.
    - ``right``: share of the pairs in which the setting with fewer joules an inference is named, from 0 to 1.
    - ``mean_regret``: what the named one costs above the cheaper one, in percent of it; mean over pairs.
    - ``told_apart``: share of the pairs that a plan would tell apart; None for a forecast without an interval.
    - ``told_apart_right``: of those, the share in which the cheaper one is named; None where there are none.
    """

    set: str
    setting: str
    by: str
    n: int
    right: float
    mean_regret: float
    told_apart: float | None = None
    told_apart_right: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CardsEvaluation:
    """All scores of cards that were left out, and of rankings of cards and of settings."""

    scores: tuple[CardScore, ...] = ()
    rankings: tuple[RankingScore, ...] = ()
    settings: tuple[SettingScore, ...] = ()
