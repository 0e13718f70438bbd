"""Draw the coverage of the sample. Needs matplotlib (extra ``report``)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from joulecast.errors import JoulecastError
from joulecast_calibration.plotting import pyplot
from joulecast_calibration.suite.index import SuiteIndex
from joulecast_calibration.suite.survey.coverage import NEAR, SampleCoverage, cells_of, coverages, random_sample
from joulecast_calibration.suite.survey.space import PER_OCTAVE, space_from_json

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DRAWS = 5
"""Number of random orders for comparison; their mean is drawn."""

_POINTS = 40
_SIZE_INCHES = (10.0, 4.2)


def draw_coverage(index: SuiteIndex, path: Path) -> None:
    """Draw two panels by prefix length: distances of the suite's cells, and the share of its predicted time that is
    near.

    The suffix of ``path`` gives the format. Raises JoulecastError without matplotlib, or for an unknown format.
    """
    plot = pyplot()
    ordered, drawn = _curves(index)
    figure, (left, right) = plot.subplots(1, 2, figsize=_SIZE_INCHES, layout="constrained")
    for color, (name, value) in zip(("C0", "C1"), _DISTANCES.items(), strict=True):
        _plot(left, ordered, drawn, value, color=color, label=name)
    left.set(xlabel="layers measured", ylabel="octaves to the nearest measured layer", xscale="log")
    _plot(
        right,
        ordered,
        drawn,
        lambda coverage: 100 * coverage.near,
        color="C2",
        label=f"within {NEAR // PER_OCTAVE} octave",
    )
    right.set(xlabel="layers measured", ylabel="% of the suite's predicted time", xscale="log", ylim=(0, 100))
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.legend()
    try:
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else {})
    except ValueError as error:
        raise JoulecastError(f"{path} cannot be drawn ({error}): end its name in .svg or .png") from None
    finally:
        plot.close(figure)


_DISTANCES = {
    "median": lambda coverage: coverage.octaves[0],
    "9 in 10": lambda coverage: coverage.octaves[1],
}


def _curves(index: SuiteIndex) -> tuple[Sequence[SampleCoverage], Sequence[Sequence[SampleCoverage]]]:
    """Compute the coverage of prefixes of the sample, and of random orders of the same cells."""
    space = space_from_json(index.space)
    sample = cells_of(space, index.layers)
    lengths = sorted({round(math.exp(math.log(len(sample)) * step / _POINTS)) for step in range(_POINTS + 1)})
    draws = [random_sample(space, sample, length=len(sample), seed=seed) for seed in range(DRAWS)]
    return coverages(space, sample, lengths), [coverages(space, draw, lengths) for draw in draws]


def _plot(
    axes: Axes,
    ordered: Sequence[SampleCoverage],
    drawn: Sequence[Sequence[SampleCoverage]],
    value: Any,
    *,
    color: str,
    label: str,
) -> None:
    lengths = [coverage.length for coverage in ordered]
    means = [sum(map(value, column)) / len(column) for column in zip(*drawn, strict=True)]
    axes.plot(lengths, [value(coverage) for coverage in ordered], color=color, label=label)
    axes.plot(lengths, means, color=color, linestyle="--", label=f"{label}, random order")
