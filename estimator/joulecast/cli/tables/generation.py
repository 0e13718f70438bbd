"""What ``joulecast estimate`` shows of generation by a language model."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from joulecast.cli.tables.cells import line
from joulecast.cli.tables.profiles import facts, plain_table
from joulecast.cli.tables.quantities import digits, joules, metric, percent, size

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from joulecast.api.generation import GenerationEstimate, PhaseLayers
    from joulecast.blocks import LanguageModel
    from joulecast.sources import FetchedModel

_MOST_DEFAULTS = 12


def generation_tables(
    fetched: FetchedModel, model: LanguageModel, estimates: Sequence[GenerationEstimate], *, explain: bool
) -> list[RenderableType]:
    """Build the model's facts, one row for each forecast, and what widens the intervals.

    With ``explain``, also build a table of the phases side by side for each forecast.
    """
    table = _forecasts("Forecast", estimates)
    shown: list[RenderableType] = [facts(_facts(fetched, model, estimates)), table, *_notes(estimates)]
    return shown + [_phases(estimate) for estimate in estimates if explain]


def _facts(fetched: FetchedModel, model: LanguageModel, estimates: Sequence[GenerationEstimate]) -> dict[str, str]:
    defaults = [f"{name} = {value}" for name, value in list(model.defaults.items())[:_MOST_DEFAULTS]]
    return {
        "model": fetched.reference,
        "digest": fetched.digest,
        "form": f"{fetched.format} · {model.architecture} · {size(fetched.bytes_fetched)} read",
        "stored as": model.storage.method or model.dtype,
        "run as": "; ".join(dict.fromkeys(_asked(estimate) for estimate in estimates)),
        "origin": _shared_origin(estimates),
        "taken as default": ", ".join(defaults),
        "not read": ", ".join(model.ignored),
        "note": "; ".join(model.notes),
    }


def _shared_origin(estimates: Sequence[GenerationEstimate]) -> str:
    """Return the origin of all forecasts, or an empty text where each row tells its own."""
    origins = {each.origin for each in estimates}
    return origins.pop() if len(origins) == 1 else ""


def _asked(estimate: GenerationEstimate) -> str:
    cached = f" ({estimate.cached_tokens:,} cached)" if estimate.cached_tokens else ""
    tokens = f"{estimate.input_tokens:,}{cached} → {estimate.output_tokens:,} tokens"
    shared = f" on {estimate.parallel} cards that share the model" if estimate.parallel > 1 else ""
    return f"{estimate.runtime}, {estimate.precision} precision, {estimate.phase} of {tokens}{shared}"


def _forecasts(title: str, estimates: Sequence[GenerationEstimate]) -> Table:
    """Build a row for each forecast. What all have in common stands in ``_facts``, so that a line fits a terminal."""
    columns = [column for column in _columns(estimates) if column.cells]
    headers = [(column.header, True) for column in columns]
    table = plain_table(title, ("accelerator", False), *headers)
    for position, each in enumerate(estimates):
        table.add_row(each.accelerator, *(column.cells[position] for column in columns))
    return table


@dataclass(frozen=True, slots=True, kw_only=True)
class _Column:
    """A header, and a cell for each forecast; no cells where the column says nothing."""

    header: str
    cells: tuple[str, ...]


def _columns(estimates: Sequence[GenerationEstimate]) -> list[_Column]:
    request = joules(each.joules_per_request.value for each in estimates)
    energies = [each.joules_per_request for each in estimates]
    origins = tuple(each.origin for each in estimates)
    return [
        _Column(header="at\nonce", cells=tuple(f"{each.concurrency:,}" for each in estimates)),
        _Column(
            header="energy\nper request",
            cells=tuple(request.interval(each.value, each.lower, each.upper) for each in energies),
        ),
        _scaled("J", "{} per\noutput\ntoken", [each.joules_per_output_token.value for each in estimates]),
        _scaled("J", "{} per\ninput\ntoken", [each.joules_per_input_token.value for each in estimates]),
        _scaled("s", "{} to\nfirst\ntoken", [each.time_to_first_token_seconds.value for each in estimates]),
        _scaled("s", "{}\nbetween\ntokens", [each.inter_token_latency_seconds.value for each in estimates]),
        _Column(header="tokens\nper s", cells=tuple(digits(each.tokens_per_second) for each in estimates)),
        _Column(header="W", cells=tuple(digits(each.average_power_watts) for each in estimates)),
        _Column(header="memory\nper card", cells=tuple(size(each.memory_bytes) for each in estimates)),
        _Column(header="origin", cells=origins if len(set(origins)) > 1 else ()),
    ]


def _scaled(unit: str, header: str, values: Sequence[float]) -> _Column:
    """Return a column of figures in one unit; none where the phase has none of them."""
    scale = metric(unit, values)
    return _Column(header=header.format(scale.unit), cells=tuple(map(scale.text, values)) if any(values) else ())


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
