"""An evaluation as JSON, CSV and the page ``docs/accuracy.md``."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields

from joulecast.calibration.evaluate.protocol import Evaluation
from joulecast.calibration.evaluate.scores import Score

SPLITS = {
    "leave-architecture-out": "Each architecture forecast by a fit of the others; its interval nested in the same way.",
    "transferred": "No joule and no watt of this card was used: latency tables, data sheet, operator power of other "
    "cards.",
    "in-sample": "The rows that were fitted themselves: how well the form can do at all. Not a forecast.",
}
"""What each split means, in the order of the page."""

_INTRODUCTION = """# Accuracy

Written by `joulecast evaluate --data DIR --page docs/accuracy.md`; nothing here is edited by hand.

APE is the absolute percentage error of joules per batch. Coverage is the share of rows inside the 90 % interval, \
half-width its median half length in percent of the
forecast. The row `macro` counts every architecture once. \
A forecast sees a row's model, configuration, precision, batch, sequence, mode, attention and clock lock, \
and nothing else of it.

No joules measured by this project stand behind these figures yet: every row below was measured by others. The sets \
are development checks:
the form of the law was chosen with one of them in sight ([ADR 0040](adr/0040-physical-law.md)). Transferred \
intervals follow a rule fixed before the rows were first scored that way
([ADR 0041](adr/0041-width-of-transferred-intervals.md)) and are never tuned.
"""

SETS = {
    "energaizer_a100": "Whole forward passes on one A100-PCIE-40GB with locked clocks, seven architectures, "
    "PyTorch eager (EnergAIzer, arXiv 2604.20105, MIT). "
    "Four language models are most of the rows, so read the macro average too. FP32 rows run convolutions in TF32.",
}
"""What a set is, where that is known; any other one is named after its folder."""


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


def as_page(found: Evaluation) -> str:
    """docs/accuracy.md."""
    parts = [_INTRODUCTION]
    for name in dict.fromkeys(line.set.split(" ")[0] for line in found.results):
        own = [line for line in found.results if line.set.split(" ")[0] == name]
        parts.append(f"\n## {name}\n\n{SETS.get(name, 'A folder of measured networks in the same columns.')}\n")
        parts += [_split(split, meaning, own, name) for split, meaning in SPLITS.items()]
    if found.unscored:
        parts.append("\n## Not scored\n\n| set | split | rows | why |\n|---|---|---:|---|\n")
        parts += [f"| {entry.set} | {entry.split} | {entry.n} | {entry.reason} |\n" for entry in found.unscored]
    return "".join(parts)


def as_table(found: Evaluation) -> str:
    """Plain lines for a terminal."""
    lines = [_cells(line, line.set) for line in found.results]
    rows = [("split", *_HEADER), *((line.split, *cells) for line, cells in zip(found.results, lines, strict=True))]
    widths = [max(len(row[position]) for row in rows) for position in range(len(rows[0]))]
    return "".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() + "\n" for row in rows
    )


_HEADER = ("rows of", "task", "n", "median APE", "mean APE", "max APE", "min APE", "coverage", "half-width")


def _split(split: str, meaning: str, lines: Sequence[Score], name: str) -> str:
    own = [line for line in lines if line.split == split]
    if not own:
        return ""
    table = [_markdown(_HEADER), _markdown(["---"] * 2 + ["---:"] * 7)]
    table += [_markdown(_cells(line, line.set.removeprefix(name).strip() or "all")) for line in own]
    return f"\n### {split}\n\n{meaning}\n\n" + "".join(table)


def _cells(line: Score, label: str) -> tuple[str, ...]:
    percents = (line.median_ape, line.mean_ape, line.max_ape, line.min_ape)
    return (
        label,
        line.task,
        str(line.n),
        *(f"{value:.1f} %" for value in percents),
        f"{line.interval_coverage:.3f}",
        f"± {line.interval_half_width:.1f} %",
    )


def _markdown(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |\n"


def _rounded(line: Score) -> dict[str, object]:
    return {name: float(f"{value:.6g}") if isinstance(value, float) else value for name, value in asdict(line).items()}
