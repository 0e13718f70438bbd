"""The noise floor: how far rows with equal inputs differ."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from joulecast.energy.features import Array
from joulecast_calibration.rows.networks import ForecastRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeats:
    """Differences between repeated rows.

    - ``percent``: the distance of every repeated row to the joules of the first one with the same inputs.
    """

    percent: Array

    def __str__(self) -> str:
        if not self.percent.size:
            return "No row repeats another one, so the noise of these measurements is not known."
        return (
            f"{self.percent.size} rows repeat another one; they differ from it by {np.median(self.percent):.2f} % in "
            f"the median and {self.percent.max():.2f} % at most. No system could be better than that."
        )


def repeats(rows: Sequence[ForecastRow], joules: Array) -> Repeats:
    """Compute the distances of rows to the first row with the same inputs."""
    seen: defaultdict[ForecastRow, list[float]] = defaultdict(list)
    for row, value in zip(rows, joules.tolist(), strict=True):
        seen[row].append(value)
    found = [100 * abs(value / values[0] - 1) for values in seen.values() for value in values[1:]]
    return Repeats(percent=np.array(found))
