"""What an evaluation found, and the names of what it tells apart."""

from __future__ import annotations

from dataclasses import dataclass

from joulecast_calibration.evaluate.scores import Forecasts, Score

FAMILY, ARCHITECTURE, IN_SAMPLE = "leave-family-out", "leave-architecture-out", "in-sample"
TRANSFERRED = "transferred"
SPLITS = (FAMILY, ARCHITECTURE, TRANSFERRED, IN_SAMPLE)

ZERO_SHOT = "zero-shot"
"""Study: language models that generate text, by a fit that saw none."""
VISION_TRAINED = "trained on vision"
"""Study: a fit of vision networks alone."""
DATASHEET = "data sheet alone"
"""Study: as if no table of this card or of its chip were known either."""
LOOSE = "loose"
"""Study: layer configurations of the held-out family that others have too are fitted."""
LAYER_FITTED = "fitted on layers"
"""Study: layer-wise systems as their papers have them, on measured layers alone."""

SIMULATED = "simulated"
"""Last word of the name of a set that a simulated device made up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unscored:
    """Rows of a set that were not forecast under a split, and why."""

    set: str
    split: str
    reason: str
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredSet:
    """Rows of ``joulecast measure`` on one accelerator. ``networks``, ``layers``: rows that are fitted and scored;
    ``families``: of networks; ``runs``, ``cards``: that measured them."""

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
    """Errors of a system on measured layers of one op type, each by a fit that saw no family that runs it; in
    percent."""

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
    """Errors of ``physical``, begun at the data sheet, after so many ``layers`` of the card were measured; ``on``:
    what is scored, networks, or layers where there are none. In percent."""

    set: str
    layers: int
    on: str
    n: int
    mean_ape: float
    median_ape: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerScore:
    """Errors of the power of ``card``'s matrix products, forecast from other cards: ``fitted_on``. In percent;
    ``bias``: median of forecast less measured."""

    card: str
    fitted_on: str
    n: int
    mean_ape: float
    median_ape: float
    max_ape: float
    bias: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseScore:
    """Distances of repeated rows of a set to the first with the same inputs, in percent; ``on``: networks or
    layers."""

    set: str
    on: str
    n: int
    median: float
    max: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Everything that ``evaluate`` found: one score a line, and what could not be scored. ``forecasts``: what the
    scores were made of; ``measured``: the sets that are rows of this project."""

    results: tuple[Score, ...]
    unscored: tuple[Unscored, ...]
    forecasts: tuple[Forecasts, ...] = ()
    measured: tuple[MeasuredSet, ...] = ()
    op_types: tuple[OpTypeScore, ...] = ()
    learning: tuple[LearningScore, ...] = ()
    noise: tuple[NoiseScore, ...] = ()
    third_card: tuple[PowerScore, ...] = ()

    @property
    def simulated(self) -> tuple[str, ...]:
        """Names of the sets that no hardware stands behind."""
        return tuple(found.set for found in self.measured if found.simulated)

    def headline(self, name: str) -> str:
        """The split that the set ``name`` is judged by: families left out where there are dozens of them."""
        return FAMILY if any(found.set == name for found in self.measured) else ARCHITECTURE
