"""What ``joulecast estimate`` shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from joulecast.cli.tables.cells import line
from joulecast.cli.tables.explanation import explanation
from joulecast.cli.tables.profiles import facts, model_facts, plain_table, uncovered
from joulecast.cli.tables.quantities import Scale, digits, joules, metric, percent

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from joulecast.energy.model import EnergyEstimate
    from joulecast.layers import Coverage, ModelProfile

_UNPRICED = "is priced by nothing calibrated; the figures leave it out"


def estimate_tables(
    profile: ModelProfile, estimates: Sequence[EnergyEstimate], *, explain: bool, top: int
) -> list[RenderableType]:
    """Build the model's facts, one row for each forecast, and what widens the intervals.

    With ``explain``, also build the tables of where the joules go.
    """
    shown = [_asked(profile, estimates), _forecasts("Forecast", estimates), *_notes(estimates)]
    if explain:
        for estimate in estimates:
            shown += explanation(estimate, top=top)
    return shown


def _asked(profile: ModelProfile, estimates: Sequence[EnergyEstimate]) -> Table:
    """Build the facts that all forecasts of a command share."""
    shared = dict.fromkeys(
        f"{estimate.runtime}, {estimate.precision} precision{_cards(estimate.parallel)}" for estimate in estimates
    )
    told = model_facts(profile) | {"run as": "; ".join(shared)}
    if any(estimate.batch_size != profile.workload.batch_size for estimate in estimates):
        told["inputs"] += f" (at batch size {profile.workload.batch_size})"
    return facts(told)


def _cards(count: int) -> str:
    return f", on {count} cards that share the model" if count > 1 else ""


def _forecasts(title: str, estimates: Sequence[EnergyEstimate]) -> Table:
    energy = joules(estimate.joules_per_batch for estimate in estimates)
    single = metric("J", [estimate.joules_per_batch / estimate.batch_size for estimate in estimates])
    time = metric("s", [estimate.latency_seconds for estimate in estimates])
    table = plain_table(
        title, ("accelerator", False), ("batch\nsize", True), ("energy\nper batch", True),
        (f"{single.unit} per\ninference", True), (f"{time.unit} per\nbatch", True), ("W", True),
        ("coverage", True), ("origin", False),
    )  # fmt: skip
    for estimate in estimates:
        table.add_row(estimate.accelerator, *_cells(estimate, energy, single, time))
    return table


def _cells(estimate: EnergyEstimate, energy: Scale, single: Scale, time: Scale) -> list[str]:
    total = estimate.joules_per_batch
    return [
        str(estimate.batch_size),
        energy.interval(total, estimate.joules_per_batch_lower, estimate.joules_per_batch_upper),
        single.text(total / estimate.batch_size),
        time.text(estimate.latency_seconds),
        digits(estimate.average_power_watts),
        _coverage(estimate.coverage),
        estimate.origin,
    ]


def _coverage(coverage: Coverage) -> str:
    """Return the shares of FLOPs and of ops, or one figure where they agree."""
    shares = dict.fromkeys((percent(coverage.flops), percent(coverage.ops)))
    return " / ".join(shares)


def _notes(estimates: Sequence[EnergyEstimate]) -> list[RenderableType]:
    """Explain the intervals and why some are wide; a note that several forecasts share is printed once."""
    notes: dict[str, list[str]] = {}
    for estimate in estimates:
        for text in _notes_of(estimate):
            notes.setdefault(text, []).append(estimate.accelerator)
    shown: list[RenderableType] = [
        line(f"{text} ({', '.join(dict.fromkeys(names))})" if len(estimates) > 1 else text, style="dim")
        for text, names in notes.items()
    ]
    return shown + _unsupported(estimates)


def _notes_of(estimate: EnergyEstimate) -> list[str]:
    doubt = "" if estimate.interval_guaranteed else ", not guaranteed"
    held = f"interval: holds the true value in {percent(estimate.interval_level)} of cases{doubt}"
    return [held, *(f"  · {reason}" for reason in estimate.reasons)]


def _unsupported(estimates: Sequence[EnergyEstimate]) -> list[RenderableType]:
    fullest = max(estimates, key=lambda estimate: _gaps(estimate.coverage), default=None)
    return uncovered(fullest.coverage, _UNPRICED) if fullest else []


def _gaps(coverage: Coverage) -> int:
    return len(coverage.unsupported) + len(coverage.upper_bounds)
