"""Sets of single operators of which only seconds are known, for the joint fit (ADR 0169)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import groupby
from pathlib import Path

import numpy as np

from joulecast.energy.datasheets import DataSheet, datasheets
from joulecast_calibration.fit.across.sets import CardSet, network_row
from joulecast_calibration.fit.table import EAGER, Measured, table_of_counted
from joulecast_calibration.rows.engines.vidur import OperatorRow, read_operators
from joulecast_calibration.rows.networks import Truth

OPERATORS_OF_A_KIND = 60
"""Operators of each kind on a card that are fitted, so that they weigh about as much as a table of networks."""
TABLE = "vidur_op_latency"
PRECISION = "fp16"


@cache
def operator_sets(folder: Path) -> tuple[CardSet, ...]:
    """Return the operators of each card in ``folder`` that are fitted, by name; joules are nan."""
    return operator_sets_of(read_operators(folder).rows)


def operator_sets_of(rows: Sequence[OperatorRow], *, every: bool = False) -> tuple[CardSet, ...]:
    """Return a set for each card of ``rows``; ``every``: all rows, not only those that are fitted."""
    sheets = {sheet.key: sheet for sheet in datasheets()}
    found = []
    for card, own in groupby(sorted(rows, key=lambda row: row.card), key=lambda row: row.card):
        mine = list(own)
        found.append(operator_set(sheets[card], mine if every else list(_chosen(mine))))
    return tuple(found)


def _chosen(rows: Sequence[OperatorRow]) -> Iterator[OperatorRow]:
    """Yield the rows of one card that are fitted: of each kind at equal steps in order of size."""
    for _, own in groupby(sorted(rows, key=_size), key=lambda row: row.operator):
        kind = list(own)
        yield from kind[:: max(1, -(-len(kind) // OPERATORS_OF_A_KIND))]


def _size(row: OperatorRow) -> tuple[str, int, int]:
    return row.operator, row.layer.macs, row.layer.bytes_moved


def operator_set(sheet: DataSheet, rows: Sequence[OperatorRow]) -> CardSet:
    """Return ``rows`` of the card ``sheet`` as a set; no host launches them."""
    table = table_of_counted(
        tuple(_measured(row) for row in rows),
        [[(row.layer, 1)] for row in rows],
        [PRECISION] * len(rows),
        passes=[(0, 0)] * len(rows),
        clock_mhz=[None] * len(rows),
        truth=Truth(joules=np.full(len(rows), np.nan), seconds=np.array([row.seconds for row in rows])),
        left_out={},
        lacks=sheet.lacks,
    )
    return CardSet(
        name=f"{TABLE} {sheet.key}",
        sheet=sheet,
        rows=tuple(network_row(row, 0) for row in table.rows),
        table=table,
        fitted=table,
        own=False,
        source=TABLE,
    )


def _measured(row: OperatorRow) -> Measured:
    product = row.layer.contractions[0] if row.layer.contractions else None
    shape = (product.m, product.n, product.k) if product else (row.layer.output_numel,)
    return Measured(
        is_network=False,
        families=(row.operator,),
        task="",
        op_type=row.layer.op_type,
        name=row.operator,
        runtime=EAGER,
        precision=PRECISION,
        batch_size=0,
        sequence_length=None,
        audio_seconds=None,
        configuration=f"{row.operator} {shape}",
        hold=f"{row.card}|{TABLE}",
    )
