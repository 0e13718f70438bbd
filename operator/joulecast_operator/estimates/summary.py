"""Write the first result of an estimate as text, for the columns of `kubectl get`; pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from joulecast_operator.api.annotations import significant
from joulecast_operator.workloads.dimensions import caps

_ENERGY: Final = {
    "forward": ("joulesPerBatch", "J/batch"),
    "prefill": ("joulesPerInputToken", "J/input token"),
    "decode": ("joulesPerOutputToken", "J/output token"),
    "request": ("joulesPerRequest", "J/request"),
}
"""The energy that stands for a result, by its phase, with its unit."""


def summary_of(row: Mapping[str, Any], model: str) -> dict[str, str]:
    """Return the summary of a result. ``model``: the model's name for a column."""
    field, unit = _ENERGY[row.get("phase") or "forward"]
    lower, upper = (significant(row[f"{field}{end}"]) for end in ("Lower", "Upper"))
    percent = math.floor(row["coverage"] * 1000) / 10  # rounded down, so that 99.96 % is not shown as 100 %
    found = {
        "model": model,
        "accelerator": str(row["accelerator"]),
        "load": ", at ".join(filter(None, (_load(row), caps(row)))),
        "joules": f"{significant(row[field])} {unit}",
        "interval": f"{lower}–{upper} J",
        "coverage": f"{percent:g} %",
        "origin": str(row["origin"]),
    }
    return found | ({"batchSize": str(row["batchSize"])} if "batchSize" in row else {})


def energies(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the least and the most energy of results of one phase, such as "0.42–1.3 J/batch"."""
    field, unit = _ENERGY[rows[0].get("phase") or "forward"]
    found = [row[field] for row in rows]
    return f"{significant(min(found))}–{significant(max(found))} {unit}"


def _load(row: Mapping[str, Any]) -> str:
    """Return what runs at once, such as "batch of 8" or "512 → 256 tokens, 32 at once, on 2"."""
    if "batchSize" in row:
        return f"batch of {row['batchSize']}"
    read, written = row["inputTokens"], row["outputTokens"]
    tokens = {"prefill": f"{read} tokens", "decode": f"after {read} tokens"}.get(
        row["phase"], f"{read} → {written} tokens"
    )
    on = f", on {row['parallel']}" if row["parallel"] > 1 else ""
    return f"{tokens}, {row['concurrency']} at once{on}"
