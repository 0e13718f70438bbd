"""Scores of watts, seconds a step and joules a step of vLLM batches. Nothing is fitted on these rows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from joulecast.accelerators.catalogue import accelerator_named
from joulecast.energy.interval import group_weighted_quantile
from joulecast.serving.requests import GenerationRequest
from joulecast_calibration.evaluate.serving.latencies import PROPORTIONAL, Cases
from joulecast_calibration.evaluate.serving.models import parameters_read, published
from joulecast_calibration.evaluate.serving.passes import served
from joulecast_calibration.evaluate.serving.power import ACCELERATOR, FILE, INPUT_TOKENS, ServedPower, read_powers
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

SET = FILE.parent.name
WATTS, SECONDS, JOULES = "watts of a card, vllm", "seconds of a step, vllm", "joules of a step, vllm"
AT_LIMIT, LIMIT_TIMES_SECONDS = "TDP", "TDP × our seconds"


@dataclass(frozen=True, slots=True, kw_only=True)
class PoweredRow:
    """A row with its forecasts for one card. ``seconds_width``: log half-width of the seconds' interval."""

    row: ServedPower
    seconds: float
    watts: float
    seconds_width: float | None

    @property
    def model(self) -> str:
        return self.row.model

    @property
    def measured_seconds(self) -> float:
        return self.row.step_seconds or 0.0

    @property
    def measured_joules(self) -> float:
        """Joules of a step of one card, as the row gives them."""
        return self.row.watts * self.measured_seconds


def read_powered(folder: Path, cases: Cases) -> tuple[list[PoweredRow], tuple[LeftOut, ...]]:
    """Return the rows of the set in ``folder``, forecast by steps of other lineages; none where it is not there."""
    if not (folder / FILE).is_file():
        return [], ()
    rows, reasons = read_powers(folder)
    return [_forecast(row, cases) for row in rows], tuple(left_out(SET, reasons))


def _forecast(row: ServedPower, cases: Cases) -> PoweredRow:
    """Forecast a decode step in the mean over the output."""
    asked = GenerationRequest(
        phase="decode",
        input_tokens=INPUT_TOKENS,
        output_tokens=row.output_tokens,
        concurrency=row.running,
        tensor_parallel=row.cards,
    )
    own = published()[row.model]
    step = cases.step_without(own.lineage)
    figures = served(own.stored_as(""), ACCELERATOR, asked, step)
    return PoweredRow(
        row=row,
        seconds=float(figures.inter_token_latency_seconds),
        watts=figures.average_power_watts / row.cards,
        seconds_width=cases.half_width_without(own.lineage),
    )


def watts_half_width(rows: Sequence[PoweredRow], without: str = "") -> float | None:
    """Return the log half-width that held the errors of watts of the other models; every model weighs the same."""
    kept = [each for each in rows if each.model != without]
    if not kept:
        return None
    errors = np.abs(np.log([each.watts / each.row.watts for each in kept]))
    return group_weighted_quantile(errors, [each.model for each in kept], LEVEL)


def joules_half_width(seconds: float | None, watts: float | None) -> float | None:
    """Return the log half-width of joules = seconds × watts, whose errors have nothing to do with each other."""
    return None if seconds is None or watts is None else math.hypot(seconds, watts)


def score_powers(rows: Sequence[PoweredRow]) -> Iterator[ServedScore]:
    """Yield the scores of watts, of seconds a step and of joules a step."""
    timed = [each for each in rows if each.row.step_seconds]
    limit = accelerator_named(ACCELERATOR).power_limit_watts
    widths = {each.model: watts_half_width(rows, each.model) for each in rows}
    yield from scored(SET, WATTS, OWN, [_scored(e, e.watts, e.row.watts, widths[e.model]) for e in rows])
    yield from scored(SET, WATTS, AT_LIMIT, [_scored(e, limit, e.row.watts) for e in rows])
    yield from scored(SET, SECONDS, OWN, [_scored(e, e.seconds, e.measured_seconds, e.seconds_width) for e in timed])
    yield from scored(SET, JOULES, OWN, [_joules(e, widths[e.model]) for e in timed])
    beside = [_scored(e, e.seconds * limit, e.measured_joules) for e in timed]
    yield from scored(SET, JOULES, LIMIT_TIMES_SECONDS, beside)
    yield from scored(SET, JOULES, PROPORTIONAL, _proportional(timed))


def _joules(each: PoweredRow, watts_width: float | None) -> ServedForecast:
    width = joules_half_width(each.seconds_width, watts_width)
    return _scored(each, each.seconds * each.watts, each.measured_joules, width)


def _proportional(rows: Sequence[PoweredRow]) -> list[ServedForecast]:
    sizes = [parameters_read(e.model, "") * e.row.batch_size / e.row.cards for e in rows]
    found = proportional(sizes, [e.measured_joules for e in rows], [e.model for e in rows]) if rows else []
    return [_scored(e, joules, e.measured_joules) for e, joules in zip(rows, found, strict=True)]


def _scored(each: PoweredRow, forecast: float, measured: float, width: float | None = None) -> ServedForecast:
    groups = {
        "model": each.model,
        "batch": batch_band(each.row.batch_size),
        "cards": cards_word(each.row.cards),
    }
    return ServedForecast(groups=groups, forecast=forecast, measured=measured, log_half_width=width)
