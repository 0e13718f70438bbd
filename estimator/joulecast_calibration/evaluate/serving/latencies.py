"""Scores of seconds between tokens: each lineage forecast by a step that was fitted without it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np

from joulecast.accelerators.catalogue import accelerator_named
from joulecast.accelerators.memory import memory_bytes
from joulecast.energy.engines.coefficients import engine_named
from joulecast.energy.interval import group_weighted_quantile
from joulecast.errors import JoulecastError
from joulecast.serving.fitting import Memory, memory_of
from joulecast.serving.requests import GenerationRequest
from joulecast_calibration.evaluate.serving.latency import FILE, ServedLatency, read_latencies
from joulecast_calibration.evaluate.serving.models import parameters_read, published
from joulecast_calibration.evaluate.serving.passes import Decomposed, Kernels, StepSeconds
from joulecast_calibration.evaluate.serving.scoring import (
    LEVEL,
    OWN,
    LeftOut,
    ServedForecast,
    ServedScore,
    batch_band,
    cards_word,
    left_out,
    proportional,
    scored,
)
from joulecast_calibration.evaluate.serving.steps import fit_step

SET = FILE.parent.name
ENGINE = "vllm"
BETWEEN = f"seconds between tokens, {ENGINE}"
QUEUED = f"seconds between tokens, {ENGINE}, queue-bound"
FIRST = f"seconds to the first token, {ENGINE}"
OTHER_ENGINE = "seconds between tokens, sglang"
PROPORTIONAL = "∝ 2 × active parameters × tokens"

_LONGEST_WAIT = 0.5
"""Of the time of writing: beyond it, fewer than two thirds of the requests in flight are written at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One published case and the parts of its forecast.

    - ``fits``: whether the cards' memory holds all its requests at once.
    """

    row: ServedLatency
    parts: Decomposed
    fits: bool

    @property
    def queued(self) -> bool:
        """Whether requests wait for a place, so that far fewer than ``concurrency`` are written at once.

        By Little's law the share of requests that are being written is writing ÷ (waiting + writing).
        """
        writing = self.row.seconds * (self.row.output_tokens - 1)
        return not self.fits or self.row.first_seconds > _LONGEST_WAIT * writing


class Cases:
    """The cases of the set that are forecast, with steps fitted on those of ``vllm`` that do not queue."""

    def __init__(self, cases: Sequence[Case], left_out: Sequence[LeftOut] = ()) -> None:
        self.left_out = tuple(left_out)
        self.flowing = tuple(case for case in cases if case.row.engine == ENGINE and not case.queued)
        self.queued = tuple(case for case in cases if case.row.engine == ENGINE and case.queued)
        self.elsewhere = tuple(case for case in cases if case.row.engine != ENGINE and not case.queued)
        self._steps: dict[frozenset[str], StepSeconds] = {}
        self._widths: dict[str, float | None] = {}

    def step_without(self, *lineages: str) -> StepSeconds:
        """Return the step fitted on the other lineages; the shipped one where there is none."""
        key = frozenset(lineages)
        if key not in self._steps:
            kept = [case for case in self.flowing if case.row.lineage not in key]
            self._steps[key] = fit_step([c.row for c in kept], [c.parts for c in kept]) if kept else _shipped()
        return self._steps[key]

    def half_width_without(self, lineage: str = "") -> float | None:
        """Return the log half-width that held the errors of the other lineages, each by a step fitted without it.

        Every lineage weighs the same. None where there is none.
        """
        if lineage not in self._widths:
            self._widths[lineage] = self._half_width(lineage)
        return self._widths[lineage]

    def _half_width(self, lineage: str) -> float | None:
        kept = [case for case in self.flowing if case.row.lineage != lineage]
        if not kept:
            return None
        steps = [self.step_without(lineage, case.row.lineage) for case in kept]
        errors = [abs(np.log(_seconds(case, step) / case.row.seconds)) for case, step in zip(kept, steps, strict=True)]
        return group_weighted_quantile(np.array(errors), [case.row.lineage for case in kept], LEVEL)


def _shipped() -> StepSeconds:
    step = engine_named(ENGINE).step
    return StepSeconds(seconds=step.seconds, sequence_seconds=step.sequence_seconds)


def read_cases(folder: Path) -> Cases:
    """Return the cases of the set in ``folder``, none where it does not hold the set."""
    if not (folder / FILE).is_file():
        return Cases(())
    found = read_latencies(folder)
    refused: Counter[str] = Counter(found.left_out)
    cases = list(_cases(found.rows, refused))
    return Cases(cases, tuple(left_out(SET, refused)))


def _cases(rows: Iterable[ServedLatency], refused: Counter[str]) -> Iterator[Case]:
    kernels = Kernels()
    for row in rows:
        try:
            model = published()[row.model].stored_as(row.mode, row.cache_precision)
            asked = _asked(row)
            held = _most_sequences(row, asked)
            if not held:
                refused["the weights alone do not fit the cards"] += row.repeats
                continue
            parts = kernels.decomposed(model, row.accelerator, asked, engine=row.engine)
            yield Case(row=row, parts=parts, fits=row.concurrency <= held)
        except JoulecastError as error:
            refused[f"refused: {error.reason}"] += row.repeats


def _most_sequences(row: ServedLatency, asked: GenerationRequest) -> int:
    """Return how many requests the cards hold at once; all where the memory of the card is not known."""
    known = memory_bytes(accelerator_named(row.accelerator).product)
    if known is None:
        return row.concurrency
    return _memory(row.model, row.mode, row.cache_precision, replace(asked, concurrency=1)).most_sequences(known)


@cache
def _memory(model: str, mode: str, cache_precision: str, asked: GenerationRequest) -> Memory:
    return memory_of(published()[model].stored_as(mode, cache_precision), asked, asked.tensor_parallel)


def _asked(row: ServedLatency) -> GenerationRequest:
    return GenerationRequest(
        input_tokens=row.input_tokens,
        output_tokens=row.output_tokens,
        concurrency=row.concurrency,
        tensor_parallel=row.cards,
    )


def score_latencies(cases: Cases) -> Iterator[ServedScore]:
    """Yield the scores of the set: what is judged first, then what is apart and has no target."""
    yield from scored(SET, BETWEEN, OWN, _between(cases, cases.flowing))
    yield from scored(SET, BETWEEN, PROPORTIONAL, _proportional(cases.flowing))
    yield from scored(SET, QUEUED, OWN, _between(cases, cases.queued))
    yield from scored(SET, FIRST, OWN, [_first(cases, case) for case in cases.flowing])
    yield from scored(SET, OTHER_ENGINE, OWN, _between(cases, cases.elsewhere))


def _between(cases: Cases, rows: Sequence[Case]) -> list[ServedForecast]:
    return [
        _forecast(case, _seconds(case, cases.step_without(lineage)), cases.half_width_without(lineage))
        for case in rows
        for lineage in [case.row.lineage]
    ]


def _seconds(case: Case, step: StepSeconds) -> float:
    return case.parts.between_seconds(step)


def _first(cases: Cases, case: Case) -> ServedForecast:
    step = cases.step_without(case.row.lineage)
    return ServedForecast(
        groups={},
        forecast=case.parts.first_seconds(step),
        measured=case.row.first_seconds,
    )


def _proportional(rows: Sequence[Case]) -> list[ServedForecast]:
    """Forecast a time in proportion to the arithmetic that falls between two tokens, on each of the cards."""
    sizes = [_arithmetic(case.row) for case in rows]
    found = proportional(sizes, [case.row.seconds for case in rows], [case.row.lineage for case in rows])
    return [_forecast(case, seconds) for case, seconds in zip(rows, found, strict=True)]


def _arithmetic(row: ServedLatency) -> float:
    tokens = row.concurrency * (row.input_tokens + row.output_tokens) / row.output_tokens
    return parameters_read(row.model, row.mode) * tokens / row.cards


def _forecast(case: Case, seconds: float, width: float | None = None) -> ServedForecast:
    row = case.row
    groups = {
        "lineage": row.lineage,
        "card": row.accelerator,
        "batch": batch_band(row.concurrency),
        "cards": cards_word(row.cards),
    }
    return ServedForecast(groups=groups, forecast=seconds, measured=row.seconds, log_half_width=width)
