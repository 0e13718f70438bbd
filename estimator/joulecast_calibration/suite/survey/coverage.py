"""Compute how well a prefix of the sample covers the suite."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from joulecast_calibration.suite.layer import SuiteLayer
from joulecast_calibration.suite.survey.sampling import approach
from joulecast_calibration.suite.survey.space import FARTHEST, PER_OCTAVE, Space, Whole, key_of

NEAR = PER_OCTAVE
"""One octave: a layer within it differs from a sampled one by less than a factor of two in cost."""

QUANTILES = (0.5, 0.9, 0.99)


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleCoverage:
    """Coverage of a sample of ``length`` layers.

    - ``octaves``: quantiles (``QUANTILES``) of the distance of all cells to the sample, 16 where it has nothing of
      their op type and dtype.
    - ``farthest_octaves``: the largest distance.
    - ``near``: share of the suite's predicted time in layers within an octave of a sampled one.
    - ``reached``: share in layers whose op type and dtype the sample has.
    """

    length: int
    octaves: tuple[float, ...]
    farthest_octaves: float
    near: float
    reached: float


def coverages(space: Space, sample: Iterable[int], lengths: Sequence[int]) -> tuple[SampleCoverage, ...]:
    """Compute the coverage of each prefix of ``sample``, cells by position, whose length is one of ``lengths``."""
    nearest = np.full(len(space.keys), FARTHEST, dtype=np.int64)
    reached = np.zeros(len(space.strata), dtype=bool)
    found = []
    for length, position in enumerate(sample, start=1):
        approach(space, nearest, position)
        reached[space.stratum[position]] = True
        if length in lengths:
            found.append(_coverage(space, length, nearest, reached[space.stratum]))
    return tuple(found)


def _coverage(space: Space, length: int, nearest: Whole, reached: NDArray[np.bool_]) -> SampleCoverage:
    octaves = nearest / PER_OCTAVE
    total = max(int(space.nanoseconds.sum()), 1)
    return SampleCoverage(
        length=length,
        octaves=tuple(float(value) for value in np.quantile(octaves, QUANTILES, method="higher")),
        farthest_octaves=float(octaves.max()),
        near=int(space.nanoseconds[nearest <= NEAR].sum()) / total,
        reached=int(space.nanoseconds[reached].sum()) / total,
    )


def cells_of(space: Space, layers: Iterable[SuiteLayer]) -> tuple[int, ...]:
    """Return the position of each layer's cell."""
    return tuple(space.position[cell_of(layer)] for layer in layers)


def cell_of(layer: SuiteLayer) -> tuple[str, str, int, int, int]:
    """Return the cell of one layer."""
    return key_of(
        op_type=layer.op_type,
        dtype=layer.dtype,
        macs=layer.macs,
        bytes_moved=layer.bytes_moved,
        params=layer.params,
    )


def random_sample(space: Space, eligible: Sequence[int], *, length: int, seed: int) -> tuple[int, ...]:
    """Draw layers without an order, for comparison: cells by how many distinct layers they hold."""
    weights = space.layers[np.array(eligible)] / space.layers[np.array(eligible)].sum()
    drawn = np.random.default_rng(seed).choice(len(eligible), size=length, replace=False, p=weights)
    return tuple(eligible[position] for position in drawn.tolist())
