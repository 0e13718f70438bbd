"""Which forecasts are made of a data folder's sets: leave-one-architecture-out, transferred, in-sample."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from joulecast.calibration.evaluate.scores import Forecasts, Score, scores
from joulecast.calibration.fit.cards import problem_of, sheet_of_gpu, transferred_card
from joulecast.calibration.fit.holdout import Problem, fit_rows, forecast_rows, leave_one_architecture_out
from joulecast.calibration.fit.networks import Fitted, clock_shares, forecast_networks
from joulecast.calibration.fit.shared import chip_of_sheet
from joulecast.calibration.rows.networks import NetworkSet, find_sets, read_set, stacked
from joulecast.energy.datasheets import DataSheet
from joulecast.energy.features import Array
from joulecast.energy.profile import Host, Interval
from joulecast.errors import MeasurementError

FEWEST_ARCHITECTURES = 3
"""Leaving one out, and in turn another for the interval, must leave one to fit."""
OTHER_HOST = 1.5  # ADR 0042


@dataclass(frozen=True, slots=True, kw_only=True)
class Unscored:
    """Rows of a set that were not forecast under a split, and why."""

    set: str
    split: str
    reason: str
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Everything that ``evaluate`` found: one score a line, and what could not be scored."""

    results: tuple[Score, ...]
    unscored: tuple[Unscored, ...]


def evaluate(folder: Path) -> Evaluation:
    """Score every set of ``folder``. Raises MeasurementError if it holds none, or one without the columns needed."""
    if not find_sets(folder):
        raise MeasurementError(
            f"{folder} holds no folder with a model_energy.csv: name the folder that holds the data sets"
        )
    results: list[Score] = []
    unscored: list[Unscored] = []
    for path in find_sets(folder):
        for found in read_set(path):
            unscored += [Unscored(set=found.name, split="all", reason=why, n=n) for why, n in found.unscored]
            for outcome in _of_set(folder, found):
                if isinstance(outcome, Unscored):
                    unscored.append(outcome)
                else:
                    results += scores(outcome)
    return Evaluation(results=tuple(results), unscored=tuple(unscored))


def _of_set(folder: Path, found: NetworkSet) -> Iterator[Forecasts | Unscored]:
    if not found.rows:
        return
    sheet = sheet_of_gpu(found.gpu)
    if sheet is None or sheet.missing or (sheet.boost_clock_mhz is None and any(row.clock_mhz for row in found.rows)):
        lacking = (
            "its limits are not known"
            if sheet is None
            else "no trusted source states " + " or ".join(sheet.missing or ("a boost clock",))
        )
        yield Unscored(set=found.name, split="all", reason=f"{found.gpu}: {lacking}", n=len(found.rows))
        return
    problem = problem_of(folder, sheet)
    if len({row.architecture for row in found.rows}) < FEWEST_ARCHITECTURES:
        yield Unscored(
            set=found.name, split="leave-architecture-out", reason="fewer than three architectures", n=len(found.rows)
        )
    else:
        yield left_out(problem, found)
    yield transferred(folder, sheet, found)
    yield in_sample(problem, found)


def left_out(problem: Problem, found: NetworkSet) -> Forecasts:
    """Each architecture by a fit of the others, its interval nested."""
    held = leave_one_architecture_out(problem, found.rows, found.truth)
    return _forecasts(found, "leave-architecture-out", held.joules, held.log_half_width)


def transferred(folder: Path, sheet: DataSheet, found: NetworkSet) -> Forecasts:
    """Every row by a profile that saw no joule and no watt of this card."""
    card = transferred_card(folder, sheet)
    joules, width = forecast_on(card.fitted, card.interval, sheet, found)
    return _forecasts(found, "transferred", joules, width)


def forecast_on(fitted: Fitted, interval: Interval, sheet: DataSheet, found: NetworkSet) -> tuple[Array, Array]:
    """Joules of the set's rows and their log half-widths, widened by what another host would change (ADR 0042)."""
    table = stacked(found.rows, lacks=sheet.lacks)
    boost = sheet.boost_clock_mhz.value if sheet.boost_clock_mhz else float("nan")
    chip, clock = chip_of_sheet(sheet), clock_shares(table, boost)
    joules = forecast_networks(fitted.law, fitted.host, chip, table, clock).joules
    slower = forecast_networks(fitted.law, _slower(fitted.host), chip, table, clock).joules
    return joules, np.sqrt(interval.log_half_width**2 + np.log(slower / joules) ** 2)


def in_sample(problem: Problem, found: NetworkSet) -> Forecasts:
    """Rows that were fitted themselves: how well the form can do at all. The width is that of its own errors."""
    joules, _ = forecast_rows(problem, fit_rows(problem, found.rows, found.truth), found.rows)
    width = float(np.quantile(np.abs(np.log(joules / found.truth.joules)), 0.9))
    return _forecasts(found, "in-sample", joules, np.full(joules.size, width))


def _slower(host: Host) -> Host:
    return Host(
        kernel_seconds=host.kernel_seconds * OTHER_HOST,
        view_seconds=host.view_seconds * OTHER_HOST,
        forward_seconds=host.forward_seconds * OTHER_HOST,
        measured_on=host.measured_on,
    )


def _forecasts(found: NetworkSet, split: str, joules: Array, width: Array) -> Forecasts:
    return Forecasts(
        set=found.name, split=split, rows=found.rows, joules=joules, truth=found.truth.joules, log_half_width=width
    )
