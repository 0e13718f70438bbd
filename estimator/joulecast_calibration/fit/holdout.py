"""Forecasts of architectures that a fit never saw, with intervals from architectures that another fit never saw
(nested)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from joulecast.energy.features import Array
from joulecast.energy.interval import MINIMUM_GROUPS, group_weighted_quantile, split_conformal
from joulecast.energy.physical import Chip
from joulecast_calibration.fit.coefficients import Laws
from joulecast_calibration.fit.networks import Fitted, clock_shares, fit_networks, forecast_networks
from joulecast_calibration.rows.networks import NetworkRow, Truth, stacked

LEVEL = 0.9
SIZE_POWER = 0.5
"""Groups weigh in an interval as architectures do in the fit: half way between one a row and one a group (ADR 0043)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Everything a fit on one card needs; ``lacks`` as the data sheet says."""

    laws: Laws
    chip: Chip
    boost_clock_mhz: float
    lacks: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """Forecasts of rows, each by a fit without its architecture: joules, seconds and log half-widths, (rows,).

    ``inner``: for each architecture left out, log errors by architecture of fits that lack both.
    """

    joules: Array
    seconds: Array
    log_half_width: Array


def fit_rows(problem: Problem, rows: Sequence[NetworkRow], truth: Truth) -> Fitted:
    """The law fitted on ``rows``."""
    table = stacked(rows, lacks=problem.lacks)
    return fit_networks(problem.laws, problem.chip, problem.boost_clock_mhz, rows, table, truth)


def forecast_rows(problem: Problem, fitted: Fitted, rows: Sequence[NetworkRow]) -> tuple[Array, Array]:
    """Joules and seconds of ``rows``, (rows,) each. Sees nothing of them but what a ``NetworkRow`` holds."""
    table = stacked(rows, lacks=problem.lacks)
    found = forecast_networks(
        fitted.law, fitted.host, problem.chip, table, clock_shares(table, problem.boost_clock_mhz)
    )
    return found.joules, found.seconds


def leave_one_architecture_out(problem: Problem, rows: Sequence[NetworkRow], truth: Truth) -> HeldOut:
    """Nested: the width for an architecture comes from fits that lack it and, in turn, each other one. Needs three
    architectures."""
    names = np.array([row.architecture for row in rows])
    present = sorted({row.architecture for row in rows})
    fit = _remembered(problem, rows, truth, names)
    joules, seconds, width = (np.zeros(len(rows)) for _ in range(3))
    errors = {pair: _errors(problem, fit(pair), rows, truth, names, pair) for pair in combinations(present, 2)}
    for name in present:
        own = np.flatnonzero(names == name)
        joules[own], seconds[own] = forecast_rows(problem, fit((name,)), [rows[i] for i in own.tolist()])
        inner = {other: errors[min(name, other), max(name, other)][other] for other in present if other != name}
        width[own] = interval_width(inner)
    return HeldOut(joules=joules, seconds=seconds, log_half_width=width)


def interval_width(errors: dict[str, Array]) -> float:
    """Log half-width at ``LEVEL`` from log errors by group: split-conformal over groups from nine on, else
    group-weighted."""
    scores = {name: np.abs(values) for name, values in errors.items()}
    if len(scores) >= MINIMUM_GROUPS:
        return split_conformal(np.array([np.quantile(values, LEVEL) for values in scores.values()]), LEVEL)
    groups = [name for name, values in scores.items() for _ in values]
    return group_weighted_quantile(np.concatenate(list(scores.values())), groups, LEVEL, size_power=SIZE_POWER)


def group_errors(rows: Sequence[NetworkRow], truth: Truth, joules: Array) -> dict[str, Array]:
    """Log of forecast over truth by architecture."""
    names = np.array([row.architecture for row in rows])
    errors = np.log(joules / truth.joules)
    return {name: errors[names == name] for name in sorted(set(names.tolist()))}


def _remembered(
    problem: Problem, rows: Sequence[NetworkRow], truth: Truth, names: Array
) -> Callable[[tuple[str, ...]], Fitted]:
    found: dict[tuple[str, ...], Fitted] = {}

    def fit(without: tuple[str, ...]) -> Fitted:
        if without not in found:
            kept = np.flatnonzero(~np.isin(names, without))
            found[without] = fit_rows(problem, [rows[i] for i in kept.tolist()], truth.take(kept))
        return found[without]

    return fit


def _errors(
    problem: Problem,
    fitted: Fitted,
    rows: Sequence[NetworkRow],
    truth: Truth,
    names: Array,
    pair: tuple[str, ...],
) -> dict[str, Array]:
    """Log errors of the two architectures that ``fitted`` lacks."""
    own = np.flatnonzero(np.isin(names, pair))
    mine = [rows[i] for i in own.tolist()]
    return group_errors(mine, truth.take(own), forecast_rows(problem, fitted, mine)[0])
