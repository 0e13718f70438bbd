"""The order of the sample: each next cell is the one that brings the suite nearest to what has been sampled.

Nearness is a weighted sum of the distances of all cells to the nearest sampled one (facility location). It is
submodular, so every prefix is within 1 − 1/e of the best choice of its length (Nemhauser, Wolsey and Fisher 1978), and
gains need computing only when they come to the top (Minoux 1978).
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator

import numpy as np

from joulecast.calibration.suite.space import FARTHEST, Space, Whole


def coverage_order(space: Space, eligible: Iterable[int]) -> Iterator[int]:
    """The cells of ``eligible``, by position, in the order in which to sample them. Ties go to the first cell."""
    nearest = np.full(len(space.keys), FARTHEST, dtype=np.int64)
    heap = [(-_gain(space, nearest, position), position) for position in eligible]
    heapq.heapify(heap)
    while heap:
        _, position = heapq.heappop(heap)
        gain = _gain(space, nearest, position)
        if heap and (-gain, position) > heap[0]:
            heapq.heappush(heap, (-gain, position))
            continue
        approach(space, nearest, position)
        yield position


def approach(space: Space, nearest: Whole, position: int) -> None:
    """Sample the cell at ``position``: ``nearest`` (cells,), the distance of each to the sample, is brought up to
    date."""
    members, apart = space.distances(position)
    nearest[members] = np.minimum(nearest[members], apart)


def _gain(space: Space, nearest: Whole, position: int) -> int:
    members, apart = space.distances(position)
    return int((space.weight[members] * np.maximum(nearest[members] - apart, 0)).sum())
