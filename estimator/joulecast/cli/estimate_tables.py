"""What ``joulecast estimate`` and ``joulecast compare`` show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.text import Text

from joulecast.cli.explanation import explanation
from joulecast.cli.profile_tables import coverage_text, facts, model_facts, plain_table, uncovered
from joulecast.cli.quantities import Scale, digits, metric

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from joulecast.energy.model import EnergyEstimate
    from joulecast.errors import JoulecastError
    from joulecast.layers import ModelProfile

_UNPRICED = "is priced by nothing calibrated"


def estimate_tables(
    profile: ModelProfile, estimates: Sequence[EnergyEstimate], *, explain: bool, top: int
) -> list[RenderableType]:
    """The model, a row a forecast, what widens the intervals; with ``explain``, where the joules go."""
    shown: list[RenderableType] = [facts(model_facts(profile)), _forecasts("Forecast", estimates), *_notes(estimates)]
    if explain:
        for estimate in estimates:
            shown += explanation(estimate, top=top)
    return shown


def comparison_tables(
    profile: ModelProfile, estimates: Sequence[EnergyEstimate], unavailable: Mapping[str, JoulecastError]
) -> list[RenderableType]:
    """The same for many accelerators, best first and marked, and what could not be priced."""
    title = "Forecasts, fewest joules per inference first"
    shown: list[RenderableType] = [facts(model_facts(profile)), _forecasts(title, estimates, mark_first=True)]
    shown += _notes(estimates)
    return shown + [Text(f"no forecast: {error}", style="yellow") for error in unavailable.values()]


def _forecasts(title: str, estimates: Sequence[EnergyEstimate], *, mark_first: bool = False) -> Table:
    energy, single, time = (metric(unit, values) for unit, values in _columns(estimates))
    table = plain_table(
        title, ("", False), ("accelerator", False), ("batch size", True), ("per batch", True), (f"{single.unit} per inference", True),
        (f"{time.unit} per batch", True), ("W", True), ("precision", False), ("runtime", False), ("coverage", False), ("origin", False),
    )  # fmt: skip
    for position, estimate in enumerate(estimates):
        best = mark_first and position == 0
        table.add_row("★" if best else "", *_cells(estimate, energy, single, time), style="bold" if best else None)
    return table


def _columns(estimates: Sequence[EnergyEstimate]) -> list[tuple[str, list[float]]]:
    """Unit and figures of the columns that share a scale down the table."""
    return [
        ("J", [estimate.joules_per_batch for estimate in estimates]),
        ("J", [estimate.joules_per_batch / estimate.batch_size for estimate in estimates]),
        ("s", [estimate.latency_seconds for estimate in estimates]),
    ]


def _cells(estimate: EnergyEstimate, energy: Scale, single: Scale, time: Scale) -> list[str]:
    joules = estimate.joules_per_batch
    return [
        estimate.accelerator,
        str(estimate.batch_size),
        energy.interval(joules, estimate.joules_per_batch_lower, estimate.joules_per_batch_upper),
        single.text(joules / estimate.batch_size),
        time.text(estimate.latency_seconds),
        digits(estimate.average_power_watts),
        estimate.precision,
        estimate.runtime,
        coverage_text(estimate.coverage),
        estimate.origin,
    ]


def _notes(estimates: Sequence[EnergyEstimate]) -> list[RenderableType]:
    """What the intervals mean, and why some are wide; a note that many forecasts share is told once."""
    notes: dict[str, list[str]] = {}
    for estimate in estimates:
        for text in _notes_of(estimate):
            notes.setdefault(text, []).append(estimate.accelerator)
    shown: list[RenderableType] = [
        Text(f"{text} ({', '.join(dict.fromkeys(names))})" if len(estimates) > 1 else text, style="dim")
        for text, names in notes.items()
    ]
    return shown + _unsupported(estimates)


def _notes_of(estimate: EnergyEstimate) -> list[str]:
    doubt = "" if estimate.interval_guaranteed else ", not guaranteed: too few groups of measurements stand behind it"
    return [
        f"interval: {estimate.interval_level:.0%} of true values{doubt}",
        *(f"wider: {reason}" for reason in estimate.reasons),
    ]


def _unsupported(estimates: Sequence[EnergyEstimate]) -> list[RenderableType]:
    fullest = max(estimates, key=lambda estimate: len(estimate.coverage.unsupported), default=None)
    return uncovered(fullest.coverage, _UNPRICED) if fullest else []
