"""Judge the slice ``smoke``: whether a row of each kind can be measured on this machine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from joulecast_calibration.measure.plan.history import UNMETERED
from joulecast_calibration.rows.typed import (
    FailureRow,
    InvalidRow,
    LayerRow,
    MeasuredRow,
    NetworkRow,
    TypedRow,
    WindowRow,
)

Outcome = Literal["holds", "fails", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The result of one check.

    - ``figure``: what was found, in words.
    """

    name: str
    outcome: Outcome
    figure: str


Tried = MeasuredRow | InvalidRow | FailureRow

STEPS = (
    "layer", "layer with a hot cache", "network, torch-eager", "network, torch-cudagraph", "network, bf16",
    "language model", "window beside CodeCarbon",
)  # fmt: skip
"""Steps in the order in which they are measured, without a compiled network, which takes as long as all of these."""


def smoke(rows: Iterable[TypedRow]) -> tuple[Finding, ...]:
    """Return a finding for each step if rows of the slice are among ``rows``, else an empty tuple."""
    tried = (row for row in rows if isinstance(row, LayerRow | NetworkRow | WindowRow | InvalidRow | FailureRow))
    last = {step_of(row.key): row for row in tried if row.slice == "smoke"}
    return tuple(_finding(step, last) for step in STEPS) if last else ()


def step_of(key: str) -> str:
    """Return the step that a row belongs to, by its key."""
    kind, name, *how = key.split("|")
    if kind == "window":
        return "window beside CodeCarbon"
    if kind == "layer":
        return "layer with a hot cache" if "hot" in how else "layer"
    if name.startswith("hf:"):
        return "language model"
    return f"network, {_manner(how)}"


def _manner(how: Sequence[str]) -> str:
    return next(word for word in ("bf16", "torch-cudagraph", "torch-eager") if word in how)


def _finding(step: str, last: Mapping[str, Tried]) -> Finding:
    name, row = f"smoke: {step}", last.get(step)
    if row is None:
        why = "not measured: its library is not here, or time was over"
        return Finding(name=name, outcome="unknown", figure=why)
    if isinstance(row, InvalidRow) and row.invalid_reason == UNMETERED:
        return Finding(name=name, outcome="holds", figure="it ran, unmeasured")
    if isinstance(row, InvalidRow | FailureRow):
        trouble = row.reason if isinstance(row, FailureRow) else row.invalid_reason
        return Finding(name=name, outcome="fails", figure=f"{trouble}: {row.message or 'see its row'}")
    return Finding(name=name, outcome="holds", figure=_figure(row))


def _figure(row: MeasuredRow) -> str:
    figure = f"{row.joules:.4g} J, {1e3 * row.seconds:.4g} ms, {row.watts:.0f} W"
    if isinstance(row, WindowRow) and row.codecarbon_missing:
        figure += " (CodeCarbon skipped)"
    if row.untraced_reason:
        figure += f" (without counts: {row.untraced_reason})"
    return figure
