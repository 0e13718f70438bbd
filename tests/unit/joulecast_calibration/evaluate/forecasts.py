"""Made-up forecasts of every system, split and study on one set."""

from __future__ import annotations

import numpy as np

from joulecast_calibration.evaluate.contenders import PHYSICAL, SYSTEMS
from joulecast_calibration.evaluate.evaluation import (
    ARCHITECTURE,
    DATASHEET,
    FAMILY,
    IN_SAMPLE,
    TRANSFERRED,
    VISION_TRAINED,
    ZERO_SHOT,
    Evaluation,
    ScoredForecasts,
    Unscored,
    scores,
)
from joulecast_calibration.rows.networks import ForecastRow
from tests.unit.energy import data

ROWS = tuple(
    data.row(*network, batch, clock) for network in data.NETWORKS for batch in (1, 4) for clock in (900.0, 1200.0)
)


def forecasts(
    system: str, split: str, study: str = "", rows: tuple[ForecastRow, ...] = ROWS, *, off: float = 0.1
) -> ScoredForecasts:
    """Off by ``off`` (a logarithm) at the first row, by twice that at the second and so on in turn of three."""
    truth = np.arange(1.0, 1.0 + len(rows))
    wrong = off * (1 + np.arange(len(rows)) % 3)
    return ScoredForecasts(
        set="a_set",
        split=split,
        system=system,
        rows=rows,
        joules=truth * np.exp(wrong),
        truth=truth,
        log_half_width=np.full(len(rows), 2.5 * off),
        study=study,
    )


def evaluation() -> Evaluation:
    """One set under every split and study, with a row that occurs twice."""
    rows = (*ROWS, ROWS[0])
    made = [
        forecasts(system, split, study, rows, off=0.02 if system == PHYSICAL else 0.1)
        for system in SYSTEMS
        for split, study in (
            (FAMILY, ""),
            (ARCHITECTURE, ""),
            (IN_SAMPLE, ""),
            (FAMILY, ZERO_SHOT),
            (ARCHITECTURE, VISION_TRAINED),
        )
    ]
    made += [forecasts(PHYSICAL, TRANSFERRED, study, rows, off=0.2) for study in ("", DATASHEET)]
    return evaluated(*made)


def evaluated(*made: ScoredForecasts) -> Evaluation:
    unscored = (Unscored(set="a_set", split="all", reason="no graph of <unheard>", n=3),)
    lines = tuple(line for each in made for line in scores(each))
    return Evaluation(results=lines, unscored=unscored, forecasts=made)
