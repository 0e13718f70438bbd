"""Scores of served language models: seconds, watts and joules, each against what was measured."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from joulecast.accelerators.catalogue import accelerator_named
from joulecast.errors import JoulecastError
from joulecast.serving.requests import GenerationRequest
from joulecast_calibration.evaluate.serving.latency import ServedLatency, read_latencies
from joulecast_calibration.evaluate.serving.models import published
from joulecast_calibration.evaluate.serving.passes import Decomposed, decomposed, served
from joulecast_calibration.evaluate.serving.power import ACCELERATOR, INPUT_TOKENS, ServedPower, read_powers
from joulecast_calibration.evaluate.serving.steps import StepSeconds, fit_step

LEVEL = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedForecast:
    """One forecast beside its measurement.

    ``group``: the lineage or model; ``part``: a share of the set to tell apart.
    """

    group: str
    part: str
    forecast: float
    measured: float

    @property
    def log_error(self) -> float:
        return math.log(self.forecast / self.measured)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedScore:
    """Absolute percentage errors of one figure on some rows.

    ``interval``: log half-width that held ``LEVEL`` of the errors.
    """

    name: str
    rows: int
    median: float
    mean: float
    bias: float
    largest: float
    interval: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedEvaluation:
    """All scores of one set; ``left_out``: rows that were not scored, by the reason; ``step``: fitted on all rows."""

    scores: tuple[ServedScore, ...]
    left_out: Mapping[str, int]
    step: StepSeconds | None = None


def score(name: str, forecasts: Sequence[ServedForecast]) -> ServedScore:
    errors = np.array([each.forecast / each.measured - 1 for each in forecasts])
    logs = np.abs([each.log_error for each in forecasts])
    return ServedScore(
        name=name,
        rows=len(forecasts),
        median=float(np.median(np.abs(errors))),
        mean=float(np.mean(np.abs(errors))),
        bias=float(np.median(errors)),
        largest=float(np.max(np.abs(errors))),
        interval=float(np.quantile(logs, LEVEL)),
    )


# -- seconds between tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    row: ServedLatency
    parts: Decomposed

    @property
    def queued(self) -> bool:
        """Whether requests waited so long for a place that far fewer than ``concurrency`` were written at once.

        By Little's law the share of requests that are being written is writing ÷ (waiting + writing).
        """
        writing = self.row.seconds * (self.row.output_tokens - 1)
        return self.row.first_seconds > _LONGEST_WAIT * writing


_LONGEST_WAIT = 0.5
"""Of the time of writing: beyond it, fewer than two thirds of the requests in flight are written at once."""


def evaluate_latencies(folder: Path) -> ServedEvaluation:
    """Score the seconds between tokens, each lineage forecast by a step fitted without it."""
    found = read_latencies(folder)
    cases, refused = _cases(found.rows)
    flowing = [case for case in cases if not case.queued]
    forecasts = [forecast for lineage in _lineages(flowing) for forecast in _left_out(lineage, flowing)]
    first = [_first(case) for case in flowing]
    waiting = [
        _between(case, _step([c for c in flowing if c.row.lineage != case.row.lineage]))
        for case in cases
        if case.queued
    ]
    named = [("between tokens, all", forecasts), *_by("between tokens", forecasts), ("first token, no target", first)]
    named += [("between tokens, queue-bound rows apart", waiting)] if waiting else []
    return ServedEvaluation(
        scores=tuple(score(name, rows) for name, rows in named if rows),
        left_out={**found.left_out, **refused},
        step=_step(flowing),
    )


def _cases(rows: Iterable[ServedLatency]) -> tuple[list[_Case], dict[str, int]]:
    found: list[_Case] = []
    refused: dict[str, int] = {}
    for row in rows:
        try:
            model = published()[row.model].stored_as(row.mode)
            found.append(_Case(row=row, parts=decomposed(model, row.accelerator, _asked(row))))
        except JoulecastError as error:
            refused[f"refused: {error.reason}"] = refused.get(f"refused: {error.reason}", 0) + row.repeats
    return found, refused


def _asked(row: ServedLatency) -> GenerationRequest:
    return GenerationRequest(
        input_tokens=row.input_tokens,
        output_tokens=row.output_tokens,
        concurrency=row.concurrency,
        tensor_parallel=row.cards,
    )


def _lineages(cases: Iterable[_Case]) -> list[str]:
    return sorted({case.row.lineage for case in cases})


def _step(cases: Sequence[_Case]) -> StepSeconds:
    return fit_step([case.row for case in cases], [case.parts for case in cases])


def _left_out(lineage: str, cases: Sequence[_Case]) -> list[ServedForecast]:
    step = _step([case for case in cases if case.row.lineage != lineage])
    return [_between(case, step) for case in cases if case.row.lineage == lineage]


def _between(case: _Case, step: StepSeconds) -> ServedForecast:
    return ServedForecast(
        group=case.row.lineage,
        part=case.row.accelerator,
        forecast=case.parts.between_seconds(step.seconds, step.sequence_seconds),
        measured=case.row.seconds,
    )


def _first(case: _Case) -> ServedForecast:
    return ServedForecast(
        group=case.row.lineage, part="", forecast=case.parts.first_seconds(0.0, 0.0), measured=case.row.first_seconds
    )


def _by(name: str, forecasts: Sequence[ServedForecast]) -> list[tuple[str, list[ServedForecast]]]:
    """Return the forecasts of each group, then of each part."""
    groups = sorted({each.group for each in forecasts})
    parts = sorted({each.part for each in forecasts if each.part})
    by_group = [(f"{name}, {group}", [each for each in forecasts if each.group == group]) for group in groups]
    return by_group + [(f"{name}, on {part}", [each for each in forecasts if each.part == part]) for part in parts]


# -- watts, seconds a step and their product


def evaluate_powers(folder: Path, step: StepSeconds) -> ServedEvaluation:
    """Score watts, seconds a step and joules a step, and two simple systems for the last."""
    rows, left_out = read_powers(folder)
    found = [(row, *_step_of(row, step)) for row in rows]
    timed = [(row, seconds, watts) for row, seconds, watts in found if row.step_seconds]
    limit = accelerator_named(ACCELERATOR).power_limit_watts
    named: list[tuple[str, list[ServedForecast]]] = [
        ("watts of a card", [_of(row, watts, row.watts) for row, _, watts in found]),
        ("seconds of a step", [_of(row, seconds, row.step_seconds or 0) for row, seconds, _ in timed]),
        ("joules of a step", [_of(row, seconds * watts, _joules(row)) for row, seconds, watts in timed]),
        ("joules of a step: TDP × our seconds", [_of(row, seconds * limit, _joules(row)) for row, seconds, _ in timed]),
        ("joules of a step: ∝ 2 × parameters × tokens", _proportional(timed)),
    ]
    return ServedEvaluation(scores=tuple(score(name, each) for name, each in named if each), left_out=left_out)


def _joules(row: ServedPower) -> float:
    """Return the joules of a step of one card, as the row gives them."""
    return row.watts * (row.step_seconds or 0.0)


def _of(row: ServedPower, forecast: float, measured: float) -> ServedForecast:
    return ServedForecast(group=row.model, part="", forecast=forecast, measured=measured)


def _step_of(row: ServedPower, step: StepSeconds) -> tuple[float, float]:
    """Return the seconds of a decode step in the mean over the output, and the watts of one card."""
    asked = GenerationRequest(
        phase="decode",
        input_tokens=INPUT_TOKENS,
        output_tokens=row.output_tokens,
        concurrency=row.batch_size,
        tensor_parallel=row.cards,
    )
    model = published()[row.model].stored_as("")
    figures = served(model, ACCELERATOR, asked, step=step.seconds, sequence=step.sequence_seconds)
    return float(figures.inter_token_latency_seconds), figures.average_power_watts / row.cards


def _proportional(timed: Sequence[tuple[ServedPower, float, float]]) -> list[ServedForecast]:
    """Return joules ∝ 2 × parameters × tokens, with the one factor that fits the set best: the most it could reach."""
    sizes = [_parameters(row) * row.batch_size / row.cards for row, _, _ in timed]
    factor = math.exp(
        float(np.median([math.log(_joules(row) / size) for (row, _, _), size in zip(timed, sizes, strict=True)]))
    )
    return [_of(row, factor * size, _joules(row)) for (row, _, _), size in zip(timed, sizes, strict=True)]


def _parameters(row: ServedPower) -> float:
    from joulecast.serving.passes import decode
    from joulecast.serving.rows import rows

    return float(sum(each.macs for each in rows(published()[row.model].stored_as(""), decode(1, 1))))


Evaluator = Callable[[Path], ServedEvaluation]
