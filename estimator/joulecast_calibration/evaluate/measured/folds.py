"""Splits of measured rows beside families: architectures left out, and fits on vision alone."""

from __future__ import annotations

from collections import defaultdict
from functools import cache

import numpy as np

from joulecast_calibration import suite
from joulecast_calibration.fit.measured.folds import Fold, folds, strict_folds
from joulecast_calibration.fit.measured.table import Measured, Table

MOST_GROUPS = 20
"""Architectures are left out one by one while there are no more, else in so many groups: hundreds of fits that differ
in one network of a thousand say the same, and each takes its time. A fit then sees less than it might, never more."""

THE_REST = "networks of other tasks"


def architecture_folds(table: Table) -> tuple[Fold, ...]:
    """Networks of some architectures, fitted on all other rows; layers stay, and relatives do. Neighbours by name, who
    are relatives most often, are in different groups."""
    names = sorted({row.name for row in table.rows if row.is_network})
    group = {name: position % MOST_GROUPS for position, name in enumerate(names)}
    place = np.array([group[row.name] if row.is_network else -1 for row in table.rows])
    return tuple(
        Fold(name=f"{n:02d}", scored=place == n, trains=place != n) for n in range(min(len(names), MOST_GROUPS))
    )


def vision_folds(table: Table) -> tuple[Fold, ...]:
    """Fits on vision alone: first everything else by a fit of all of it, then its families, each by the others."""
    sees = np.array([row.task == "vision" if row.is_network else _of_vision(row) for row in table.rows], dtype=bool)
    networks = table.is_network
    rest = Fold(name=THE_REST, scored=networks & ~sees, trains=sees)
    names = folds(row for row, own in zip(table.rows, (networks & sees).tolist(), strict=True) if own)
    families = strict_folds(table, names)
    own = (Fold(name=f.name, scored=f.scored & networks & sees, trains=f.trains & sees) for f in families)
    return rest, *own


def _of_vision(layer: Measured) -> bool:
    return bool(layer.families) and all(_tasks().get(family) == {"vision"} for family in layer.families)


@cache
def _tasks() -> dict[str, set[str]]:
    """What each family of the suite does."""
    found: dict[str, set[str]] = defaultdict(set)
    for entry in suite.architectures():
        found[entry.family].add(entry.task)
    return found
