"""The order of the sample: each next cell is the one that brings the suite nearest to what has been sampled.

Nearness is a weighted sum of the distances of all cells to the nearest sampled one (facility location). It is
submodular, so every prefix is within 1 − 1/e of the best choice of its length (Nemhauser, Wolsey and Fisher 1978), and
gains need computing only when they come to the top (Minoux 1978).
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable, Iterator

import numpy as np

from joulecast_calibration.suite.survey.space import FARTHEST, Space, Whole


def coverage_order(space: Space, eligible: Iterable[int]) -> Iterator[int]:
    """Yield the cells of ``eligible``, by position, in the order in which to sample them. Ties go to the first cell."""
    parts: defaultdict[int, list[int]] = defaultdict(list)
    for position in eligible:
        parts[int(space.stratum[position])].append(position)
    strata = [_Stratum(space, space.strata[number], positions) for number, positions in sorted(parts.items())]
    heap = [(-stratum.best_gain, stratum.best, number) for number, stratum in enumerate(strata)]
    heapq.heapify(heap)
    while heap:
        _, position, number = heapq.heappop(heap)
        yield position
        stratum = strata[number]
        stratum.take()
        if stratum.heap:
            heapq.heappush(heap, (-stratum.best_gain, stratum.best, number))


class _Stratum:
    """The cells of one op type and dtype, which do not depend on the choice of other cells.

    - ``heap``: upper bounds of the gains of what is left, the first one exact.
    """

    def __init__(self, space: Space, members: Whole, eligible: list[int]) -> None:
        points = space.points[members]
        self.weight = space.weight[members]
        self.nearest = np.full(len(members), FARTHEST, dtype=np.int64)
        place = {position: number for number, position in enumerate(members.tolist())}
        self.apart = {
            position: np.minimum(np.abs(points - points[place[position]]).sum(axis=1), FARTHEST).astype(np.int16)
            for position in eligible
        }
        self.heap = [(-self._gain(position), position) for position in eligible]
        heapq.heapify(self.heap)

    @property
    def best(self) -> int:
        return self.heap[0][1]

    @property
    def best_gain(self) -> int:
        return -self.heap[0][0]

    def take(self) -> None:
        """Sample the best cell, and find the next one."""
        _, position = heapq.heappop(self.heap)
        self.nearest = np.minimum(self.nearest, self.apart.pop(position))
        fresh: set[int] = set()
        while self.heap and self.best not in fresh:
            fresh.add(self.best)
            heapq.heapreplace(self.heap, (-self._gain(self.best), self.best))

    def _gain(self, position: int) -> int:
        return int(self.weight @ np.maximum(self.nearest - self.apart[position], 0))


def approach(space: Space, nearest: Whole, position: int) -> None:
    """Sample the cell at ``position``: update ``nearest`` (cells,), the distance of each cell to the sample."""
    members, apart = space.distances(position)
    nearest[members] = np.minimum(nearest[members], apart)
