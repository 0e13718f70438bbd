"""Say a result of an estimate in one sentence, for the warning at admission and the event; pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from joulecast_operator.api.annotations import significant
from joulecast_operator.api.objects import Resource, mapping
from joulecast_operator.workloads.choice import rows_of
from joulecast_operator.workloads.dimensions import ACCELERATORS, DEGREES, DIMENSIONS, PHASES, caps

_SAME_PERCENT: Final = 1  # differences that round to less are not mentioned


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """The figure that stands for a result of one phase.

    - ``field``: its field in the result; its interval is in those with ``Lower`` and ``Upper`` added.
    - ``unit``: returns what its joules are per.
    - ``beside``: the field of the joules of one token, which are said beside it, and its unit.
    """

    field: str
    unit: Callable[[Resource], str]
    beside: tuple[str, str] | None = None


def forecast(row: Resource, estimate: Resource) -> str:
    """Return the forecast ``row``, which is one of the results of ``estimate``, as a sentence."""
    said = ", ".join([_head(row), *_comparison(row, estimate), *_uncovered(row)])
    name = mapping(estimate.get("metadata")).get("name")
    return f'{said}; by the estimate "{name}", precision {row.get("precision")}, {row.get("runtime")}'


def _head(row: Resource) -> str:
    figure = _figure(row)
    joules, lower, upper = (significant(float(row[figure.field + end])) for end in ("", "Lower", "Upper"))
    head = f"{joules} J per {figure.unit(row)} on {_cards(row)} ({lower}–{upper}, {row['origin']})"
    field, unit = figure.beside or ("", "")
    beside = _positive(row, field)
    return f"{head}: {significant(beside)} J per {unit}" if beside else head


def _cards(row: Resource) -> str:
    degree = DEGREES.value(row)
    cards = str(row["accelerator"]) if degree == "1" else f"{degree} × {row['accelerator']}"
    return f"{cards} at {caps(row)}" if caps(row) else cards


def _batch(row: Resource) -> str:
    tokens = f" of {row['inputTokens']} tokens" if row.get("inputTokens") else ""
    return f"batch of {row['batchSize']}{tokens}"


def _request(row: Resource) -> str:
    return f"request ({row['inputTokens']} → {row['outputTokens']} tokens{_load(row)})"


def _prefill(row: Resource) -> str:
    return f"input ({row['inputTokens']} tokens{_load(row)})"


def _decode(row: Resource) -> str:
    return f"output token ({row['inputTokens']} → {row['outputTokens']} tokens{_load(row)})"


def _load(row: Resource) -> str:
    """Return how many of the input tokens are cached, and how many requests run at once."""
    cached = f", {row['cachedTokens']} cached" if row.get("cachedTokens") else ""
    return f"{cached}, {row['concurrency']} at once"


_FORWARD: Final = Figure(field="joulesPerBatch", unit=_batch)
_FIGURES: Final[Mapping[str, Figure]] = {
    "request": Figure(field="joulesPerRequest", unit=_request, beside=("joulesPerOutputToken", "output token")),
    "prefill": Figure(field="joulesPerRequest", unit=_prefill, beside=("joulesPerInputToken", "input token")),
    "decode": Figure(field="joulesPerOutputToken", unit=_decode),
}


def _figure(row: Resource) -> Figure:
    return _FIGURES.get(PHASES.value(row), _FORWARD)


def _comparison(row: Resource, estimate: Resource) -> tuple[str, ...]:
    """Return a comparison with the other accelerator that needs least energy when it runs the same in the same way."""
    field, alike = _figure(row).field, {each: each.value(row) for each in DIMENSIONS}
    cards = alike.pop(ACCELERATORS)
    others = [
        other
        for other in rows_of(estimate)
        if ACCELERATORS.value(other) != cards
        and all(each.value(other) == value for each, value in alike.items())
        and _positive(other, field)
    ]
    if not others:
        return ()
    other = min(others, key=lambda found: float(found[field]))
    percent = round(100 * (float(row[field]) / float(other[field]) - 1))
    if abs(percent) < _SAME_PERCENT:
        return (f"as much as {other['accelerator']}",)
    return (f"{abs(percent)} % {'below' if percent < 0 else 'above'} {other['accelerator']}",)


def _positive(row: Resource, field: str) -> float:
    """Return a number of the row if it is above 0, else 0."""
    value = row.get(field)
    return max(float(value), 0.0) if isinstance(value, (int, float)) else 0.0


def _uncovered(row: Resource) -> tuple[str, ...]:
    coverage = row.get("coverage")
    share = int(100 * coverage) if isinstance(coverage, (int, float)) else 100
    return () if share >= 100 else (f"priced for {share} % of its FLOPs",)
