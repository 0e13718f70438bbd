"""Networks with measured joules, a set for each card and table, and what a forecast may know of those left out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np

from joulecast.energy.datasheets import DataSheet
from joulecast.energy.features import Array
from joulecast.energy.names import sheet_named
from joulecast.energy.physical import LOWEST_CLOCK
from joulecast.errors import JoulecastError
from joulecast_calibration.fit.cards import network_sets
from joulecast_calibration.fit.journal import MeasuredRows
from joulecast_calibration.fit.shared import sheet_of
from joulecast_calibration.fit.table import Measured, Table, table_of, table_of_set
from joulecast_calibration.rows.networks import ForecastRow, NetworkSet


@dataclass(frozen=True, slots=True, kw_only=True)
class CardSet:
    """Networks of one table, which one kind of card ran in one host.

    - ``name``: of the table; also stands for its host, since no two tables share one that is known.
    - ``rows``: what a forecast may know of each network.
    - ``table``: the networks with their measured joules and seconds; nan where something was not measured.
    - ``fitted``: what a fit of other cards may use: the networks, and layers where this project measured some.
    - ``own``: whether this project measured them, so that its clock was measured, not locked.
    - ``source``: the table of several cards that it is part of, whose seconds have an offset of their own; else empty.
    """

    name: str
    sheet: DataSheet
    rows: tuple[ForecastRow, ...]
    table: Table
    fitted: Table
    own: bool
    source: str = ""

    @property
    def product(self) -> str:
        return self.sheet.labels[0]

    @property
    def clock_shares(self) -> Array:
        """Return the clock lock of each row over boost, (size,): 1 where the clock is not locked."""
        boost = self.sheet.boost_mhz or math.nan
        return np.clip(np.nan_to_num(self._locks_mhz / boost, nan=1.0), LOWEST_CLOCK, None)

    @property
    def _locks_mhz(self) -> Array:
        return np.array([row.clock_mhz or math.nan for row in self.rows])

    def thinned(self, most: int) -> CardSet:
        """Return the set with every n-th network alone, so that at most ``most`` are left; without layers."""
        step = max(1, -(-self.table.size // most))
        table = self.table.take(np.arange(self.table.size) % step == 0)
        return replace(self, rows=self.rows[::step], table=table, fitted=table)

    def blind(self) -> CardSet:
        """Return the set without any measured column: its joules and seconds are nan, and so is a clock not locked."""
        unknown = np.full(self.table.size, math.nan)
        table = replace(self.table, joules=unknown, seconds=unknown, clock_mhz=self._locks_mhz)
        return replace(self, table=table, fitted=table)


@cache
def published_sets(folder: Path) -> tuple[CardSet, ...]:
    """Return every table of networks in ``folder`` whose card has complete limits, by name."""
    return tuple(found for each in network_sets(folder) if (found := published_set(each)) is not None)


def published_set(found: NetworkSet) -> CardSet | None:
    """Return the networks of one table, or None where the limits of its card are not known."""
    sheet = sheet_named(found.gpu)
    if sheet is None or sheet.missing or (sheet.boost_mhz is None and any(row.clock_mhz for row in found.rows)):
        return None
    table = table_of_set(found.rows, found.truth, lacks=sheet.lacks)
    return CardSet(name=found.name, sheet=sheet, rows=found.rows, table=table, fitted=table, own=False)


def own_set(name: str, journal: MeasuredRows) -> CardSet | None:
    """Return the networks among rows that this project measured, or None where there are none on a known card.

    A simulated card is none.
    """
    sheet = sheet_of(journal.product)
    if journal.simulated or sheet is None or sheet.missing:
        return None
    try:
        table = table_of(journal, lacks=sheet.lacks)
    except JoulecastError:  # evaluate reports the reason
        return None
    if not table.is_network.any():
        return None
    networks = table.take(table.is_network)
    return CardSet(
        name=name,
        sheet=sheet,
        rows=tuple(network_row(row, row.batch_size) for row in networks.rows),
        table=networks,
        fitted=table,
        own=True,
    )


def network_row(row: Measured, batch_size: int) -> ForecastRow:
    """Return what a forecast may know of a row; a layer's op type stands for its architecture."""
    return ForecastRow(
        architecture=row.name if row.is_network else row.op_type,
        config=row.phase if row.audio_seconds is None else f"{row.audio_seconds:g} s",
        precision=row.precision,
        batch_size=batch_size,
        sequence=row.sequence_length or row.context_tokens,
        mode=row.runtime,
        attention="",
        clock_mhz=None,
    )


def of_other_cards(left_out: CardSet, sets: Sequence[CardSet]) -> tuple[CardSet, ...]:
    """Return the sets whose card and host are both others than those of ``left_out``."""
    return tuple(each for each in sets if each.sheet is not left_out.sheet and each.name != left_out.name)
