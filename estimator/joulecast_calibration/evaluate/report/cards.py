"""Scores of cards that were left out, and of rankings, as tables and targets that page and report share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from joulecast_calibration.evaluate.cardscores import ALL, CARD, JOULES, CardScore, CardsEvaluation
from joulecast_calibration.evaluate.contenders import PHYSICAL
from joulecast_calibration.evaluate.report.listing import Listing, percent
from joulecast_calibration.evaluate.report.meanings import labelled
from joulecast_calibration.evaluate.report.targets import AccuracyTarget, ahead, at_most

TITLE = "Cards that were left out"
INTRODUCTION = (
    "Each set is forecast as if nothing had been measured on its card: no column of a table of that card was read, "
    "neither joules nor watts nor seconds nor clocks, and none of a table from its host. The published systems are "
    "fitted on the networks of all other cards, whose joules are scaled by power limit ÷ peak of the arithmetic that "
    "the network runs in, and clock locks by the boost clock: the strongest reading of them that data sheets allow. "
    "Each is fitted a second time on seconds, scaled by that peak; watts are the quotient, without an interval. Joules "
    "can be near where seconds and watts are both far off and cancel. Beside them two rules: the power limit times our "
    "seconds, and joules in proportion to MACs × power limit ÷ peak, with one factor from the rows of the other cards."
)
RANKING = "Which card is cheaper"
RANKING_NOTE = (
    "Pairs of rows in two sets with the same network, batch, sequence and precision, on different cards, each at its "
    "own clock. Regret is what the card that is named costs above the cheaper one: mean over pairs, and of all joules."
)
SETTING = "Which setting is cheaper"
SETTING_NOTE = (
    "Pairs of rows in one set that differ in the batch size alone, or in the locked clock alone: joules an inference. "
    "A plan names the cheaper of two settings only where the intervals tell them apart, by 0.7 of their joint width "
    "(ADR 0178), which was chosen on the batch sizes of energaizer_h100 and on nothing else here."
)
_LIMITS: Mapping[str, tuple[float, float]] = {"energaizer_h100": (8.0, 10.0), "energaizer_a100": (9.0, 11.0)}
"""Most percent of median and mean error in joules, by set."""
_NAMES = {"median_ape": "median error", "mean_ape": "mean error"}
HEADER = ("n", "median APE", "mean APE", "max APE", "median, signed", "coverage", "half-width")


def card_targets(found: CardsEvaluation) -> Iterator[tuple[str, AccuracyTarget]]:
    """Yield each target that the sets decide, with the set's name."""
    for line in found.scores:
        if (line.system, line.quantity, line.part) == (PHYSICAL, JOULES, ALL):
            for figure, limit in zip(_NAMES, _LIMITS.get(line.set, ()), strict=False):
                yield line.set, at_most(f"{CARD}, {_NAMES[figure]}", float(getattr(line, figure)), limit)
            yield from ((line.set, target) for target in _ahead(found, line))


def _ahead(found: CardsEvaluation, own: CardScore) -> Iterator[AccuracyTarget]:
    """Compare with the best other system or rule on all rows of the set."""
    others = [e for e in found.scores if (e.set, e.quantity, e.part) == (own.set, JOULES, ALL) and e is not own]
    for figure, name in _NAMES.items():
        values = {each.system: float(getattr(each, figure)) for each in others}
        if values:
            said = f"{CARD}: lower {name} than every other system and rule"
            yield ahead(said, float(getattr(own, figure)), values)


def card_listings(found: CardsEvaluation) -> Iterator[Listing]:
    """Yield the targets, every set with all systems, and the parts of each set."""
    targets = [(name, each.name, each.wanted, each.found, each.verdict) for name, each in card_targets(found)]
    yield Listing(title="Targets", header=("set", "target", "wanted", "found", ""), rows=targets, texts=5)
    for name in dict.fromkeys(line.set for line in found.scores):
        own = [line for line in found.scores if line.set == name]
        yield _of_set(name, own)
        yield _parts(name, own)


def _of_set(name: str, own: Sequence[CardScore]) -> Listing:
    return Listing(
        title=f"{name} left out",
        note=f"{own[0].card}, by rows of {own[0].fitted_on}.",
        header=("quantity", "system", *HEADER),
        rows=[(line.quantity, labelled(line.system), *cells(line)) for line in _by_quantity(own) if line.part == ALL],
        texts=2,
    )


def _by_quantity(lines: Sequence[CardScore]) -> list[CardScore]:
    order = list(dict.fromkeys(line.quantity for line in lines))
    return sorted(lines, key=lambda line: order.index(line.quantity))


def _parts(name: str, own: Sequence[CardScore]) -> Listing:
    lines = [line for line in own if line.part != ALL]
    return Listing(
        title=f"{name} left out: parts, by physical",
        header=("quantity", "rows of", *HEADER),
        rows=[(line.quantity, line.part, *cells(line)) for line in lines],
        texts=2,
    )


def ranking_listing(found: CardsEvaluation) -> Listing:
    """List how often the cheaper card is named, and what a wrong name costs."""
    return Listing(
        title=RANKING,
        note=RANKING_NOTE,
        header=("sets", "named by", "pairs", "cheaper one named", "mean regret", "regret of all joules", "J a pair"),
        rows=[
            (
                *(each.cards, each.by, str(each.n), f"{100 * each.right:.1f} %"),
                *(f"{percent(value)} %" for value in (each.mean_regret, each.total_regret)),
                f"{each.regret_joules:.3g}",
            )
            for each in found.rankings
        ],
        texts=2,
    )


def setting_listing(found: CardsEvaluation) -> Listing:
    """List how often the cheaper setting of a card is named, and how often one that a plan tells apart."""
    return Listing(
        title=SETTING,
        note=SETTING_NOTE,
        header=("set", "differ in", "named by", "pairs", "cheaper one named", "mean regret", "told apart", "of these"),
        rows=[
            (
                *(each.set, each.setting, each.by, str(each.n), f"{100 * each.right:.1f} %"),
                f"{percent(each.mean_regret)} %",
                *(_share(value) for value in (each.told_apart, each.told_apart_right)),
            )
            for each in found.settings
        ],
        texts=3,
    )


def _share(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"


def card_lines(found: CardsEvaluation) -> Sequence[tuple[str, ...]]:
    """Return the lines of a table for a terminal, its header first; nothing without scores."""
    lines = [line for line in found.scores if line.part == ALL]
    if not lines:
        return []
    return [(CARD, "quantity", "system", *HEADER), *((e.set, e.quantity, e.system, *cells(e)) for e in lines)]


def cells(line: CardScore) -> tuple[str, ...]:
    """Return a score as cells under ``HEADER``."""
    coverage, width = line.interval_coverage, line.interval_half_width
    return (
        str(line.n),
        *(f"{percent(value)} %" for value in (line.median_ape, line.mean_ape, line.max_ape)),
        f"{line.bias:+.1f} %",
        "–" if coverage is None else f"{coverage:.3f}",
        "–" if width is None else f"± {percent(width)} %",
    )
