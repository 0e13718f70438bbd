"""What ``joulecast estimate`` shows of generation by a language model."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from joulecast.cli.tables.cells import line
from joulecast.cli.tables.profiles import facts, plain_table
from joulecast.cli.tables.quantities import Scale, digits, joules, metric, percent, size

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from joulecast.api.generation import Figure, GenerationEstimate, PhaseLayers
    from joulecast.blocks import LanguageModel
    from joulecast.sources import FetchedModel

_MOST_DEFAULTS = 12


def generation_tables(
    fetched: FetchedModel, model: LanguageModel, estimates: Sequence[GenerationEstimate], *, explain: bool
) -> list[RenderableType]:
    """Build the model's facts, one row for each forecast, and what widens the intervals.

    With ``explain``, also build a table of the phases side by side for each forecast.
    """
    shown: list[RenderableType] = [facts(_facts(fetched, model, estimates)), _forecasts(estimates), *_notes(estimates)]
    return shown + [_phases(estimate) for estimate in estimates if explain]


def _facts(fetched: FetchedModel, model: LanguageModel, estimates: Sequence[GenerationEstimate]) -> dict[str, str]:
    defaults = [f"{name} = {value}" for name, value in list(model.defaults.items())[:_MOST_DEFAULTS]]
    return {
        "model": fetched.reference,
        "digest": fetched.digest,
        "form": f"{fetched.format} · {model.architecture} · {size(fetched.bytes_fetched)} read",
        "stored as": model.storage.method or model.dtype,
        "run as": "; ".join(dict.fromkeys(_asked(estimate) for estimate in estimates)),
        "taken as default": ", ".join(defaults),
        "not read": ", ".join(model.ignored),
        "note": "; ".join(model.notes),
    }


def _asked(estimate: GenerationEstimate) -> str:
    cached = f" ({estimate.cached_tokens:,} cached)" if estimate.cached_tokens else ""
    tokens = f"{estimate.input_tokens:,}{cached} → {estimate.output_tokens:,} tokens"
    return f"{estimate.runtime}, {estimate.precision} precision, {estimate.phase} of {tokens}"


def _forecasts(estimates: Sequence[GenerationEstimate]) -> Table:
    request = joules(each.joules_per_request.value for each in estimates)
    written = metric("J", [each.joules_per_output_token.value for each in estimates])
    read = metric("J", [each.joules_per_input_token.value for each in estimates])
    first = metric("s", [each.time_to_first_token_seconds.value for each in estimates])
    between = metric("s", [each.inter_token_latency_seconds.value for each in estimates])
    table = plain_table(
        "Forecast", ("accelerator", False), ("at\nonce", True), ("energy\nper request", True),
        (f"{written.unit} per\noutput token", True), (f"{read.unit} per\ninput token", True),
        (f"first token\n{first.unit}", True), (f"between\ntokens {between.unit}", True), ("tokens\nper s", True),
        ("W", True), ("memory\nper card", True), ("origin", False),
    )  # fmt: skip
    for each in estimates:
        table.add_row(
            f"{each.parallel} × {each.accelerator}" if each.parallel > 1 else each.accelerator,
            str(each.concurrency),
            _interval(request, each.joules_per_request),
            written.text(each.joules_per_output_token.value),
            read.text(each.joules_per_input_token.value),
            first.text(each.time_to_first_token_seconds.value),
            between.text(each.inter_token_latency_seconds.value),
            digits(each.tokens_per_second),
            digits(each.average_power_watts),
            size(each.memory_bytes),
            each.origin,
        )
    return table


def _interval(scale: Scale, figure: Figure) -> str:
    return scale.interval(figure.value, figure.lower, figure.upper)


def _notes(estimates: Sequence[GenerationEstimate]) -> list[RenderableType]:
    """Explain the intervals and why some are wide; a note that several forecasts share is printed once."""
    notes: dict[str, None] = {}
    for each in estimates:
        doubt = "" if each.interval_guaranteed else ", not guaranteed"
        notes[f"interval: holds the true value in {percent(each.interval_level)} of cases{doubt}"] = None
        notes |= dict.fromkeys(f"  · {reason}" for reason in each.reasons)
    return [line(text, style="dim") for text in notes]


def _phases(estimate: GenerationEstimate) -> Table:
    """Build a row for each op type with what it costs in each phase, the dearest first."""
    costs = {shown.phase: _by_op_type(shown) for shown in estimate.phases}
    totals = {phase: sum(own.values()) or 1.0 for phase, own in costs.items()}
    names = {name for own in costs.values() for name in own}
    ordered = sorted(names, key=lambda name: -max(own.get(name, 0.0) / totals[phase] for phase, own in costs.items()))
    scales = {phase: metric("J", own.values()) for phase, own in costs.items()}
    columns = [(f"{phase}\n{unit}", True) for phase in costs for unit in (scales[phase].unit, "share")]
    table = plain_table(f"Where the joules go: {estimate.accelerator}", ("op type", False), *columns)
    for name in ordered:
        cells = [
            text
            for phase, own in costs.items()
            for text in (scales[phase].text(own.get(name, 0.0)), percent(own.get(name, 0.0) / totals[phase]))
        ]
        table.add_row(name, *cells)
    return table


def _by_op_type(shown: PhaseLayers) -> dict[str, float]:
    found: dict[str, float] = defaultdict(float)
    for layer in shown.layers:
        found[layer.op_type] += layer.joules
    return found
