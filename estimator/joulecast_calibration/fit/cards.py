"""Fit profiles of cards on their own joules."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from joulecast.energy.datasheets import DataSheet
from joulecast.energy.generic import chip_of_sheet
from joulecast.energy.profile import FittedFrom, Host, Interval
from joulecast.errors import MeasurementError
from joulecast_calibration.fit.coefficients import SPREADS, Coefficient, Laws
from joulecast_calibration.fit.crossvalidation import LEVEL, by_group, each_left_out, interval_width
from joulecast_calibration.fit.networks import Fitted, Problem, fit_networks, refits
from joulecast_calibration.fit.shared import shared_coefficients, transferred_law
from joulecast_calibration.fit.table import table_of_set
from joulecast_calibration.rows.networks import NetworkSet, find_sets, read_set

HOST = Host(
    kernel_seconds=13e-6, view_seconds=3e-6, module_call_seconds=14e-6, forward_seconds=1e-4, measured_on="one host"
)
"""Launch times of torch's eager mode where none were measured: 13 µs a kernel, 3 µs a view and 14 µs a module call on
one host (development measurement); the forward pass itself waits for one synchronisation, 0.1 ms."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedCard:
    """A card with its fitted or transferred law and its interval.

    - ``donors``: the sets of its own rows that were fitted.
    - ``sources``: rows of other cards that its law was transferred from.
    """

    sheet: DataSheet
    fitted: Fitted
    interval: Interval
    donors: tuple[NetworkSet, ...] = ()
    sources: tuple[FittedFrom, ...] = ()


def network_sets(folder: Path) -> tuple[NetworkSet, ...]:
    """Return every set of network rows in ``folder`` that can be read and has rows to score."""
    return tuple(found for path in find_sets(folder) for found in _readable(path) if found.rows)


def _readable(path: Path) -> tuple[NetworkSet, ...]:
    try:
        return read_set(path)
    except MeasurementError:  # the fit and the score of the folder report it
        return ()


def problem_of(folder: Path, sheet: DataSheet) -> Problem:
    """Return the fit of ``sheet``'s own rows, with priors from everything known of the card except its joules."""
    law = transferred_law(shared_coefficients(folder, sheet.labels[0]), sheet)
    laws = Laws(law=law, host=HOST, unknown=())
    unknown = tuple(
        Coefficient(path=path, centre=centre, spread=spread)
        for path, spread in SPREADS.items()
        if (centre := laws.value(path)) is not None
    )
    boost = sheet.boost_mhz or math.nan
    return Problem(laws=replace(laws, unknown=unknown), chip=chip_of_sheet(sheet), boost_clock_mhz=boost)


def public_card(
    folder: Path, sheet: DataSheet, own: NetworkSet, measured_on: str
) -> tuple[FittedCard, dict[str, float]]:
    """Fit a card that has joules of its own, and return it with its figures on left-out architectures."""
    problem, table = problem_of(folder, sheet), table_of_set(own.rows, own.truth, lacks=sheet.lacks)
    fitted = fit_networks(problem, table)
    names = np.array([row.architecture for row in own.rows])
    joules, widths = each_left_out(refits(problem, table), names, table.joules, np.arange(names.size))
    off = np.log(joules / own.truth.joules)
    errors = by_group(off, names)
    interval = Interval(
        level=LEVEL,
        log_half_width=interval_width(errors),
        groups=len(errors),
        guaranteed=False,
        rule="quantile of errors on architectures left out of the fit,"
        " architectures weighing half way between rows and architectures",
        coverage=float(np.mean(np.abs(off) <= widths)),
    )
    percent = np.abs(joules / own.truth.joules - 1)
    figures = {"median_ape": float(np.median(percent)), "mean_ape": float(percent.mean()), "rows": float(percent.size)}
    named = _as_bf16(replace(fitted, host=replace(fitted.host, measured_on=measured_on)))
    return FittedCard(sheet=sheet, fitted=named, interval=interval, donors=(own,)), figures


def _as_bf16(fitted: Fitted) -> Fitted:
    """Use the fitted bf16 coefficients for fp16 as well: the units and peaks are the same, and no fp16 rows exist."""
    law = fitted.law
    if "fp16" not in law.flop_joules:
        return fitted
    efficiency = {**law.compute_efficiency, "fp16": law.compute_efficiency["bf16"]}
    edge = {**law.tile_edge, "fp16": law.tile_edge["bf16"]}
    joules = {**law.flop_joules, "fp16": law.flop_joules["bf16"]}
    return replace(fitted, law=replace(law, compute_efficiency=efficiency, tile_edge=edge, flop_joules=joules))
