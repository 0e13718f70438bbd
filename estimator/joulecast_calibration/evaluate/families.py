"""Families of networks that are held out together: lineages, and lineages that do most of their work in the same
layers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

from joulecast_calibration.rows.networks import NetworkRow, layers_of
from joulecast_calibration.suite.lineage import family_of
from joulecast_calibration.suite.survey.kinship import KIN


def families(rows: Sequence[NetworkRow]) -> tuple[str, ...]:
    """The family of each row, named after all the lineages that are one: two are where networks of theirs share more
    than ``KIN`` of one's FLOPs in identical configurations, at equal batch and sequence.

    On whole networks alone the strict rule (no layer configuration of the family is left in the fit) and the loose one
    are the same: a fit holds no layer rows that could be taken out.
    """
    lineages = [family_of(row.architecture) for row in rows]
    merged = {name: {name} for name in lineages}
    for one, other in _kin(rows, lineages):
        joined = merged[one] | merged[other]
        merged.update(dict.fromkeys(joined, joined))
    return tuple(" + ".join(sorted(merged[name])) for name in lineages)


def _kin(rows: Sequence[NetworkRow], lineages: Sequence[str]) -> Sequence[tuple[str, str]]:
    """Pairs of lineages that are one."""
    found = set()
    for same in _comparable(rows, lineages).values():
        for (first, one), (second, other) in combinations(same.items(), 2):
            if first[0] != second[0] and shared_work(one, other) > KIN:
                found.add((first[0], second[0]))
    return sorted(found)


def _comparable(
    rows: Sequence[NetworkRow], lineages: Sequence[str]
) -> Mapping[tuple[int, int | None], Mapping[tuple[str, ...], Counter[Any]]]:
    """Work of each network by lineage, architecture and configuration, under the workloads that several have."""
    named: dict[tuple[int, int | None], dict[tuple[str, ...], NetworkRow]] = {}
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


def _work(row: NetworkRow) -> Counter[Any]:
    """FLOPs by configuration."""
    found: Counter[Any] = Counter()
    for layer in layers_of(row)[0]:
        if layer.flops:
            found[layer.op_type, layer.contractions, layer.input_shapes] += layer.flops
    return found


def shared_work(one: Counter[Any], other: Counter[Any]) -> float:
    """FLOPs in configurations of both, as a share of the smaller network's."""
    return sum((one & other).values()) / min(one.total(), other.total())
