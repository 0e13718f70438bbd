"""Forecasts of measured networks by what is known of the card without any row of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from joulecast.energy.datasheets import DataSheet
from joulecast.energy.features import Array
from joulecast.energy.generic import chip_of_sheet, law_of
from joulecast.energy.physical import Chip, chip_of
from joulecast.energy.profile import Interval
from joulecast_calibration.evaluate.evaluation import DATASHEET
from joulecast_calibration.evaluate.transfer import slower_host
from joulecast_calibration.fit.cards import HOST, transferred_card, transferred_interval
from joulecast_calibration.fit.measured.card import known_of
from joulecast_calibration.fit.measured.search import forecast_on
from joulecast_calibration.fit.measured.table import Table
from joulecast_calibration.fit.networks import Fitted
from joulecast_calibration.fit.shared import share, shares_of_others, sheet_of

Moved = tuple[str, Array, Array]
"""A study, and joules and log half-widths of every row."""


def transferred(folder: Path, product: str, table: Table) -> Iterator[Moved]:
    """By the latency tables and other cards' operators of ``folder``, and by the data sheet alone; where it has no
    tables, by the profile that is shipped for the card, unless joules or watts of the card itself are in that. Nothing
    where there is none."""
    sheet = sheet_of(product)
    if sheet is not None and not sheet.missing and _has_tables(folder, product):
        yield from _by_tables(folder, sheet, table)
        return
    known = known_of(product)
    if known.origin in ("transferred", "datasheet"):
        fitted = Fitted(law=known.law, host=known.hosts["torch-eager"])
        yield "", *_forecast(chip_of(known), fitted, known.interval, table)


def _has_tables(folder: Path, product: str) -> bool:
    shared = share(folder, product)
    return bool(shared.laws or shared.power)


def _by_tables(folder: Path, sheet: DataSheet, table: Table) -> Iterator[Moved]:
    card, chip = transferred_card(folder, sheet), chip_of_sheet(sheet)
    yield "", *_forecast(chip, card.fitted, card.interval, table)
    shared = share(folder, sheet.labels[0])
    alone = Fitted(law=law_of(shares_of_others(shared, sheet), sheet), host=HOST)
    interval = transferred_interval(folder, shared, own=False, without=sheet.labels[0])
    yield DATASHEET, *_forecast(chip, alone, interval, table)


def _forecast(chip: Chip, fitted: Fitted, interval: Interval, table: Table) -> tuple[Array, Array]:
    """Widened by what another host would change (ADR 0042)."""
    with np.errstate(all="ignore"):  # an arithmetic without a peak: its rows are not finite, and not scored
        joules = forecast_on(chip, fitted, table).joules
        slower = forecast_on(chip, replace(fitted, host=slower_host(fitted.host)), table).joules
        width: Array = np.sqrt(interval.log_half_width**2 + np.log(slower / joules) ** 2)
    return joules, width
