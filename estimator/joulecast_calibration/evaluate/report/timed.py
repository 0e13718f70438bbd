"""Scores of the seconds of whole networks as tables and targets that page, report and terminal share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from joulecast_calibration.evaluate.report.listing import Listing
from joulecast_calibration.evaluate.report.served import HEADER, cells
from joulecast_calibration.evaluate.report.targets import AccuracyTarget, at_most
from joulecast_calibration.evaluate.serving.scoring import ALL, ServedEvaluation
from joulecast_calibration.evaluate.timed.evaluation import CARD_OUT, FAMILY_OUT, NAMES
from joulecast_calibration.evaluate.timed.laws import BY_KIND

TITLE = "Seconds of whole networks"
INTRODUCTION = (
    "timm's own benchmark (eager rows under autocast) and NVIDIA's DeepLearningExamples, by the networks' counted rows "
    "(ADR 0165). `physical` is the shipped law of the data sheet, fitted on no row. `kinds` is the same with a factor "
    "for each kind of kernel, fitted without the card that is forecast, or without the family; `kinds without "
    "Winograd` runs every float32 convolution as a direct product. `joint` is the law that all cards have in common, "
    "fitted on metered networks and Vidur's operators of other chips and on some of the other cards' rows (ADR 0169). "
    "RTX 5090 and RTX PRO 6000 Max-Q have one chip: the second figure leaves both out. No interval: none of them is a "
    "forecast that is shipped."
)
_PARTS = "By card, precision and layout, and family. The median signed error says to which side a group is off."


@dataclass(frozen=True, slots=True, kw_only=True)
class _Limit:
    set: str
    figure: str
    part: str
    percent: float


_LIMITS = (
    _Limit(set=NAMES["timm"], figure=FAMILY_OUT, part=ALL, percent=8.0),
    _Limit(set=NAMES["timm"], figure=CARD_OUT, part=ALL, percent=12.0),
    _Limit(set=NAMES["dle"], figure=CARD_OUT, part="fp32", percent=15.0),
)


def timed_targets(found: ServedEvaluation) -> Iterator[tuple[str, AccuracyTarget]]:
    """Yield each target that the tables decide, with the table's name."""
    for limit in _LIMITS:
        for line in found.scores:
            asked = limit.set, limit.figure, BY_KIND, limit.part
            if (line.set, line.figure, line.system, line.part) == asked:
                part = "" if limit.part == ALL else f" of {limit.part}"
                yield line.set, at_most(f"{limit.figure}: median error{part}", line.median_ape, limit.percent)


def timed_listings(found: ServedEvaluation) -> Iterator[Listing]:
    """Yield targets, the scores of all laws, what the residuals show, and what was left out."""
    targets = [(name, each.name, each.wanted, each.found, each.verdict) for name, each in timed_targets(found)]
    yield Listing(title="Targets", header=("set", "target", "wanted", "found", ""), rows=targets, texts=5)
    whole = [line for line in found.scores if line.part == ALL]
    yield Listing(
        title="Every law",
        header=("set", "figure", "law", *HEADER[1:]),
        rows=[(line.set, line.figure, line.system, *cells(line)) for line in whole],
        texts=3,
    )
    for name, figure in dict.fromkeys((line.set, line.figure) for line in found.scores):
        own = [line for line in found.scores if (line.set, line.figure, line.system) == (name, figure, BY_KIND)]
        yield Listing(
            title=f"What the residuals show: {name}, {figure}",
            note=_PARTS,
            header=HEADER,
            rows=[(line.part, *cells(line)) for line in own if line.part != ALL],
            texts=1,
        )
    left_out = [(each.set, str(each.n), each.reason) for each in found.left_out]
    yield Listing(title="Left out", header=("set", "rows", "why"), rows=left_out, texts=3)


def timed_lines(found: ServedEvaluation) -> Sequence[tuple[str, ...]]:
    """Return the lines of a table for a terminal, its header first; nothing without scores."""
    if not found.scores:
        return []
    return [
        ("networks: figure", "law", *HEADER),
        *((line.figure, line.system, f"{line.set} {line.part}", *cells(line)) for line in found.scores),
    ]
