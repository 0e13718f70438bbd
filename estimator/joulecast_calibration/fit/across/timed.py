"""Sets of which only seconds are known, for the joint fit (ADR 0169): networks, and whatever else was timed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import groupby
from pathlib import Path

from joulecast.energy.datasheets import DataSheet, datasheets
from joulecast_calibration.fit.across.operators import operator_sets
from joulecast_calibration.fit.across.sets import CardSet, network_row
from joulecast_calibration.fit.latencies import latency_table
from joulecast_calibration.fit.shared import sheet_of
from joulecast_calibration.rows.latencies.lineage import lineage_of
from joulecast_calibration.rows.latencies.store import store
from joulecast_calibration.rows.latencies.tables import LatencyRow, read_latencies

NETWORKS_A_LINEAGE = 2
"""Networks of each lineage on a card that are fitted: a fit of all 9,236 rows would take hours."""
FOLDERS = {"timm": "timm_latency", "dle": "nvidia_dle_latency"}
"""Folder of data by the name of a table."""


@cache
def timed_sets(folder: Path) -> tuple[CardSet, ...]:
    """Return the networks of each table and card in ``folder`` that are fitted, by name; joules are nan."""
    return timed_sets_of(read_latencies(folder).rows)


def timed_sets_of(rows: Sequence[LatencyRow]) -> tuple[CardSet, ...]:
    """Return the sets of those of ``rows`` that are fitted."""
    sheets = {sheet.key: sheet for sheet in datasheets()}
    found = []
    for (card, table), own in groupby(sorted(rows, key=_owner), key=_owner):
        kept = tuple(_chosen(list(own)))
        if kept and not sheets[card].missing:
            found.append(_set(f"{FOLDERS[table]} {card}", sheets[card], kept))
    return tuple(found)


def of_other_chips(sets: Sequence[CardSet], products: Sequence[str]) -> tuple[CardSet, ...]:
    """Return the sets of cards with other chips than those of ``products``."""
    chips = {sheet.architecture for product in products if (sheet := sheet_of(product))}
    return tuple(each for each in sets if each.sheet.architecture not in chips)


def with_seconds(folder: Path) -> tuple[CardSet, ...]:
    """Return every set in ``folder`` of which only seconds are known, networks first."""
    return (*timed_sets(folder), *operator_sets(folder))


def timed_of(folder: Path, sheet: DataSheet) -> tuple[CardSet, ...]:
    """Return the sets of a card in ``folder``: networks first, the largest of them first."""
    own = [each for each in with_seconds(folder) if each.sheet is sheet]
    return tuple(sorted(own, key=lambda each: (not each.table.is_network.any(), -each.table.size)))


def _owner(row: LatencyRow) -> tuple[str, str]:
    return row.card, row.table


def _chosen(rows: Sequence[LatencyRow]) -> Iterator[LatencyRow]:
    """Yield the rows of one card and table that are fitted."""
    counted = store().networks
    usable = [row for row in rows if row.key in counted and row.precision != "fp32"]
    if usable and usable[0].table != "timm":
        yield from usable
        return
    plain = {row.network: row for row in usable if not row.channels_last}
    for _, own in groupby(sorted(plain, key=lambda name: (lineage_of(name), name)), key=lineage_of):
        names = list(own)
        step = max(1, -(-len(names) // NETWORKS_A_LINEAGE))
        yield from (plain[name] for name in names[::step])


def _set(name: str, sheet: DataSheet, rows: Sequence[LatencyRow]) -> CardSet:
    table = latency_table(rows, lacks=sheet.lacks).table
    return CardSet(
        name=name,
        sheet=sheet,
        rows=tuple(network_row(row, row.batch_size) for row in table.rows),
        table=table,
        fitted=table,
        own=False,
        source=name.split()[0],
    )
