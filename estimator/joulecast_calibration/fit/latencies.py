"""Whole networks with seconds alone as a table of the law's rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from joulecast_calibration.fit.table import EAGER, Measured, Table, table_of_counted
from joulecast_calibration.rows.latencies.lineage import lineage_of
from joulecast_calibration.rows.latencies.store import AUTOCAST, Store, store
from joulecast_calibration.rows.latencies.tables import LatencyRow
from joulecast_calibration.rows.networks import Truth


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyTable:
    """Rows of latency tables as ``table``, whose joules are not known.

    - ``rows``: (size,) what was measured; ``uncounted``: rows of networks that the store has no rows of.
    """

    rows: tuple[LatencyRow, ...]
    table: Table
    uncounted: tuple[LatencyRow, ...]


def latency_table(rows: Sequence[LatencyRow], *, lacks: Sequence[str] = (), known: Store | None = None) -> LatencyTable:
    """Build the table of ``rows``, one network each.

    ``lacks``: arithmetics that the card does not have; ``known``: the counted networks, those committed unless said.
    """
    counted = store() if known is None else known
    kept = tuple(row for row in rows if row.key in counted.networks)
    passes = [counted.networks[row.key] for row in kept]
    table = table_of_counted(
        tuple(_measured(row) for row in kept),
        [counted.counted(row.key, row.batch) for row in kept],
        ["default" if row.precision == AUTOCAST else row.precision for row in kept],
        passes=[(each.views, each.module_calls) for each in passes],
        clock_mhz=[None] * len(kept),
        truth=Truth(joules=np.full(len(kept), np.nan), seconds=np.array([row.seconds for row in kept])),
        left_out={},
        lacks=tuple(lacks),
    )
    missing = tuple(row for row in rows if row.key not in counted.networks)
    return LatencyTable(rows=kept, table=table, uncounted=missing)


def _measured(row: LatencyRow) -> Measured:
    return Measured(
        is_network=True,
        families=(lineage_of(row.network),),
        task="vision",
        op_type="",
        name=row.network,
        runtime=EAGER,
        precision=row.precision,
        batch_size=row.batch,
        sequence_length=None,
        audio_seconds=None,
        configuration=f"{row.network} {row.image_size} {row.channels_last}",
        hold=f"{row.card}|{row.run}",
    )
