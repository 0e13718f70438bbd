"""Count the rows of tables with seconds, watts or joules that no forecast is scored on, with the reason."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from joulecast_calibration.evaluate.serving.scoring import LeftOut, left_out
from joulecast_calibration.rows.engines.vidur import read_operators

INFERENCE = Path("co2_inference") / "co2_inference.csv"
_MARKED = {"weak": "marked weak by the set's README", "no": "marked unusable by the set's README"}
_POWER = "power alone can be trusted: what was run is not recorded (length of the output, size of the image)"
_DIFFUSION = "diffusion: a pipeline without a counted graph, whose steps and image size are not recorded"
_GENERATION = "generation in float32 by transformers 4.30: read for the pace of its host alone"


def unread(folder: Path) -> Iterator[LeftOut]:
    """Yield what is not scored of single operators (Vidur) and of measured inference (co2_inference) in ``folder``."""
    yield from left_out("vidur_op_latency", read_operators(folder).left_out)
    yield from left_out(INFERENCE.parent.name, _inference(folder / INFERENCE))


def _inference(path: Path) -> Mapping[str, int]:
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8") as text:
        return Counter(_why_not(row) for row in csv.DictReader(text))


def _why_not(row: Mapping[str, str]) -> str:
    if row["usable"] == "yes":
        return _DIFFUSION if row["kind"] == "diffusion" else _GENERATION
    return _POWER if row["usable"] == "power" else _MARKED[row["usable"]]
