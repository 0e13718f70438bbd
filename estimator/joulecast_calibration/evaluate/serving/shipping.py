"""Fit the seconds between passes to served models, and tell how wide an engine's intervals are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from joulecast.energy.engines.coefficients import ServedInterval, Step
from joulecast.errors import MeasurementError
from joulecast_calibration.evaluate.serving.latencies import ENGINE, Cases, read_cases
from joulecast_calibration.evaluate.serving.powers import joules_half_width, read_powered, watts_half_width
from joulecast_calibration.fit.engines.document import rounded


def fit_served(folder: Path) -> tuple[Step, ServedInterval]:
    """Fit the step of ``vllm`` on all lineages of ``folder``, and the intervals from forecasts without each of them.

    Raises MeasurementError where the folder does not hold the times and the watts of served models.
    """
    cases = read_cases(folder)
    powered, _ = read_powered(folder, cases)
    seconds, watts = cases.half_width_without(), watts_half_width(powered)
    joules = joules_half_width(seconds, watts)
    if seconds is None or watts is None or joules is None:
        raise MeasurementError(f"{folder} lacks times between tokens or watts of {ENGINE}: give the published sets")
    lineages = len({case.row.lineage for case in cases.flowing})
    step = cases.step_without()
    return (
        Step(seconds=step.seconds, sequence_seconds=step.sequence_seconds, origin=_step_origin(cases, lineages)),
        ServedInterval(
            seconds=seconds,
            watts=watts,
            joules=joules,
            origin=f"seconds: {len(cases.flowing)} times between tokens of {lineages} lineages, each forecast without"
            f" it; watts: {len(powered)} batches of {len({each.model for each in powered})} models on one card, none"
            " fitted; joules: both in quadrature",
        ),
    )


def _step_origin(cases: Cases, lineages: int) -> str:
    return (
        f"fitted on {len(cases.flowing)} times between tokens of {lineages} lineages under {ENGINE}"
        " (NVIDIA aiconfigurator, github.com/ai-dynamo/aiconfigurator, Apache-2.0)"
    )


def with_served(text: str, step: Step, interval: ServedInterval) -> str:
    """Return the table of coefficients in ``text`` with this step and these intervals of ``vllm``; the rest as it is.

    Raises MeasurementError for a text that is no such table.
    """
    document = _table(text)
    document["engines"][ENGINE] |= {"step": rounded(asdict(step)), "interval": rounded(asdict(interval))}
    return json.dumps(document, indent=1, sort_keys=True) + "\n"


def _table(text: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except ValueError:
        document = None
    engines = document.get("engines") if isinstance(document, dict) else None
    if not isinstance(document, dict) or not isinstance(engines, Mapping) or ENGINE not in engines:
        raise MeasurementError(f"this is no table of engines' coefficients with {ENGINE} in it: give the shipped one")
    return document
