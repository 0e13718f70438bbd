"""Forecast a card's networks by fits that saw no joule of it, and the power of its products without a watt of it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from joulecast.energy.datasheets import DataSheet
from joulecast.energy.features import Array
from joulecast.energy.generic import chip_of_sheet
from joulecast.energy.names import sheet_named
from joulecast.energy.physical import Chip, chip_of
from joulecast.energy.pricing import OTHER_HOST
from joulecast.energy.profile import Interval, Law
from joulecast_calibration.evaluate.contenders import PHYSICAL, Trial
from joulecast_calibration.evaluate.evaluation import DATASHEET, TRANSFERRED, PowerScore, ScoredForecasts
from joulecast_calibration.fit.across.sets import published_sets
from joulecast_calibration.fit.across.transfer import unseen
from joulecast_calibration.fit.cards import network_sets, problem_of
from joulecast_calibration.fit.networks import Fitted, Problem, clock_shares, fit_networks
from joulecast_calibration.fit.operators import PowerShares, mean_shares, power_errors
from joulecast_calibration.fit.prior import known_of
from joulecast_calibration.fit.shared import (
    BF16,
    Shared,
    shared_coefficients,
    sheet_of,
    transferred_law,
)
from joulecast_calibration.fit.table import Table, table_of_set
from joulecast_calibration.rows.networks import NetworkSet
from joulecast_calibration.rows.operators import METERED, gemm_power

Moved = tuple[str, Array, Array]
"""A study, and joules and log half-widths of every row."""


def transferred(folder: Path, product: str, table: Table) -> Iterator[Moved]:
    """Forecast rows of this project without joules of their card.

    Used are the latency tables and other cards' operators of ``folder``, and the data sheet alone; where the folder has
    no tables, the profile that is shipped for the card, unless it was fitted on joules or watts of that card. Yields
    nothing where neither can be used.
    """
    sheet, clock, shared = sheet_of(product), np.ones(table.size), shared_coefficients(folder, product)
    if sheet is not None and not sheet.missing and (shared.laws or shared.power):
        yield from _by_tables(folder, sheet, table, clock)
        return
    known = known_of(product)
    if known.origin in ("transferred", "datasheet"):
        fitted = Fitted(law=known.law, host=known.hosts["torch-eager"])
        yield "", *_forecast(chip_of(known), fitted, known.interval, table, clock)


def transferred_set(folder: Path, sheet: DataSheet, table: Table, trial: Trial) -> Iterator[ScoredForecasts]:
    """Forecast published rows by the law without a joule or a watt of this card, each row at its locked clock."""
    clock = clock_shares(table, sheet.boost_mhz or math.nan)
    for study, joules, width in _by_tables(folder, sheet, table, clock):
        yield trial.forecasts(TRANSFERRED, PHYSICAL, joules, width, study)


def _by_tables(folder: Path, sheet: DataSheet, table: Table, clock: Array) -> Iterator[Moved]:
    """Forecast by what networks of other cards have in common.

    Once with this card's latency tables, and once with no table of its chip.
    """
    others = tuple(each for each in published_sets(folder) if each.sheet is not sheet)
    for study, tables in (("", True), (DATASHEET, False)):
        card = unseen(folder, sheet, others, without=(sheet.labels[0],), tables=tables)
        with np.errstate(all="ignore"):  # an arithmetic without a peak: its rows are not finite, and not scored
            yield study, card.forecast(table, clock).joules, card.log_half_widths(table, clock)[0]


def _forecast(chip: Chip, fitted: Fitted, interval: Interval, table: Table, clock: Array) -> tuple[Array, Array]:
    """Return joules and log half-widths, widened for the effect of another host (ADR 0042)."""
    with np.errstate(all="ignore"):
        joules = table.compose(fitted.law, fitted.host, chip, clock).joules
        slower = table.compose(fitted.law, fitted.host.paced(OTHER_HOST), chip, clock).joules
        width: Array = np.sqrt(interval.log_half_width**2 + np.log(slower / joules) ** 2)
    return joules, width


_FEWEST_METERED = 2
"""Other metered cards from which a third one's power is forecast."""


def third_card_power(folder: Path) -> Iterator[PowerScore]:
    """Yield the errors of the power of each metered card's bf16 products, in their upper mode.

    The forecasts are the mean of the other metered cards, and each card with networks; no watt of the card itself is
    used. Yields nothing where ``folder`` has fewer than three metered cards.
    """
    metered = [product for product in METERED if sheet_of(product) and gemm_power(folder, product) is not None]
    if len(metered) > _FEWEST_METERED:
        for product in metered:
            yield from _power_scores(folder, product, shared_coefficients(folder, product))


def _power_scores(folder: Path, product: str, shared: Shared) -> Iterator[PowerScore]:
    yield from _power_score(folder, product, shared.power)
    networks = {found.name: shares for found, shares in _implied_by_networks(folder, product, shared)}
    if networks:
        yield from _power_score(folder, product, {**networks, **shared.power})


def _power_score(folder: Path, product: str, others: Mapping[str, PowerShares]) -> Iterator[PowerScore]:
    rows, sheet = gemm_power(folder, product), sheet_of(product)
    if rows is None or sheet is None:
        return
    off = np.expm1(power_errors(mean_shares(others), rows, chip_of_sheet(sheet), BF16))
    percent = 100 * np.abs(off)
    yield PowerScore(
        card=product,
        fitted_on=", ".join(others),
        n=percent.size,
        mean_ape=float(percent.mean()),
        median_ape=float(np.median(percent)),
        max_ape=float(percent.max()),
        bias=float(100 * np.median(off)),
    )


def _implied_by_networks(folder: Path, product: str, shared: Shared) -> Iterator[tuple[NetworkSet, PowerShares]]:
    """Yield the power shares that joules of whole networks on other cards imply."""
    for found in network_sets(folder):
        sheet = sheet_named(found.gpu)
        if sheet is None or sheet.missing or product in sheet.labels or "bf16" not in sheet.peaks:
            continue
        if any(row.precision == "bf16" for row in found.rows):
            problem = _with_prior(problem_of(folder, sheet), transferred_law(shared, sheet))
            table = table_of_set(found.rows, found.truth, lacks=sheet.lacks)
            yield found, _power_shares(fit_networks(problem, table).law, sheet)


def _with_prior(problem: Problem, law: Law) -> Problem:
    """Return ``problem`` with the prior ``law``, which was fitted without a watt of the card in question."""
    laws = replace(problem.laws, law=law)
    centred = tuple(replace(each, centre=laws.value(each.path) or each.centre) for each in laws.unknown)
    return replace(problem, laws=replace(laws, unknown=centred))


def _power_shares(law: Law, sheet: DataSheet) -> PowerShares:
    chip = chip_of_sheet(sheet)
    limit = chip.power_limit_watts
    return PowerShares(
        static=(law.gap_watts + law.clock_watts) / limit,
        compute=law.flop_joules["bf16"] * float(chip.peak_flops[BF16]) / limit,
        memory=law.byte_joules * chip.bandwidth_bytes_per_second / limit,
    )
