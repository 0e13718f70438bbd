"""Score every set of served models that a folder of data holds."""

from __future__ import annotations

from pathlib import Path

from joulecast_calibration.evaluate.serving import latency, power
from joulecast_calibration.evaluate.serving.latencies import read_cases, score_latencies
from joulecast_calibration.evaluate.serving.powers import read_powered, score_powers
from joulecast_calibration.evaluate.serving.scoring import ServedEvaluation

FILES = (latency.FILE, power.FILE)


def holds_served(folder: Path) -> bool:
    """Decide whether ``folder`` holds one of the sets."""
    return any((folder / file).is_file() for file in FILES)


def evaluate_served(folder: Path) -> ServedEvaluation:
    """Return the scores of all sets in ``folder``; none where it holds none of them."""
    cases = read_cases(folder)
    powered, without_watts = read_powered(folder, cases)
    return ServedEvaluation(
        scores=(*score_latencies(cases), *score_powers(powered)),
        left_out=(*cases.left_out, *without_watts),
    )
