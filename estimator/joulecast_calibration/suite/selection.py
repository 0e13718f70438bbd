"""Select the small parts of the suite that a run needs beside its two orders."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from joulecast_calibration.suite.architecture import BATCH_SIZES, Architecture, SuiteNetwork
from joulecast_calibration.suite.layer import SuiteLayer
from joulecast_calibration.suite.ordering import fitting_batches

ANCHORS = 12
"""Measured at the start and at the end of every run: docs/measuring.md."""

CAPTURED = 36
"""Networks that are also run as CUDA graphs, one batch size each: docs/measuring.md. 30 are asked for, and four of
these make tensors on the host in each pass and copy them to the device, which no capture can hold."""

_ANCHOR_SECONDS = 1e-3  # long beside a launch, short beside a window
_LONGEST_CAPTURED_SECONDS = 0.1  # a window of the shortest length then holds several


def unseen_networks(architectures: Iterable[Architecture]) -> tuple[SuiteNetwork, ...]:
    """Return the networks that contribute no layer to the sample, with the batches that fit."""
    return tuple(fitting_batches(each.workloads[0]) for each in architectures if each.zero_shot)


def captured_networks(networks: Sequence[SuiteNetwork]) -> tuple[SuiteNetwork, ...]:
    """Return the first ``CAPTURED`` of ``networks`` that are short enough, with alternating batch sizes."""
    found: list[SuiteNetwork] = []
    for network in networks:
        size = BATCH_SIZES[len(found) % len(BATCH_SIZES)]
        short = [batch for batch in network.batches if batch.predicted_seconds <= _LONGEST_CAPTURED_SECONDS]
        if batches := tuple(batch for batch in short if batch.batch_size == size):
            found.append(replace(network, batches=batches))
    return tuple(found[:CAPTURED])


def anchor_layers(layers: Iterable[SuiteLayer]) -> tuple[SuiteLayer, ...]:
    """Return one layer of each of the op types that the suite spends most time in.

    It is the one whose time is nearest to a millisecond.
    """
    groups: defaultdict[str, list[SuiteLayer]] = defaultdict(list)
    for layer in layers:
        groups[layer.op_type].append(layer)
    seconds = {
        name: sum(each.predicted_seconds * each.multiplicity for each in group) for name, group in groups.items()
    }
    heaviest = sorted(groups, key=lambda name: (-seconds[name], name))
    return tuple(min(groups[name], key=_from_a_millisecond) for name in heaviest[:ANCHORS])


def _from_a_millisecond(layer: SuiteLayer) -> tuple[float, str]:
    ratio = layer.predicted_seconds / _ANCHOR_SECONDS
    return (max(ratio, 1 / ratio) if ratio else float("inf"), layer.digest)
