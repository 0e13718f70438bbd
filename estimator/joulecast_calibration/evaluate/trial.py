"""Hold a set of rows with measured joules, the systems fitted on it, and the forecasts that they make."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from joulecast.energy.features import Array, Flags
from joulecast_calibration.evaluate.contenders import Contender
from joulecast_calibration.evaluate.evaluation import (
    IN_SAMPLE,
    LearningScore,
    MeasuredSet,
    NoiseScore,
    OpTypeScore,
    Unscored,
)
from joulecast_calibration.evaluate.scores import ScoredForecasts
from joulecast_calibration.rows.networks import ForecastRow

Outcome = ScoredForecasts | Unscored | MeasuredSet | OpTypeScore | LearningScore | NoiseScore


@dataclass(frozen=True, slots=True)
class Trial:
    """Rows with measured joules, and the systems that are fitted on them.

    - ``rows``: (size,) what a forecast may know of each row.
    - ``truth``: (size,) measured joules and seconds.
    - ``networks``: (size,) rows that are scored.
    """

    name: str
    rows: tuple[ForecastRow, ...]
    truth: Array
    networks: Flags
    contenders: tuple[Contender, ...]

    @property
    def systems(self) -> tuple[Contender, ...]:
        """Return each system once."""
        return tuple(contender for contender in self.contenders if not contender.on_layers)

    @property
    def architectures(self) -> Array:
        """Return the names of the architectures, (size,)."""
        return np.array([row.architecture for row in self.rows])

    def forecasts(self, split: str, system: str, joules: Array, width: Array, study: str = "") -> ScoredForecasts:
        """Return the forecasts of the networks that have one.

        ``joules``, ``width``: of all rows, (size,), nan where there is no forecast.
        """
        kept = self.networks & np.isfinite(joules) & np.isfinite(width)
        return ScoredForecasts(
            set=self.name,
            split=split,
            system=system,
            rows=tuple(row for row, own in zip(self.rows, kept.tolist(), strict=True) if own),
            joules=joules[kept],
            truth=self.truth[kept],
            log_half_width=width[kept],
            study=study,
        )

    def unscored(self, split: str, reason: str, number: int | None = None) -> Unscored:
        """Report rows that were not scored; ``number``: how many, all unless given."""
        return Unscored(set=self.name, split=split, reason=reason, n=len(self.rows) if number is None else number)


def in_sample(trial: Trial) -> Iterator[ScoredForecasts]:
    """Forecast the rows that were fitted themselves, which shows how well the form can fit at all.

    The width of the interval comes from these errors.
    """
    if not trial.networks.any():
        return
    for contender in trial.systems:
        joules = contender.everything()
        errors = np.abs(np.log(joules / trial.truth))[trial.networks]
        width = np.full(joules.size, float(np.quantile(errors, 0.9)))
        yield trial.forecasts(IN_SAMPLE, contender.name, joules, width)
