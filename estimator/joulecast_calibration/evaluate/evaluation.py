"""The results of an evaluation: forecasts, their scores, noise and biases, and the names of splits and sets."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from joulecast.energy.features import Array, Flags
from joulecast_calibration.evaluate.cardscores import CardsEvaluation
from joulecast_calibration.evaluate.serving.scoring import ServedEvaluation
from joulecast_calibration.rows.networks import ForecastRow
from joulecast_calibration.suite.lineage import TASKS, task_of

FAMILY, ARCHITECTURE, IN_SAMPLE = "leave-family-out", "leave-architecture-out", "in-sample"
TRANSFERRED = "transferred"
SPLITS = (FAMILY, ARCHITECTURE, TRANSFERRED, IN_SAMPLE)

ZERO_SHOT = "zero-shot"
SERVING = "serving passes"
"""Study of prefill and decode passes of decoders, forecast by a fit of layers and forward passes."""
"""Study: language models that generate text, by a fit that saw none."""
VISION_TRAINED = "trained on vision"
"""Study: a fit of vision networks alone."""
DATASHEET = "data sheet alone"
"""Study: transfer without tables of this card or of its chip."""
LOOSE = "loose"
"""Study: layer configurations of the held-out family that others have too are fitted."""
LAYER_FITTED = "fitted on layers"
"""Study: layer-wise systems as their papers have them, on measured layers alone."""

SIMULATED = "simulated"
"""Last word of the name of a set that was measured on a simulated device."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unscored:
    """Rows of a set that were not forecast under a split, and the reason."""

    set: str
    split: str
    reason: str
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredSet:
    """Rows of ``joulecast measure`` on one accelerator.

    - ``networks``, ``layers``: numbers of rows that are fitted and scored.
    - ``families``: number of families of the networks.
    - ``runs``, ``cards``: numbers of runs and cards that measured the rows.
    """

    set: str
    accelerator: str
    simulated: bool
    networks: int
    layers: int
    families: int
    runs: int
    cards: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OpTypeScore:
    """Errors, in percent, of a system on measured layers of one op type.

    Each layer is forecast by a fit that saw no family that runs it.
    """

    set: str
    system: str
    op_type: str
    n: int
    mean_ape: float
    median_ape: float
    max_ape: float
    min_ape: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LearningScore:
    """Errors, in percent, of ``physical`` after some layers of the card were measured, starting from the data sheet.

    - ``layers``: number of measured layers.
    - ``on``: what is scored: networks, or layers where there are no networks.
    """

    set: str
    layers: int
    on: str
    n: int
    mean_ape: float
    median_ape: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerScore:
    """Errors, in percent, of the power of ``card``'s matrix products as forecast from other cards.

    - ``fitted_on``: the other cards.
    - ``bias``: median of forecast less measured.
    """

    card: str
    fitted_on: str
    n: int
    mean_ape: float
    median_ape: float
    max_ape: float
    bias: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseScore:
    """Differences, in percent, between repeated rows of a set and the first row with the same inputs.

    - ``on``: networks or layers.
    """

    set: str
    on: str
    n: int
    median: float
    max: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """All results of ``evaluate``: one score a line, and what could not be scored.

    - ``forecasts``: what the scores were computed from.
    - ``measured``: the sets that hold rows of this project.
    - ``cards``: scores of cards that were left out whole, and of rankings of cards.
    - ``served``: scores of language models behind inference engines, whose figures are of their own.
    - ``timed``: scores of the seconds of whole networks on cards without energy rows.
    """

    results: tuple[Score, ...]
    unscored: tuple[Unscored, ...]
    forecasts: tuple[ScoredForecasts, ...] = ()
    measured: tuple[MeasuredSet, ...] = ()
    op_types: tuple[OpTypeScore, ...] = ()
    learning: tuple[LearningScore, ...] = ()
    noise: tuple[NoiseScore, ...] = ()
    third_card: tuple[PowerScore, ...] = ()
    cards: CardsEvaluation = field(default_factory=CardsEvaluation)
    served: ServedEvaluation = field(default_factory=ServedEvaluation)
    timed: ServedEvaluation = field(default_factory=ServedEvaluation)

    @property
    def simulated(self) -> tuple[str, ...]:
        """Return the names of the sets that were measured on simulated hardware."""
        return tuple(found.set for found in self.measured if found.simulated)

    def measured_set(self, name: str) -> MeasuredSet | None:
        """Return the description of a set of this project's own rows, or None for a published set."""
        return next((each for each in self.measured if each.set == name), None)

    def headline(self, name: str) -> str:
        """Return the split that the set ``name`` is judged by: left-out families where there are dozens of them."""
        return FAMILY if self.measured_set(name) else ARCHITECTURE


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


_Group = tuple[float, str] | None
"""Sort key and name of a row's group; None for a row without a group."""
_FEW_VALUES = 4
"""Number of different values up to which each is shown by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bias:
    """Signed error of one group of rows, in percent of the measured joules.

    - ``signed``: median of forecast less measured.
    - ``spread``: half the distance between the quartiles of the rows: what is left when the bias is removed.
    """

    group: str
    n: int
    signed: float
    spread: float


def biases(own: ScoredForecasts) -> Iterator[Bias]:
    """Yield the bias of all rows, and by architecture, precision, clock, batch size and number of tokens."""
    signed = 100 * (own.joules / own.truth - 1)
    yield _bias("all", signed)
    for group in _GROUPS:
        places = group(own)
        known = sorted({place for place in places if place is not None})
        for place in known if len(known) > 1 else ():
            yield _bias(place[1], signed[[each == place for each in places]])


def _bias(group: str, signed: Array) -> Bias:
    low, middle, high = np.quantile(signed, (0.25, 0.5, 0.75)).tolist()
    return Bias(group=group, n=signed.size, signed=middle, spread=(high - low) / 2)


def _by_name(values: Sequence[str]) -> list[_Group]:
    return [(0, value) for value in values]


def _by_value(noun: str, values: Sequence[float | None], lower: float, upper: float) -> list[_Group]:
    """Group few different values one by one, and many into three bands."""
    if len(set(values)) <= _FEW_VALUES:
        return [None if value is None else (value, f"{noun} {value:g}") for value in values]
    return [None if value is None else _band(noun, value, lower, upper) for value in values]


def _band(noun: str, value: float, lower: float, upper: float) -> _Group:
    if value > upper:
        return 2, f"{noun} > {upper:g}"
    return (0, f"{noun} ≤ {lower:g}") if value <= lower else (1, f"{noun} {lower:g} – {upper:g}")


_GROUPS: tuple[Callable[[ScoredForecasts], list[_Group]], ...] = (
    lambda own: _by_name(own.groups.tolist()),
    lambda own: _by_name([row.precision for row in own.rows]),
    lambda own: _by_value("clock in MHz", [row.clock_mhz for row in own.rows], 800, 1100),
    lambda own: _by_value("batch size", [row.batch_size for row in own.rows], 1, 8),
    lambda own: _by_value("tokens", [row.sequence for row in own.rows], 128, 512),
)
