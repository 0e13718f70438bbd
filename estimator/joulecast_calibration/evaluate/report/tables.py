"""Write an evaluation as JSON and as lines for a terminal, and list the tables that page and report share."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict

from joulecast.units import rounded
from joulecast_calibration.evaluate.contenders import PHYSICAL
from joulecast_calibration.evaluate.evaluation import (
    Evaluation,
    OpTypeScore,
    Score,
    ScoredForecasts,
    Unscored,
    biases,
)
from joulecast_calibration.evaluate.report.cards import card_lines, card_targets
from joulecast_calibration.evaluate.report.listing import Listing, percent
from joulecast_calibration.evaluate.report.meanings import LEARNING, OP_TYPES, RESIDUALS, STUDIES, THIRD_CARD
from joulecast_calibration.evaluate.report.served import served_lines, served_targets
from joulecast_calibration.evaluate.report.targets import MEASURED_ROWS, AccuracyTarget, targets_of
from joulecast_calibration.evaluate.report.timed import timed_lines, timed_targets

_DIGITS = 6
HEADER = ("rows of", "task", "n", "median APE", "mean APE", "max APE", "min APE", "coverage", "half-width")


def as_json(found: Evaluation) -> str:
    """Return ``{"results": […], "unscored": […], …}`` with six significant digits."""
    document = {
        "simulated": bool(found.simulated),
        "results": [rounded(asdict(line), _DIGITS) for line in found.results],
        "unscored": [asdict(entry) for entry in _unscored(found)],
        "measured": [rounded(asdict(entry), _DIGITS) for entry in found.measured],
        "op_types": [rounded(asdict(entry), _DIGITS) for entry in found.op_types],
        "learning": [rounded(asdict(entry), _DIGITS) for entry in found.learning],
        "noise": [rounded(asdict(entry), _DIGITS) for entry in found.noise],
        "third_card": [rounded(asdict(entry), _DIGITS) for entry in found.third_card],
        "cards": [rounded(asdict(entry), _DIGITS) for entry in found.cards.scores],
        "rankings": [rounded(asdict(entry), _DIGITS) for entry in found.cards.rankings],
        "settings": [rounded(asdict(entry), _DIGITS) for entry in found.cards.settings],
        "served": [rounded(asdict(entry), _DIGITS) for entry in found.served.scores],
        "timed": [rounded(asdict(entry), _DIGITS) for entry in found.timed.scores],
        "targets": [
            {"set": name, "target": each.name, "wanted": each.wanted, "found": each.found, "state": each.state}
            for name, each in _targets(found)
        ],
    }
    return json.dumps(document, indent=1) + "\n"


def as_table(found: Evaluation) -> str:
    """Return plain lines for a terminal.

    They hold every score of ``physical``, and those of whole sets and tasks of the other systems; for sets with
    hundreds of architectures only those of whole sets, tasks and studies.
    """
    whole = {forecasts.set for forecasts in found.forecasts}
    measured = {each.set for each in found.measured}
    whole |= {f"{name} {study}".strip() for name in measured for study in (*STUDIES, *(f"{s} macro" for s in STUDIES))}
    shown = [line for line in found.results if line.set in whole or _told(line, measured)]
    rows = [("split", "system", *HEADER), *((line.split, line.system, *cells(line, line.set)) for line in shown)]
    tables = [
        rows if shown else [],
        card_lines(found.cards),
        served_lines(found.served),
        timed_lines(found.timed),
    ]
    parts = [warning(found), *(line for table in tables if table for line in aligned(table)), *_others(found)]
    parts += [f"not scored: {each.set}, {each.split}, {each.n} rows, {each.reason}" for each in _unscored(found)]
    return "".join(line + "\n" for line in parts if line)


def _unscored(found: Evaluation) -> list[Unscored]:
    """Return what was not scored, of served models and of seconds alone too."""
    served = [Unscored(set=e.set, split=_SERVED, reason=e.reason, n=e.n) for e in found.served.left_out]
    timed = [Unscored(set=e.set, split=_TIMED, reason=e.reason, n=e.n) for e in found.timed.left_out]
    return [*found.unscored, *served, *timed]


_SERVED, _TIMED = "served", "seconds"


def warning(found: Evaluation) -> str:
    """Return the warning that comes before scores of simulated rows; empty where there are none."""
    if not found.simulated:
        return ""
    named = ", ".join(found.simulated)
    return f"SIMULATED: no hardware stands behind {named}. These figures are of the machinery and say nothing of a GPU."


def _told(line: Score, measured: Collection[str]) -> bool:
    """Return whether a score is printed: parts of published sets, and of measured sets where they are few."""
    return line.system == PHYSICAL and not any(line.set.startswith(f"{name} ") for name in measured)


def _others(found: Evaluation) -> Iterator[str]:
    """Yield the lines beside the scores: number of layers, noise, power of a third card, targets."""
    for step in found.learning:
        errors = f"median {percent(step.median_ape)} %, mean {percent(step.mean_ape)} % on {step.n} {step.on}"
        yield f"calibrated on {step.layers} layers: {step.set}, {errors}"
    for each in found.noise:
        yield f"noise: {each.set}, {each.n} {each.on} repeated, median {each.median:.2f} %, at most {each.max:.2f} %"
    for power in found.third_card:
        errors = (
            f"median {percent(power.median_ape)} %, mean {percent(power.mean_ape)} %, max {percent(power.max_ape)} %"
        )
        yield f"power of products: {power.card} by {power.fitted_on}, n {power.n}, {errors}"
    for pair in found.cards.rankings:
        named = f"cheaper one named in {100 * pair.right:.1f} % of {pair.n} pairs, mean regret {pair.mean_regret:.1f} %"
        yield f"ranking: {pair.cards}, {pair.by}, {named}"
    for two in found.cards.settings:
        named = f"cheaper one named in {100 * two.right:.1f} % of {two.n} pairs, mean regret {two.mean_regret:.1f} %"
        yield f"{two.setting}: {two.set}, {two.by}, {named}"
    if not found.measured:
        yield f"targets on {MEASURED_ROWS}: no rows"
    for name, target in _targets(found):
        if name == MEASURED_ROWS:
            continue
        said = f"{target.found}, {target.state}" if target.found else target.state
        yield f"target: {name}, {target.name}, wanted {target.wanted}, {said}"


def _targets(found: Evaluation) -> Iterator[tuple[str, AccuracyTarget]]:
    names = dict.fromkeys(forecasts.set for forecasts in found.forecasts)
    for name in (*names, *(() if found.measured else (MEASURED_ROWS,))):
        yield from ((name, target) for target in targets_of(found, name))
    yield from card_targets(found.cards)
    yield from served_targets(found.served)
    yield from timed_targets(found.timed)


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return ``rows`` as lines whose columns are aligned."""
    widths = [max(len(row[position]) for row in rows) for position in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def cells(line: Score, label: str) -> tuple[str, ...]:
    """Return a score as cells under ``HEADER``."""
    return (
        label,
        line.task,
        str(line.n),
        *_percents(line.median_ape, line.mean_ape, line.max_ape, line.min_ape),
        f"{line.interval_coverage:.3f}",
        f"± {percent(line.interval_half_width)} %",
    )


def targets_listing(found: Evaluation, name: str) -> Listing:
    """List the targets of the set ``name``."""
    rows = [(each.name, each.wanted, each.found, each.verdict) for each in targets_of(found, name)]
    return Listing(title="Targets", header=("target", "wanted", "found", ""), rows=rows, texts=4)


def bias_listing(own: ScoredForecasts) -> Listing:
    """List the bias of each group of rows."""
    return Listing(
        title="What the residuals of physical show",
        note=RESIDUALS,
        header=("rows of", "n", "median, signed", "half the middle half"),
        rows=[(each.group, str(each.n), f"{each.signed:+.1f} %", f"{each.spread:.1f} %") for each in biases(own)],
        texts=1,
    )


def op_type_listing(scores: Sequence[OpTypeScore]) -> Listing:
    """List errors by op type."""
    return Listing(
        title="Errors by op type",
        note=OP_TYPES,
        header=("op type", "system", "n", "median APE", "mean APE", "max APE"),
        rows=[
            (each.op_type, each.system, str(each.n), *_percents(each.median_ape, each.mean_ape, each.max_ape))
            for each in scores
        ],
        texts=2,
    )


def learning_listing(found: Evaluation, name: str) -> Listing:
    """List errors by number of fitted layers."""
    own = [each for each in found.learning if each.set == name]
    return Listing(
        title="Errors against the number of calibration layers",
        note=LEARNING,
        header=("layers", "rows scored", "median APE", "mean APE"),
        rows=[(str(each.layers), f"{each.n} {each.on}", *_percents(each.median_ape, each.mean_ape)) for each in own],
    )


def power_listing(found: Evaluation) -> Listing:
    """List errors of the power of each metered card."""
    return Listing(
        title="Power of a card that was left out",
        note=THIRD_CARD,
        header=("card", "forecast from", "n", "median APE", "mean APE", "max APE", "median, signed"),
        rows=[
            (
                *(each.card, each.fitted_on, str(each.n)),
                *_percents(each.median_ape, each.mean_ape, each.max_ape),
                f"{each.bias:+.1f} %",
            )
            for each in found.third_card
        ],
        texts=2,
    )


def _percents(*values: float) -> tuple[str, ...]:
    return tuple(f"{percent(value)} %" for value in values)
