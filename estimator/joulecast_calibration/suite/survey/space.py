"""The feature space of the suite's layers, in cells of a quarter octave.

Two layers are in one cell if op type and dtype are the same and MACs, bytes and parameters are within the same quarter
octave. The distance of two cells of one op type and dtype is the sum of their distances in log₂ MACs, log₂ bytes,
log₂ intensity (MACs a byte) and log₂ parameters. All of it is whole numbers, so that orders and figures are the same on
every platform.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Whole = NDArray[np.int64]

PER_OCTAVE = 4
FARTHEST = 16 * PER_OCTAVE
"""Distance of a cell to a sample that has nothing of its op type and dtype; no other distance counts for more."""

Key = tuple[str, str, int, int, int]


def key_of(*, op_type: str, dtype: str, macs: int, bytes_moved: int, params: int) -> Key:
    """Return the cell of a layer: op type, dtype, and MACs, bytes and parameters in quarter octaves."""
    return (op_type, dtype, _steps(macs), _steps(bytes_moved), _steps(params))


def _steps(count: int) -> int:
    return round(PER_OCTAVE * math.log2(1 + count))


@dataclass(frozen=True, kw_only=True)
class Space:
    """The n cells in sorted order.

    - ``layers``: (n,) distinct layers in each.
    - ``executions``: (n,) of those layers in the suite.
    - ``nanoseconds``: (n,) predicted for all these executions.
    """

    keys: tuple[Key, ...]
    layers: Whole
    executions: Whole
    nanoseconds: Whole

    @cached_property
    def position(self) -> Mapping[Key, int]:
        return {key: position for position, key in enumerate(self.keys)}

    @cached_property
    def points(self) -> Whole:
        """Return MACs, bytes, intensity and parameters in quarter octaves, (n, 4)."""
        macs, moved, params = np.array([key[2:] for key in self.keys], dtype=np.int64).reshape(-1, 3).T
        return np.stack([macs, moved, np.where(macs > 0, macs - moved, 0), params], axis=1)

    @cached_property
    def strata(self) -> Sequence[Whole]:
        """Return the positions of the cells of each op type and dtype."""
        return [np.flatnonzero(self.stratum == number) for number in range(self.stratum.max(initial=-1) + 1)]

    @cached_property
    def stratum(self) -> Whole:
        """Return which of ``strata`` each cell is in, (n,)."""
        names = np.array([f"{op_type}\0{dtype}" for op_type, dtype, *_ in self.keys], dtype=str)
        return np.unique(names, return_inverse=True)[1].astype(np.int64)

    @cached_property
    def weight(self) -> Whole:
        """Return each cell's weight, (n,): half its share of the suite's predicted time, half an equal share."""
        whole = 10**9
        total = max(int(self.nanoseconds.sum()), 1)
        shares = [whole * nanoseconds // total for nanoseconds in self.nanoseconds.tolist()]
        return np.array(shares, dtype=np.int64) + whole // max(len(self.keys), 1)

    def distances(self, position: int) -> tuple[Whole, Whole]:
        """Return the cells of the same stratum as ``position``, and how far each is from it."""
        members = self.strata[int(self.stratum[position])]
        apart = np.abs(self.points[members] - self.points[position]).sum(axis=1)
        return members, np.minimum(apart, FARTHEST)

    def to_json(self) -> dict[str, Any]:
        """Return the columns, with names by number."""
        names = [sorted({key[part] for key in self.keys}) for part in (0, 1)]
        columns = {
            "op_type": [names[0].index(key[0]) for key in self.keys],
            "dtype": [names[1].index(key[1]) for key in self.keys],
            "macs": [key[2] for key in self.keys],
            "bytes_moved": [key[3] for key in self.keys],
            "params": [key[4] for key in self.keys],
        }
        counts = {name: getattr(self, name).tolist() for name in ("layers", "executions", "nanoseconds")}
        return {"op_types": names[0], "dtypes": names[1], **columns, **counts}


def space_from_json(document: Mapping[str, Any]) -> Space:
    """Return the space that ``Space.to_json`` wrote."""
    op_types, dtypes = document["op_types"], document["dtypes"]
    columns = zip(*(document[name] for name in ("op_type", "dtype", "macs", "bytes_moved", "params")), strict=True)
    return Space(
        keys=tuple((op_types[op_type], dtypes[dtype], *steps) for op_type, dtype, *steps in columns),
        **{name: np.array(document[name], dtype=np.int64) for name in ("layers", "executions", "nanoseconds")},
    )


def space_of(members: Iterable[tuple[Key, int, float]]) -> Space:
    """Build the space of distinct layers.

    Each member is a cell, its executions, and the predicted seconds of one.
    """
    found: dict[Key, list[int]] = {}
    for key, executions, seconds in members:
        cell = found.setdefault(key, [0, 0, 0])
        cell[0] += 1
        cell[1] += executions
        cell[2] += round(1e9 * seconds * executions)
    keys = tuple(sorted(found))
    counts = np.array([found[key] for key in keys], dtype=np.int64).reshape(-1, 3)
    return Space(keys=keys, layers=counts[:, 0], executions=counts[:, 1], nanoseconds=counts[:, 2])
