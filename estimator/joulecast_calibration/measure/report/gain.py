"""Count the rows of a folder by slice, task and op type, and how much of the suite they cover."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from joulecast_calibration.rows.typed import FailureRow, LayerRow, NetworkRow, SessionRow, TypedRow, WindowRow
from joulecast_calibration.suite import SuiteLayer, SuiteNetwork


@dataclass(frozen=True, slots=True, kw_only=True)
class Gain:
    """What rows contain; pairs are (measured, in the suite).

    - ``slices``: rows by slice.
    - ``tasks``: network rows by task.
    - ``op_types``: layer rows by op type.
    - ``failures``: by reason.
    - ``minutes``: from the first to the last row of each process, summed.
    - ``executions``: share of the suite's executed rows whose configuration is measured.
    """

    rows: int
    minutes: float
    slices: Counter[str]
    tasks: Counter[str]
    op_types: Counter[str]
    failures: Counter[str]
    runs: int
    cards: int
    simulated: bool
    layers: tuple[int, int]
    executions: float
    op_types_covered: tuple[int, int]
    networks: tuple[int, int]

    @property
    def sentence(self) -> str:
        """State the rows by kind and the minutes that they took, in one line."""
        parts = [f"{count} {name}" for name, count in self.slices.items()]
        tasks = ", ".join(f"{name} {count}" for name, count in sorted(self.tasks.items()))
        text = f"{self.rows} rows in {self.minutes:.1f} minutes: {', '.join(parts) or 'none'}"
        return text + (f"; networks by task: {tasks}" if tasks else "")

    @property
    def rows_per_minute(self) -> float:
        return self.rows / self.minutes if self.minutes else 0.0


def gain(rows: Iterable[TypedRow], layers: Sequence[SuiteLayer] = (), networks: Sequence[SuiteNetwork] = ()) -> Gain:
    """Count all given rows."""
    rows = list(rows)
    measured = [row for row in rows if isinstance(row, LayerRow | NetworkRow | WindowRow)]
    own_layers = [row for row in measured if isinstance(row, LayerRow)]
    own_networks = [row for row in measured if isinstance(row, NetworkRow)]
    digests = {row.digest for row in own_layers}
    found = [layer for layer in layers if layer.digest in digests]
    eager = {(row.name, row.batch_size, row.sequence_length, row.audio_seconds) for row in own_networks}
    wanted = {(network.name, batch.batch_size, network.sequence_length, network.seconds)
              for network in networks for batch in network.batches}  # fmt: skip
    executions = sum(layer.multiplicity for layer in layers)
    sessions = [row for row in rows if isinstance(row, SessionRow)]
    return Gain(
        rows=len(measured),
        minutes=_minutes(rows),
        slices=Counter(row.slice for row in measured),
        tasks=Counter(row.task for row in own_networks),
        op_types=Counter(row.op_type or "" for row in own_layers),
        failures=Counter(row.reason for row in rows if isinstance(row, FailureRow)),
        runs=len({row.run_id for row in sessions}),
        cards=len({row.card for row in sessions}),
        simulated=any(row.simulated for row in rows),
        layers=(len(found), len(layers)),
        executions=sum(layer.multiplicity for layer in found) / executions if executions else 0.0,
        op_types_covered=(len({layer.op_type for layer in found}), len({layer.op_type for layer in layers})),
        networks=(len(eager & wanted), len(wanted)),
    )


def _minutes(rows: Iterable[TypedRow]) -> float:
    ends: dict[tuple[str, int], float] = {}
    for row in rows:
        process = (row.run_id, row.process)
        ends[process] = max(ends.get(process, 0.0), row.at_seconds)
    return sum(ends.values()) / 60
