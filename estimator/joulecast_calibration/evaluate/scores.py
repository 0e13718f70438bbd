"""Score forecasts against measured joules: absolute percentage errors, and coverage and width of the interval."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from joulecast.energy.features import Array, Flags
from joulecast_calibration.rows.networks import ForecastRow
from joulecast_calibration.suite.lineage import TASKS, task_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One line of the report, in percent; coverage is a share from 0 to 1.

    - ``interval_half_width``: the median over the rows.
    """

    set: str
    split: str
    system: str
    task: str
    n: int
    mean_ape: float
    median_ape: float
    max_ape: float
    min_ape: float
    interval_coverage: float
    interval_half_width: float


MOST_GROUPS = 12
"""Colours that are easy to distinguish."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredForecasts:
    """Forecasts of rows by one system under one split, beside the measured values that score them; (rows,) each.

    - ``joules``, ``truth``: forecast and measured joules.
    - ``log_half_width``: of the interval, as a logarithm.
    - ``study``: what is special about the fit, in a word or two; empty for the plain split.
    """

    set: str
    split: str
    system: str
    rows: tuple[ForecastRow, ...]
    joules: Array
    truth: Array
    log_half_width: Array
    study: str = ""

    @property
    def percent(self) -> Array:
        return 100 * np.abs(self.joules / self.truth - 1)

    @property
    def inside(self) -> Flags:
        held: Flags = np.abs(np.log(self.joules / self.truth)) <= self.log_half_width
        return held

    @property
    def architectures(self) -> Array:
        """Return the names of the architectures, (rows,)."""
        return np.array([row.architecture for row in self.rows])

    @property
    def groups(self) -> Array:
        """Return architectures, (rows,), or tasks where there are too many architectures for one picture."""
        return self.architectures if np.unique(self.architectures).size <= MOST_GROUPS else self.tasks

    @property
    def tasks(self) -> Array:
        """Return the tasks vision, nlp or audio, (rows,)."""
        return np.array([task_of(row) for row in self.rows])


def scores(found: ScoredForecasts) -> Iterator[Score]:
    """Yield the pooled score and those by task, of BF16, of each architecture, and the mean over architectures."""
    precisions = np.array([row.precision for row in found.rows])
    everything = np.ones(len(found.rows), dtype=bool)
    yield score(found, everything)
    for task in TASKS:
        yield from _some(found, found.tasks == task, task=task)
    if (precisions == "bf16").any() and (precisions != "bf16").any():
        yield from _some(found, precisions == "bf16", suffix=" bf16")
    names = found.architectures
    each = [score(found, names == name, suffix=f" {name}") for name in sorted(set(names.tolist()))]
    yield from each
    yield macro(found, each)


def _some(found: ScoredForecasts, kept: Flags, *, task: str = "all", suffix: str = "") -> Iterator[Score]:
    if kept.any():
        yield score(found, kept, task=task, suffix=suffix)


def score(found: ScoredForecasts, kept: Flags, *, task: str = "all", suffix: str = "") -> Score:
    """Compute the score of the rows ``kept``, of which there is at least one."""
    percent = found.percent[kept]
    widths = half_widths_percent(found.log_half_width[kept])
    return Score(
        set=named(found) + suffix,
        split=found.split,
        system=found.system,
        task=task,
        n=int(kept.sum()),
        mean_ape=float(percent.mean()),
        median_ape=float(np.median(percent)),
        max_ape=float(percent.max()),
        min_ape=float(percent.min()),
        interval_coverage=float(found.inside[kept].mean()),
        interval_half_width=float(np.median(widths)),
    )


def macro(found: ScoredForecasts, each: Sequence[Score]) -> Score:
    """Return the means over architectures, each counted once, and the largest and smallest error of any of them."""
    return Score(
        set=f"{named(found)} macro",
        split=found.split,
        system=found.system,
        task="all",
        n=len(each),
        mean_ape=float(np.mean([line.mean_ape for line in each])),
        median_ape=float(np.mean([line.median_ape for line in each])),
        max_ape=max(line.max_ape for line in each),
        min_ape=min(line.min_ape for line in each),
        interval_coverage=float(np.mean([line.interval_coverage for line in each])),
        interval_half_width=float(np.mean([line.interval_half_width for line in each])),
    )


def named(found: ScoredForecasts) -> str:
    """Return the set's name with the study of the fit."""
    return f"{found.set} {found.study}".strip()


def half_widths_percent(log_half_width: Array) -> Array:
    """Return half the interval's length, in percent of the forecast: 100·(eʷ − e⁻ʷ)/2."""
    widths: Array = 100 * np.sinh(log_half_width)
    return widths


def repeat_distances(keys: Iterable[Hashable], joules: Array) -> Array:
    """Return the noise floor: how far, in percent, each repeated row is from the first row with the same key."""
    seen: dict[Hashable, list[float]] = {}
    for key, value in zip(keys, joules.tolist(), strict=True):
        seen.setdefault(key, []).append(value)
    return np.array([100 * abs(value / values[0] - 1) for values in seen.values() for value in values[1:]])
