"""Fit profiles of cards on their own joules where there are any, else transfer them by the rule of ADR 0041."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np

from joulecast.energy.datasheets import DataSheet, datasheets
from joulecast.energy.features import Array
from joulecast.energy.generic import chip_of_sheet, law_of
from joulecast.energy.interval import group_weighted_quantile
from joulecast.energy.names import sheet_named
from joulecast.energy.profile import Host, Interval
from joulecast.errors import MeasurementError
from joulecast_calibration.fit.coefficients import SPREADS, Coefficient, Laws
from joulecast_calibration.fit.crossvalidation import LEVEL, by_group, each_left_out, interval_width
from joulecast_calibration.fit.networks import Fitted, Problem, clock_shares, fit_networks, refits
from joulecast_calibration.fit.shared import Shared, shared_coefficients, transferred_law, with_rest
from joulecast_calibration.fit.table import table_of_set
from joulecast_calibration.rows.networks import NetworkSet, Truth, find_sets, read_latencies, read_set

HOST = Host(
    kernel_seconds=13e-6, view_seconds=3e-6, module_call_seconds=14e-6, forward_seconds=1e-4, measured_on="one host"
)
"""Launch times of torch's eager mode where none were measured: 13 µs a kernel, 3 µs a view and 14 µs a module call on
one host (development measurement); the forward pass itself waits for one synchronisation, 0.1 ms."""

STUDENT_T = 2.92
"""Student's t for 95 % with two degrees of freedom: three metered cards (ADR 0041)."""
NO_ROWS = 0.25
"""Log half-width for kinds of rows without joules (ADR 0042)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedCard:
    """A card with its fitted or transferred law, its interval, and the sets that the law was transferred from."""

    sheet: DataSheet
    fitted: Fitted
    interval: Interval
    donors: tuple[NetworkSet, ...] = ()


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


def transferred_card(folder: Path, sheet: DataSheet, *, own_watts: bool = False) -> FittedCard:
    """Transfer a law to a card without joules of networks from operators, and from networks of cards with its chip.

    ``own_watts``: whether operator power and power at rest of the card itself may be used; never in a ``transferred``
    score.
    """
    shared = shared_coefficients(folder, "" if own_watts else sheet.labels[0])
    law = transferred_law(shared, sheet)
    donors = _donors(folder, sheet)
    fitted = Fitted(law=law, host=HOST)
    if donors:
        # the host that the donor was measured on does not describe this card's: all cards without rows share one
        # its energies are kept; memory speed and rest are taken from the card
        donated = _donated(folder, donors[0].name).law
        fitted = Fitted(law=with_rest(donated, law.gap_watts + law.clock_watts), host=HOST)
    interval = transferred_interval(folder, shared, own=True, without="" if own_watts else sheet.labels[0])
    return FittedCard(sheet=sheet, fitted=fitted, interval=interval, donors=donors)


def _donors(folder: Path, sheet: DataSheet) -> tuple[NetworkSet, ...]:
    """Return the sets of other cards with the same chip, the largest first."""
    others = [(candidate, sheet_named(candidate.gpu)) for candidate in network_sets(folder)]
    found = [each for each, own in others if own and own is not sheet and own.architecture == sheet.architecture]
    return tuple(sorted(found, key=lambda donor: -len(donor.rows)))


@cache
def _donated(folder: Path, name: str) -> Fitted:
    donor = next(candidate for candidate in network_sets(folder) if candidate.name == name)
    sheet = sheet_named(donor.gpu)
    if sheet is None:
        raise ValueError(f"no data sheet of {donor.gpu}")
    table = table_of_set(donor.rows, donor.truth, lacks=sheet.lacks)
    return _as_bf16(fit_networks(problem_of(folder, sheet), table))


@cache
def _seconds_error(folder: Path, without: str, own: bool) -> float | None:
    """Return ``w_time`` of ADR 0041.

    ``own``: use each card's own latency tables, else shared coefficients alone, and no seconds of ``without`` either.
    """
    shared = shared_coefficients(folder, without)
    scores: list[Array] = []
    for name, (rows, seconds) in sorted(read_latencies(folder).items()):
        sheet = _sheet_of_table(name)
        if sheet is None or sheet.missing or "fp32" not in sheet.peaks:
            continue
        if without in sheet.labels and not own:
            continue
        law = transferred_law(shared, sheet) if own else law_of(shared.shares, sheet)
        table = table_of_set(rows, Truth(joules=np.full(seconds.size, np.nan), seconds=seconds), lacks=sheet.lacks)
        found = table.compose(law, HOST, chip_of_sheet(sheet), clock_shares(table, 1.0))
        scores.append(np.abs(np.log(found.seconds / seconds)))
    if not scores:
        return None
    cards = [str(position) for position, values in enumerate(scores) for _ in values]
    return group_weighted_quantile(np.concatenate(scores), cards, LEVEL)


def _sheet_of_table(name: str) -> DataSheet | None:
    """Find the data sheet of a latency table, comparing names without spaces, dashes and underscores."""
    wanted = name.replace("_", "").replace("-", "")
    return next((s for s in datasheets() for label in s.labels if label.replace("-", "") == wanted), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferredWidths:
    """Log half-widths of a transferred card's forecasts by ADR 0041: errors that are added in quadrature.

    - ``power``: of watts, from a metered card that was left out.
    - ``seconds``: of whole networks.
    - ``rows``: of kinds of rows without joules.
    """

    power: float
    seconds: float
    rows: float

    @property
    def joules(self) -> float:
        return math.sqrt(self.power**2 + self.seconds**2 + self.rows**2)

    @property
    def watts(self) -> float:
        return math.hypot(self.power, self.rows)


def transferred_widths(folder: Path, shared: Shared, *, own: bool, without: str = "") -> TransferredWidths:
    """Return the errors that the rule of ADR 0041 adds up; ``own``: of a card whose latency tables are used."""
    seconds = _seconds_error(folder, without, own)
    return TransferredWidths(
        power=NO_ROWS if shared.power_error is None else STUDENT_T * shared.power_error,
        seconds=NO_ROWS if seconds is None else seconds,
        rows=NO_ROWS,
    )


def transferred_interval(folder: Path, shared: Shared, *, own: bool, without: str = "") -> Interval:
    """Return the interval of a transferred card by the rule of ADR 0041."""
    return Interval(
        level=LEVEL,
        log_half_width=transferred_widths(folder, shared, own=own, without=without).joules,
        groups=max(len(shared.power), 1),
        guaranteed=False,
        rule="error of power on a metered card left out, error of seconds of whole networks,"
        " and rows without joules, in quadrature",
    )
