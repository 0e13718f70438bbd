"""Order the networks that are measured."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import zip_longest

from joulecast_calibration.suite.architecture import Architecture, SuiteNetwork


def ordered_networks(architectures: Iterable[Architecture]) -> tuple[SuiteNetwork, ...]:
    """Order networks in rounds, each of which has one more network of each family.

    Families of all tasks are mixed evenly, first workloads stand before second ones, and long batches are networks of
    their own at the end, shortest first.
    """
    usable = [each for each in architectures if not each.zero_shot]
    first = _rounds([each.workloads[0] for each in usable])
    further = _rounds([workload for each in usable for workload in each.workloads[1:]])
    fitting = [fitting_batches(network) for network in [*first, *further]]
    short = [replace(each, batches=tuple(b for b in each.batches if not b.long)) for each in fitting]
    long = [replace(each, batches=(batch,)) for each in fitting for batch in each.batches if batch.long]
    late = sorted(long, key=lambda network: (network.batches[0].predicted_seconds, network.name))
    return tuple(network for network in [*short, *late] if network.batches)


def fitting_batches(network: SuiteNetwork) -> SuiteNetwork:
    """Return the network without the batches that do not fit."""
    return replace(network, batches=tuple(batch for batch in network.batches if batch.fits))


def _rounds(networks: Sequence[SuiteNetwork]) -> list[SuiteNetwork]:
    """Take one of each family in turn, with tasks mixed evenly within a round.

    The hash of its name draws a network's place in its family, the same everywhere.
    """
    families: dict[str, list[SuiteNetwork]] = defaultdict(list)
    for network in sorted(networks, key=lambda network: hashlib.sha256(network.name.encode()).hexdigest()):
        families[network.family].append(network)
    return [network for turn in zip_longest(*families.values()) for network in _mixed(filter(None, turn))]


def _mixed(networks: Iterable[SuiteNetwork]) -> list[SuiteNetwork]:
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
