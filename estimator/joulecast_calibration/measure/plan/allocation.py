"""Allocate a time budget to the rows of a plan by their expected seconds, without a device."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from joulecast_calibration.measure.plan.configuration import Configuration
from joulecast_calibration.measure.plan.history import History
from joulecast_calibration.measure.plan.plan import Plan

STARTUP_SECONDS = 25.0  # imports and context of a process: 15 to 30 s, docs/measuring.md


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocation:
    """The part of a plan that fits into the budget.

    - ``rows``: allocated rows, in order.
    - ``processes``: number of processes.
    - ``seconds``: expected seconds of the budget that are used.
    - ``left``: rows that the budget does not cover.
    """

    rows: tuple[Configuration, ...]
    processes: int
    seconds: float
    left: int

    def by_slice(self) -> dict[str, tuple[int, float]]:
        """Return the rows and expected seconds of each slice, in the order in which the slices start."""
        found: dict[str, tuple[int, float]] = {}
        for row in self.rows:
            count, seconds = found.get(row.slice, (0, 0.0))
            found[row.slice] = (count + 1, seconds + row.expected_seconds)
        return found


def allocate(plan: Plan, budget_seconds: float, process_seconds: float, history: History | None = None) -> Allocation:
    """Allocate the budget to the rows that are not measured yet.

    ``history``: of the folder that is resumed; allocated rows are added to it.
    """
    known = history or History()
    processes = math.ceil(budget_seconds / process_seconds)
    spent = processes * STARTUP_SECONDS + _sum(plan.opening) + _sum(plan.closing)
    allocated: list[Configuration] = []
    left = 0
    for row in plan.rows:
        if not known.wants(row):
            continue
        if spent + row.expected_seconds > budget_seconds:
            left += 1
            continue
        spent += row.expected_seconds
        allocated.append(row)
        known.suppose(row)
    rows = (*plan.opening, *allocated, *plan.closing)
    return Allocation(rows=rows, processes=processes, seconds=spent, left=left)


def _sum(rows: Iterable[Configuration]) -> float:
    return sum(row.expected_seconds for row in rows)
