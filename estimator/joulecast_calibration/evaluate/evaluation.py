"""The results of an evaluation, and the names of its splits and sets."""

from __future__ import annotations

from dataclasses import dataclass

from joulecast_calibration.evaluate.scores import Score, ScoredForecasts

FAMILY, ARCHITECTURE, IN_SAMPLE = "leave-family-out", "leave-architecture-out", "in-sample"
TRANSFERRED = "transferred"
SPLITS = (FAMILY, ARCHITECTURE, TRANSFERRED, IN_SAMPLE)

ZERO_SHOT = "zero-shot"
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
    """

    results: tuple[Score, ...]
    unscored: tuple[Unscored, ...]
    forecasts: tuple[ScoredForecasts, ...] = ()
    measured: tuple[MeasuredSet, ...] = ()
    op_types: tuple[OpTypeScore, ...] = ()
    learning: tuple[LearningScore, ...] = ()
    noise: tuple[NoiseScore, ...] = ()
    third_card: tuple[PowerScore, ...] = ()

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
