"""An evaluation as JSON, CSV and lines for a terminal."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, fields

from joulecast.calibration.evaluate.contenders import PHYSICAL
from joulecast.calibration.evaluate.protocol import Evaluation
from joulecast.calibration.evaluate.scores import Score

HEADER = ("rows of", "task", "n", "median APE", "mean APE", "max APE", "min APE", "coverage", "half-width")


def as_json(found: Evaluation) -> str:
    """``{"results": […], "unscored": […]}``, six significant digits."""
    document = {
        "results": [_rounded(line) for line in found.results],
        "unscored": [asdict(entry) for entry in found.unscored],
    }
    return json.dumps(document, indent=1) + "\n"


def as_csv(found: Evaluation) -> str:
    """The results, a line each."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(Score)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(_rounded(line) for line in found.results)
    return text.getvalue()


def as_table(found: Evaluation) -> str:
    """Plain lines for a terminal: every one of ``physical``, those of whole sets and tasks of the other systems."""
    whole = {forecasts.set for forecasts in found.forecasts}
    shown = [line for line in found.results if line.system == PHYSICAL or line.set in whole]
    rows = [("split", "system", *HEADER), *((line.split, line.system, *cells(line, line.set)) for line in shown)]
    lines = aligned(rows)
    return "".join(line + "\n" for line in [*lines, *(f"not scored: {_said(entry)}" for entry in _unscored(found))])


def _unscored(found: Evaluation) -> Sequence[tuple[object, ...]]:
    return [(entry.set, entry.split, f"{entry.n} rows", entry.reason) for entry in found.unscored]


def _said(entry: Sequence[object]) -> str:
    return ", ".join(map(str, entry))


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """``rows`` with columns of even width."""
    widths = [max(len(row[position]) for row in rows) for position in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def cells(line: Score, label: str) -> tuple[str, ...]:
    """A score under ``HEADER``."""
    percents = (line.median_ape, line.mean_ape, line.max_ape, line.min_ape)
    return (
        label,
        line.task,
        str(line.n),
        *(f"{percent(value)} %" for value in percents),
        f"{line.interval_coverage:.3f}",
        f"± {percent(line.interval_half_width)} %",
    )


def percent(value: float) -> str:
    """A digit after the point, but none of a number that has four before it."""
    return f"{value:.1f}" if value < 1000 else f"{value:,.0f}"


def _rounded(line: Score) -> dict[str, object]:
    return {name: float(f"{value:.6g}") if isinstance(value, float) else value for name, value in asdict(line).items()}
