"""Seconds that vLLM spends between passes, fitted on times between tokens."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from joulecast_calibration.evaluate.serving.latency import ServedLatency
from joulecast_calibration.evaluate.serving.passes import Decomposed, StepSeconds

_ERROR_SCALE = 0.1
"""Log errors beyond it weigh less (soft L1): the scatter between versions of vLLM on one case."""
_START = (5e-4, 4e-6)  # the prior that engines ship with


def fit_step(rows: Sequence[ServedLatency], parts: Sequence[Decomposed]) -> StepSeconds:
    """Return the step that explains the seconds between tokens best, in logarithms; every lineage weighs the same."""
    told = np.array([row.seconds for row in rows])
    basis = np.array([part.between for part in parts])
    weights = np.sqrt(_weights(rows))

    def errors(logarithms: NDArray[np.float64]) -> NDArray[np.float64]:
        found = basis @ np.concatenate([[1.0], np.exp(logarithms)])
        out: NDArray[np.float64] = weights * np.log(found / told)
        return out

    found = least_squares(errors, np.log(_START), loss="soft_l1", f_scale=_ERROR_SCALE)
    step, sequence = np.exp(found.x)
    return StepSeconds(seconds=float(step), sequence_seconds=float(sequence))


def _weights(rows: Sequence[ServedLatency]) -> NDArray[np.float64]:
    lineages = [row.lineage for row in rows]
    counts = {name: lineages.count(name) for name in set(lineages)}
    return np.array([len(rows) / len(counts) / counts[name] for name in lineages])
