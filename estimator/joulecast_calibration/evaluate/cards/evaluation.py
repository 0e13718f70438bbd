"""Forecast every set with joules by fits that saw neither its card nor its host, and rank cards by the forecasts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from threadpoolctl import threadpool_limits

from joulecast_calibration.evaluate.cards.catalogue import CARD_SYSTEMS
from joulecast_calibration.evaluate.cards.ranking import RankedSet, rankings
from joulecast_calibration.evaluate.cards.scoring import LeftOutCard, card_scores
from joulecast_calibration.evaluate.cards.settings import setting_rankings
from joulecast_calibration.evaluate.cards.systems import CardSystem
from joulecast_calibration.evaluate.cardscores import CARD, JOULES, OWN_ROWS, CardsEvaluation
from joulecast_calibration.evaluate.contenders import PHYSICAL
from joulecast_calibration.evaluate.evaluation import ARCHITECTURE, ScoredForecasts, Unscored
from joulecast_calibration.fit.across.sets import CardSet, of_other_cards


def leave_cards_out(
    folder: Path, sets: Sequence[CardSet], systems: Sequence[CardSystem] = CARD_SYSTEMS
) -> Iterator[LeftOutCard | Unscored]:
    """Yield the forecasts of each set by each system, fitted on all sets of other cards and hosts."""
    for asked in sets:
        blind, others = asked.blind(), of_other_cards(asked, sets)
        names = ", ".join(each.name for each in others)
        for system in systems:
            with threadpool_limits(limits=1):  # tall and narrow matrices: threads spend their time waiting
                found = system.forecast(folder, blind, others)
            if found is None:
                reason = f"{system.name}: no networks of another card that it could be fitted on"
                yield Unscored(set=asked.name, split=CARD, reason=reason, n=len(asked.rows))
            else:
                yield LeftOutCard(set=asked, system=system.name, fitted_on=names, forecast=found)


def evaluate_cards(
    folder: Path, sets: Sequence[CardSet], on_own_rows: Sequence[ScoredForecasts]
) -> tuple[CardsEvaluation, tuple[Unscored, ...]]:
    """Score every set, and rankings of cards and of settings, on rows of the same networks; also return what has none.

    No card is left out where all sets are of one card. ``on_own_rows``: forecasts of the sets by fits on rows of the
    card itself, of which those of left-out architectures are ranked too.
    """
    made = list(leave_cards_out(folder, sets)) if len({each.product for each in sets}) > 1 else []
    forecasts = [each for each in made if isinstance(each, LeftOutCard)]
    ranked = [_ranked(each, forecasts, on_own_rows) for each in sets]
    found = CardsEvaluation(
        scores=tuple(score for each in forecasts for score in card_scores(each)),
        rankings=tuple(rankings(ranked)),
        settings=tuple(setting_rankings(ranked)),
    )
    return found, tuple(each for each in made if isinstance(each, Unscored))


def _ranked(asked: CardSet, made: Sequence[LeftOutCard], on_own_rows: Sequence[ScoredForecasts]) -> RankedSet:
    own = [(f"{each.system}, {CARD}", each.forecast) for each in made if each.set is asked]
    forecasts = {name: forecast.values[JOULES] for name, forecast in own}
    widths = {name: forecast.log_half_widths[JOULES] for name, forecast in own if JOULES in forecast.log_half_widths}
    for each in on_own_rows:
        plain = (each.set, each.split, each.system, each.study) == (asked.name, ARCHITECTURE, PHYSICAL, "")
        if plain and each.rows == asked.rows:
            forecasts = {OWN_ROWS: each.joules, **forecasts}
            widths[OWN_ROWS] = each.log_half_width
    return RankedSet(
        name=asked.name,
        card=asked.product,
        rows=asked.rows,
        truth=asked.table.joules,
        forecasts=forecasts,
        log_half_widths=widths,
    )
