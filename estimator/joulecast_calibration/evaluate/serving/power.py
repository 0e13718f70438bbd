"""Watts and step times of vLLM batches on one or two cards (TokenPowerBench). No row of it is fitted.

The set does not name its card; memory, card count and plateau say H100 NVL. Its joules a token are wrong by its own
numbers, so watts, seconds a step and their product are scored.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from joulecast_calibration.evaluate.serving.models import published
from joulecast_calibration.evaluate.serving.usable import usable_rows

FILE = Path("llm_serving_power") / "tokenpowerbench.csv"
ACCELERATOR = "NVIDIA-H100-NVL"
INPUT_TOKENS = 15
"""Of the Alpaca instructions, about 10 to 20 tokens each; not recorded a row."""
_OWNER = "meta-llama"
MOST_SEQUENCES = 256
"""Sequences that vLLM runs at once by default; a larger batch waits, so its step times span two waves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedPower:
    """One run of batches.

    - ``running``: of the batch's sequences, how many are written at once in the mean over its steps.
    - ``watts``: of one busy card; ``step_seconds``: of one decode step, None where the set's own note forbids it.
    """

    model: str
    cards: int
    batch_size: int
    running: int
    output_tokens: int
    watts: float
    step_seconds: float | None


def read_powers(folder: Path) -> tuple[tuple[ServedPower, ...], Mapping[str, int]]:
    """Return the usable rows of the set in ``folder``, and how many are left out by the reason."""
    found, left_out = usable_rows(folder / FILE, _why_not)
    return tuple(_row(row) for row in found), left_out


def _why_not(row: Mapping[str, str]) -> str:
    if row["usable"] == "no":
        return "marked unusable by the set's README"
    if row["engine"] != "vllm":
        return f"served by {row['engine']}"
    if _model(row) not in published():
        return f"no configuration of {row['model'] or 'the model'}"
    if not _watts(row):
        return "no watts of the busy card alone"
    return ""


def _model(row: Mapping[str, str]) -> str:
    """Return the model's name on the hub; most rows leave its owner out."""
    return row["model"] if "/" in row["model"] else f"{_OWNER}/{row['model']}"


def _watts(row: Mapping[str, str]) -> float:
    """Return the watts of one busy card: without the idle span of a short run where the set estimates that."""
    cards = int(row["tensor_parallel"] or 1)
    stated = row["gpu0_active_w_est"] or (row["gpu0_mean_w"] if cards > 1 else "")
    return float(stated or 0)


def _running(row: Mapping[str, str]) -> int:
    """Return how many sequences a batch runs in the mean: it shrinks, since each ends where its text does.

    The benchmark asks for no more than a limit of tokens (its ``vllm_engine.py`` does not ignore the end of a text),
    and at least one sequence reaches it. The tokens written lie between its words × 1.3 and every sequence at the
    limit, by the set's README; nothing says where, so their geometric mean is taken.
    """
    share = min(float(row["output_tokens_est"]) / float(row["output_tokens_max"]), 1.0)
    return max(1, round(math.sqrt(share) * min(int(row["batch_effective"]), MOST_SEQUENCES)))


def _row(row: Mapping[str, str]) -> ServedPower:
    timed = row["usable"] == "power_and_step" and int(row["batch_effective"]) <= MOST_SEQUENCES
    return ServedPower(
        model=_model(row),
        cards=int(row["tensor_parallel"] or 1),
        batch_size=min(int(row["batch_effective"]), MOST_SEQUENCES),
        running=_running(row),
        output_tokens=int(row["max_output_tokens"]),
        watts=_watts(row),
        step_seconds=float(row["step_ms"]) / 1000 if timed and row["step_ms"] else None,
    )
