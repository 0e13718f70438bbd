"""Write an evaluation as JSON, CSV and lines for a terminal."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, fields
from typing import TYPE_CHECKING

from joulecast_calibration.evaluate.contenders import PHYSICAL
from joulecast_calibration.evaluate.evaluation import Evaluation, LearningScore, OpTypeScore, PowerScore
from joulecast_calibration.evaluate.report.meanings import STUDIES
from joulecast_calibration.evaluate.report.targets import MEASURED_ROWS, AccuracyTarget, targets_of
from joulecast_calibration.evaluate.scores import Score

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

HEADER = ("rows of", "task", "n", "median APE", "mean APE", "max APE", "min APE", "coverage", "half-width")


def as_json(found: Evaluation) -> str:
    """Return ``{"results": […], "unscored": […], …}`` with six significant digits."""
    document = {
        "simulated": bool(found.simulated),
        "results": [_rounded(line) for line in found.results],
        "unscored": [asdict(entry) for entry in found.unscored],
        "measured": [_rounded(entry) for entry in found.measured],
        "op_types": [_rounded(entry) for entry in found.op_types],
        "learning": [_rounded(entry) for entry in found.learning],
        "noise": [_rounded(entry) for entry in found.noise],
        "third_card": [_rounded(entry) for entry in found.third_card],
        "targets": [
            {"set": name, "target": each.name, "wanted": each.wanted, "found": each.found, "state": each.state}
            for name, each in _targets(found)
        ],
    }
    return json.dumps(document, indent=1) + "\n"


def as_csv(found: Evaluation) -> str:
    """Return the results as CSV, one line each."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(Score)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(_rounded(line) for line in found.results)
    return text.getvalue()


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
    parts = [warning(found), *(aligned(rows) if shown else []), *_others(found)]
    parts += [f"not scored: {_said(entry)}" for entry in _unscored(found)]
    return "".join(line + "\n" for line in parts if line)


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


def _unscored(found: Evaluation) -> Sequence[tuple[object, ...]]:
    return [(entry.set, entry.split, f"{entry.n} rows", entry.reason) for entry in found.unscored]


def _said(entry: Sequence[object]) -> str:
    return ", ".join(map(str, entry))


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return ``rows`` as lines whose columns are aligned."""
    widths = [max(len(row[position]) for row in rows) for position in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def cells(line: Score, label: str) -> tuple[str, ...]:
    """Return a score as cells under ``HEADER``."""
    percents = (line.median_ape, line.mean_ape, line.max_ape, line.min_ape)
    return (
        label,
        line.task,
        str(line.n),
        *(f"{percent(value)} %" for value in percents),
        f"{line.interval_coverage:.3f}",
        f"± {percent(line.interval_half_width)} %",
    )


OP_TYPE_HEADER = ("op type", "system", "n", "median APE", "mean APE", "max APE")
LEARNING_HEADER = ("layers", "rows scored", "median APE", "mean APE")
POWER_HEADER = ("card", "forecast from", "n", "median APE", "mean APE", "max APE", "median, signed")


def op_type_cells(each: OpTypeScore) -> tuple[str, ...]:
    """Return a score as cells under ``OP_TYPE_HEADER``."""
    errors = (each.median_ape, each.mean_ape, each.max_ape)
    return each.op_type, each.system, str(each.n), *(f"{percent(value)} %" for value in errors)


def learning_cells(each: LearningScore) -> tuple[str, ...]:
    """Return a step as cells under ``LEARNING_HEADER``."""
    return str(each.layers), f"{each.n} {each.on}", f"{percent(each.median_ape)} %", f"{percent(each.mean_ape)} %"


def power_cells(each: PowerScore) -> tuple[str, ...]:
    """Return a card's power errors as cells under ``POWER_HEADER``."""
    errors = (each.median_ape, each.mean_ape, each.max_ape)
    return each.card, each.fitted_on, str(each.n), *(f"{percent(value)} %" for value in errors), f"{each.bias:+.1f} %"


def percent(value: float) -> str:
    """Format a percentage with one decimal digit, and without it from four digits before the point on."""
    return f"{value:.1f}" if value < 1000 else f"{value:,.0f}"


def _rounded(line: DataclassInstance) -> dict[str, object]:
    return {name: float(f"{value:.6g}") if isinstance(value, float) else value for name, value in asdict(line).items()}
