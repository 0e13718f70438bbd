"""Scores of served language models as tables and targets that page, report and terminal share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from joulecast_calibration.evaluate.report.listing import Listing, percent
from joulecast_calibration.evaluate.report.targets import AccuracyTarget, at_most
from joulecast_calibration.evaluate.serving import latencies, powers
from joulecast_calibration.evaluate.serving.eager import scores as eager
from joulecast_calibration.evaluate.serving.scoring import ALL, OWN, ServedEvaluation, ServedScore

TITLE = "Served language models"
INTRODUCTION = (
    "Language models behind inference engines, by the law of engines. Seconds, watts and joules are scored apart: "
    "seconds are the hard half. Times between tokens: the seconds between passes are fitted without the lineage that "
    "is forecast, and so are the intervals; repeats by other versions of an engine are one row, their geometric mean. "
    "Rows whose requests do not all fit the memory or wait longer for a place than half of the time of writing are "
    "queue-bound, and apart. The time to the first token holds waiting that no forecast sees, and has no target. "
    "Mean lengths and the precision of the cache are those that the benchmarks' own scripts set (InferenceX draws "
    "lengths from 0.8 of the stated one up to it). "
    "Rows under sglang are forecast by the coefficients and the step of vllm. "
    "Watts, and steps of batches on H100 NVL: nothing is fitted on these rows; three models of one maker, so no "
    "guarantee. Their batches shrink as texts end: how many sequences run is the geometric mean of what the published "
    "count of words and the limit of tokens say. Beside them two rules of thumb: the power limit × our seconds, and "
    "what is proportional to 2 × active parameters × tokens, its factor from the other models' rows. "
    "Steps of transformers in torch, in 16 bits and by bitsandbytes: by the law of networks on traced classes, the "
    "host unknown and taken as the reference host, because rows of this set in 16 bits help to tell the pace of the "
    "hosts that ship; nothing else is fitted on them. Repeats on a machine are one case, their mean. Beside them "
    "what the pace of each machine's host would give, told by its rows of other models in fp16."
)
RESIDUALS = (
    "By lineage or model, card, batch size and number of cards. The median signed error says to which side a group is "
    "off."
)
HEADER = ("rows of", "n", "median APE", "mean APE", "max APE", "median, signed", "coverage", "half-width")
_NOT_GUARANTEED = "not guaranteed"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Limit:
    figure: str
    of: str
    percent: float
    note: str = ""


_LIMITS = (
    _Limit(figure=latencies.BETWEEN, of="median_ape", percent=10.0),
    _Limit(figure=latencies.BETWEEN, of="mean_ape", percent=15.0),
    _Limit(figure=powers.WATTS, of="median_ape", percent=8.0, note=_NOT_GUARANTEED),
    _Limit(figure=powers.SECONDS, of="median_ape", percent=10.0, note=_NOT_GUARANTEED),
    _Limit(figure=powers.JOULES, of="median_ape", percent=12.0, note=_NOT_GUARANTEED),
    _Limit(figure=eager.JOULES, of="median_ape", percent=20.0, note=_NOT_GUARANTEED),
    _Limit(figure=eager.EVERY_ROW, of="median_ape", percent=20.0, note="58 % of the rows are one batch sweep"),
)
_NAMES = {"median_ape": "median error", "mean_ape": "mean error"}


def served_targets(found: ServedEvaluation) -> Iterator[tuple[str, AccuracyTarget]]:
    """Yield each target that the sets decide, with the set's name."""
    for limit in _LIMITS:
        for line in found.scores:
            if (line.figure, line.system, line.part) == (limit.figure, OWN, ALL):
                name = f"{line.figure}: {_NAMES[limit.of]}" + f" ({limit.note})" * bool(limit.note)
                yield line.set, at_most(name, float(getattr(line, limit.of)), limit.percent)


def served_listings(found: ServedEvaluation) -> Iterator[Listing]:
    """Yield targets, the scores of all systems, what the residuals show, and what was left out."""
    targets = [(each.name, each.wanted, each.found, each.verdict) for _, each in served_targets(found)]
    yield Listing(title="Targets", header=("target", "wanted", "found", ""), rows=targets, texts=4)
    for title, of in (("Every system", _of_engines), ("Every system, transformers in torch", _of_torch)):
        rows = [(line.figure, line.system, *cells(line)) for line in found.scores if line.part == ALL and of(line)]
        if rows:
            yield Listing(title=title, header=("figure", "system", *HEADER[1:]), rows=rows, texts=2)
    for figure in dict.fromkeys(line.figure for line in found.scores):
        own = [line for line in found.scores if (line.figure, line.system) == (figure, OWN) and line.part != ALL]
        if not own and figure == eager.EVERY_ROW:
            continue
        yield Listing(
            title=f"What the residuals show: {figure}",
            note=RESIDUALS,
            header=HEADER,
            rows=[(line.part, *cells(line)) for line in own],
            texts=1,
        )
    left_out = [(each.set, str(each.n), each.reason) for each in found.left_out]
    yield Listing(title="Left out", header=("set", "rows", "why"), rows=left_out, texts=3)


def _of_torch(line: ServedScore) -> bool:
    return line.set == eager.SET


def _of_engines(line: ServedScore) -> bool:
    return not _of_torch(line)


def served_lines(found: ServedEvaluation) -> Sequence[tuple[str, ...]]:
    """Return the lines of a table for a terminal, its header first; nothing without scores."""
    if not found.scores:
        return []
    return [
        ("served: figure", "system", *HEADER),
        *((line.figure, line.system, line.part, *cells(line)) for line in found.scores),
    ]


def cells(line: ServedScore) -> tuple[str, ...]:
    coverage, width = line.interval_coverage, line.interval_half_width
    errors = (line.median_ape, line.mean_ape, line.max_ape)
    return (
        str(line.n),
        *(f"{percent(value)} %" for value in errors),
        f"{line.bias:+.1f} %",
        "–" if coverage is None else f"{coverage:.3f}",
        "–" if width is None else f"± {percent(width)} %",
    )
