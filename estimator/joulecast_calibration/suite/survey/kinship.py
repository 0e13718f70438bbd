"""Find families that belong together: networks of different lineages that do most of their work in the same layers."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

from joulecast_calibration.suite.layer import SuiteLayer

KIN = 0.5
"""Share of MACs in identical configurations above which two families are one: docs/suite.md."""


def kinships(records: Sequence[Mapping[str, Any]], layers: Mapping[str, SuiteLayer]) -> list[dict[str, Any]]:
    """Return pairs of families of which two networks share more than ``KIN`` of the MACs of one of them.

    A pair holds those two networks and the share; the largest share comes first.
    """
    work = [_work(record, layers) for record in records]
    shared: Counter[tuple[int, int]] = Counter()
    for digest, users in _users(work).items():
        for one, other in combinations(users, 2):
            if records[one]["family"] != records[other]["family"]:
                shared[one, other] += min(work[one][digest], work[other][digest])
    shares = {pair: macs / min(work[pair[0]].total(), work[pair[1]].total()) for pair, macs in shared.items()}
    closest: dict[tuple[str, ...], dict[str, Any]] = {}
    for pair, share in sorted(shares.items(), key=lambda entry: (-entry[1], entry[0])):
        if share > KIN:
            kinship = _kinship(records, pair, share)
            closest.setdefault(tuple(sorted(kinship["families"])), kinship)
    return list(closest.values())


def _work(record: Mapping[str, Any], layers: Mapping[str, SuiteLayer]) -> Counter[str]:
    """Sum MACs by configuration, over all forward passes."""
    found: Counter[str] = Counter()
    for workload in record["workloads"]:
        for batch in workload["batches"]:
            found.update({digest: count * layers[digest].macs for digest, count in batch["calls"].items()})
    return +found


def _users(work: Sequence[Counter[str]]) -> Mapping[str, Sequence[int]]:
    """Return the architectures that have each configuration."""
    users: defaultdict[str, list[int]] = defaultdict(list)
    for place, own in enumerate(work):
        for digest in own:
            users[digest].append(place)
    return users


def _kinship(records: Sequence[Mapping[str, Any]], pair: tuple[int, int], share: float) -> dict[str, Any]:
    return {
        "families": [records[place]["family"] for place in pair],
        "names": [records[place]["name"] for place in pair],
        "share": round(share, 4),
    }
