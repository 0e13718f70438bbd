"""Order the networks that are measured."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

from joulecast_calibration.suite.architecture import Architecture, Batch, SuiteNetwork
from joulecast_calibration.suite.layer import LONG_SECONDS

Item = TypeVar("Item")


def ordered_networks(architectures: Iterable[Architecture]) -> tuple[SuiteNetwork, ...]:
    """Order networks in rounds, each of which has one more network of each family.

    Families of all tasks are mixed evenly, first workloads stand before second ones, and long batches are networks of
    their own at the end, shortest first.
    """
    usable = [each for each in architectures if not each.zero_shot]
    first = _rounds([each.workloads[0] for each in usable])
    further = _rounds([workload for each in usable for workload in each.workloads[1:]])
    fitting = [_with(network, [b for b in network.batches if b.fits]) for network in [*first, *further]]
    short = [_with(network, [b for b in network.batches if not _long(b)]) for network in fitting]
    long = [_with(network, [b]) for network in fitting for b in network.batches if _long(b)]
    late = sorted(long, key=lambda network: (network.batches[0].predicted_seconds, network.name))
    return tuple(network for network in [*short, *late] if network.batches)


def _with(network: SuiteNetwork, batches: Sequence[Batch]) -> SuiteNetwork:
    return replace(network, batches=tuple(batches))


def _long(batch: Batch) -> bool:
    return batch.predicted_seconds > LONG_SECONDS


def _rounds(networks: Sequence[SuiteNetwork]) -> list[SuiteNetwork]:
    """Take one of each family in turn, with tasks mixed evenly within a round."""
    families: dict[str, list[SuiteNetwork]] = defaultdict(list)
    for network in sorted(networks, key=lambda network: _draw(network.name)):
        families[network.family].append(network)
    longest = max((len(members) for members in families.values()), default=0)
    turns = [[members[turn] for members in families.values() if turn < len(members)] for turn in range(longest)]
    return [network for turn in turns for network in _mixed(turn)]


def _mixed(networks: Sequence[SuiteNetwork]) -> list[SuiteNetwork]:
    """Spread each task evenly over the whole list."""
    tasks: dict[str, list[SuiteNetwork]] = defaultdict(list)
    for network in networks:
        tasks[network.task].append(network)
    placed = [
        ((position + 0.5) / len(members), task, network)
        for task, members in sorted(tasks.items())
        for position, network in enumerate(members)
    ]
    return [network for _, _, network in sorted(placed, key=lambda entry: entry[:2])]


def _draw(name: str) -> str:
    """Return a key for a random order that is the same everywhere."""
    return hashlib.sha256(name.encode()).hexdigest()
