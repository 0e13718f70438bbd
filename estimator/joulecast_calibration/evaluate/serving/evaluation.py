"""Score every set of language models that a folder of data holds: served by engines, and run by transformers."""

from __future__ import annotations

from pathlib import Path

from joulecast_calibration.evaluate.serving import latency, power
from joulecast_calibration.evaluate.serving.eager import rows as eager
from joulecast_calibration.evaluate.serving.eager.scores import read_forecasts, score_eager
from joulecast_calibration.evaluate.serving.latencies import read_cases, score_latencies
from joulecast_calibration.evaluate.serving.powers import read_powered, score_powers
from joulecast_calibration.evaluate.serving.scoring import ServedEvaluation

FILES = (latency.FILE, power.FILE, eager.FILE)


def holds_served(folder: Path) -> bool:
    """Decide whether ``folder`` holds one of the sets."""
    return any((folder / file).is_file() for file in FILES)


def evaluate_served(folder: Path) -> ServedEvaluation:
    """Return the scores of all sets in ``folder``; none where it holds none of them."""
    cases = read_cases(folder)
    powered, without_watts = read_powered(folder, cases)
    run_by_torch, not_run = read_forecasts(folder)
    return ServedEvaluation(
        scores=(*score_latencies(cases), *score_powers(powered), *score_eager(run_by_torch)),
        left_out=(*cases.left_out, *without_watts, *not_run),
    )
