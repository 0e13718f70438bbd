"""Choose what is left out of a fit together.

These are lineages that do most of their work in the same layers, groups of architectures, and networks of other tasks
than vision.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import combinations
from typing import Any

import numpy as np

from joulecast_calibration import suite
from joulecast_calibration.fit.crossvalidation import Fold, fold_names, strict_folds
from joulecast_calibration.fit.table import Measured, Table
from joulecast_calibration.rows.networks import ForecastRow, layers_of
from joulecast_calibration.suite.lineage import family_of
from joulecast_calibration.suite.survey.kinship import KIN


def families(rows: Sequence[ForecastRow]) -> tuple[str, ...]:
    """Return the family of each row, named after all lineages that it joins.

    Two lineages are one family if networks of them share more than ``KIN`` of one network's FLOPs in identical
    configurations, at equal batch size and sequence length. On whole networks alone the strict rule (no layer
    configuration of the family is left in the fit) equals the loose one, because the fit holds no layer rows.
    """
    lineages = [family_of(row.architecture) for row in rows]
    merged = {name: {name} for name in lineages}
    for one, other in _kin(rows, lineages):
        joined = merged[one] | merged[other]
        merged.update(dict.fromkeys(joined, joined))
    return tuple(" + ".join(sorted(merged[name])) for name in lineages)


def _kin(rows: Sequence[ForecastRow], lineages: Sequence[str]) -> Sequence[tuple[str, str]]:
    """Return the pairs of lineages that belong to one family."""
    found = set()
    for same in _comparable(rows, lineages).values():
        for (first, one), (second, other) in combinations(same.items(), 2):
            if first[0] != second[0] and shared_work(one, other) > KIN:
                found.add((first[0], second[0]))
    return sorted(found)


def _comparable(
    rows: Sequence[ForecastRow], lineages: Sequence[str]
) -> Mapping[tuple[int, int | None], Mapping[tuple[str, ...], Counter[Any]]]:
    """Return the work of each network by lineage, architecture and configuration, for workloads of several lineages."""
    named: dict[tuple[int, int | None], dict[tuple[str, ...], ForecastRow]] = {}
    for row, lineage in zip(rows, lineages, strict=True):
        key = lineage, row.architecture, row.config
        named.setdefault((row.batch_size, row.sequence), {}).setdefault(key, row)
    seen: set[frozenset[tuple[str, ...]]] = set()
    found = {}
    for workload, entries in named.items():
        if len({key[0] for key in entries}) > 1 and frozenset(entries) not in seen:
            seen.add(frozenset(entries))  # one workload tells of these networks what any other one would
            found[workload] = {key: _work(row) for key, row in entries.items()}
    return found


def _work(row: ForecastRow) -> Counter[Any]:
    """Return the FLOPs of a network by configuration."""
    found: Counter[Any] = Counter()
    for layer in layers_of(row)[0]:
        if layer.flops:
            found[layer.op_type, layer.contractions, layer.input_shapes] += layer.flops
    return found


def shared_work(one: Counter[Any], other: Counter[Any]) -> float:
    """Return the FLOPs in configurations of both networks, as a share of the smaller network's FLOPs."""
    return sum((one & other).values()) / min(one.total(), other.total())


MOST_GROUPS = 20
"""Most architectures that are left out one by one; more are left out in so many groups: hundreds of fits that differ
in one network of a thousand say the same, and each takes its time. A fit then sees less than it might, never more."""

THE_REST = "networks of other tasks"


def architecture_folds(table: Table) -> tuple[Fold, ...]:
    """Return folds that each leave out some architectures and train on all other rows.

    Layers and related architectures stay in the fit. Neighbours by name, which are usually related, go to different
    folds.
    """
    names = sorted({row.name for row in table.rows if row.is_network})
    group = {name: position % MOST_GROUPS for position, name in enumerate(names)}
    place = np.array([group[row.name] if row.is_network else -1 for row in table.rows])
    return tuple(
        Fold(name=f"{n:02d}", scored=place == n, trains=place != n) for n in range(min(len(names), MOST_GROUPS))
    )


def vision_folds(table: Table) -> tuple[Fold, ...]:
    """Return folds that train on vision networks alone.

    The first one scores all other tasks by a fit of all vision networks; the rest leave out one vision family each.
    """
    sees = np.array([row.task == "vision" if row.is_network else _of_vision(row) for row in table.rows], dtype=bool)
    networks = table.is_network
    rest = Fold(name=THE_REST, scored=networks & ~sees, trains=sees)
    names = fold_names(row for row, own in zip(table.rows, (networks & sees).tolist(), strict=True) if own)
    families = strict_folds(table, names)
    own = (Fold(name=f.name, scored=f.scored & networks & sees, trains=f.trains & sees) for f in families)
    return rest, *own


def _of_vision(layer: Measured) -> bool:
    return bool(layer.families) and all(_tasks().get(family) == {"vision"} for family in layer.families)


@cache
def _tasks() -> dict[str, set[str]]:
    """Return the tasks of each family of the suite."""
    found: dict[str, set[str]] = defaultdict(set)
    for entry in suite.committed().architectures:
        found[entry.family].add(entry.task)
    return found
