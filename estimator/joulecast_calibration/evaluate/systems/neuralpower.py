"""Fit ``neuralpower``: Lasso polynomials for runtime and for power, energy = runtime × power (Cai et al. 2017)."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LassoCV

from joulecast.energy.features import Array
from joulecast.errors import MeasurementError
from joulecast_calibration.evaluate.systems.features import SIZES, NetworkFeatures
from joulecast_calibration.rows.networks import Truth

_FEATURES = [SIZES.index(name) for name in ("macs", "bytes", "input")]
_PAIRS = tuple(combinations_with_replacement(_FEATURES, 2))
_PENALTIES = 20
_FOLDS = 5
_ITERATIONS = 3000


@dataclass(frozen=True, slots=True, kw_only=True)
class Sparse:
    """A polynomial: ``intercept`` + columns · ``coefficients``."""

    coefficients: Array
    intercept: float

    def at(self, columns: Array) -> Array:
        found: Array = columns @ self.coefficients + self.intercept
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class NeuralPower:
    """The two polynomials.

    - ``seconds``, ``watts``: the polynomials.
    - ``watts_range``: the fitted powers; forecasts are clipped to it.
    """

    seconds: Sparse
    watts: Sparse
    watts_range: tuple[float, float]

    def predict(self, networks: NetworkFeatures) -> Array:
        watts = np.clip(self.watts.at(_power_columns(networks)), *self.watts_range)
        found: Array = self.seconds.at(_runtime_columns(networks)) * watts
        return found


def fit(networks: NetworkFeatures, truth: Truth, weight: Array) -> NeuralPower:
    """Fit both polynomials by Lasso with a cross-validated penalty; rows without seconds are left out.

    Raises MeasurementError where none has any.
    """
    timed = np.flatnonzero(np.isfinite(truth.seconds))
    if not timed.size:
        raise MeasurementError(
            "the rows have no measured seconds: a model of runtime needs rows with time_ms_per_forward"
        )
    kept, own, weight = networks.take(timed), truth.take(timed), weight[timed]
    watts = own.joules / own.seconds
    relative = weight / own.seconds
    seconds = _lasso(_runtime_columns(kept) * relative[:, None], own.seconds * relative, positive=True)
    power = _lasso(_power_columns(kept), watts, weight=weight**2)
    return NeuralPower(seconds=seconds, watts=power, watts_range=(float(watts.min()), float(watts.max())))


def _runtime_columns(networks: NetworkFeatures) -> Array:
    """Return, by layer type: the number of layers, sums of FLOPs, memory accesses and input size, and of their
    products."""
    pairs = np.stack([networks.products[:, :, one, other] for one, other in _PAIRS], axis=2)
    terms = [networks.counts[:, :, None], networks.sums[:, :, _FEATURES], pairs]
    return np.concatenate(terms, axis=2).reshape(networks.size, -1)


def _power_columns(networks: NetworkFeatures) -> Array:
    """Return logarithms of batch and the mean layer's FLOPs, bytes and input, and products, as power saturates."""
    sizes = networks.sums[:, :, _FEATURES].sum(axis=1) / networks.counts.sum(axis=1)[:, None]
    logs = np.log(np.maximum(np.column_stack([networks.batch_sizes.astype(float), sizes]), 1.0))
    pairs = combinations_with_replacement(range(logs.shape[1]), 2)
    return np.column_stack([logs, *(logs[:, one] * logs[:, other] for one, other in pairs)])


def _lasso(columns: Array, target: Array, *, positive: bool = False, weight: Array | None = None) -> Sparse:
    """Fit a sparse polynomial by Lasso.

    ``positive``: without negative coefficients and constant, for a runtime that is a sum over layers.
    """
    centre = np.zeros(columns.shape[1]) if positive else columns.mean(axis=0)
    spread = np.sqrt(np.mean((columns - centre) ** 2, axis=0))
    scale = np.where(spread > 0, spread, 1.0)
    model = LassoCV(
        alphas=_PENALTIES,
        cv=min(_FOLDS, target.size),
        positive=positive,
        fit_intercept=not positive,
        max_iter=_ITERATIONS,
        tol=1e-3,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a penalty that is too small to converge is not chosen
        model.fit((columns - centre) / scale, target, sample_weight=weight)
    coefficients = model.coef_ / scale
    return Sparse(coefficients=coefficients, intercept=float(model.intercept_ - centre @ coefficients))
