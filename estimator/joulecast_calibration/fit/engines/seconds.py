"""Fit the coefficients of one kind of kernel on one card to the seconds of its table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import least_squares

from joulecast.energy.engines.coefficients import KernelLaw
from joulecast.energy.engines.law import Limits, seconds_of
from joulecast.energy.engines.table import passes_of
from joulecast.energy.features import Array
from joulecast_calibration.fit.engines.kinds import BOUNDS
from joulecast_calibration.rows.engines.timed import ENGINE, Timed

_MOST = 2500  # measurements of a fit: more do not move an error in its first decimal
_ROBUST = 0.1  # log residuals beyond it count linearly: tables hold outliers
_PRIOR_SPREAD = 3.0  # of a coefficient's logarithm: next to no prior, but a table need not tell every one
_EVALUATIONS = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """Errors of forecast seconds on measurements that the fit did not see, as shares."""

    median: float
    mean: float
    measurements: int


def fit_kind(
    kind: str,
    rows: Timed,
    limits: Limits,
    kernels: Mapping[str, KernelLaw],
    start: KernelLaw,
    free: tuple[str, ...],
) -> KernelLaw:
    """Return ``start`` with its ``free`` coefficients fitted to the measurements that are not held out.

    ``kernels``: the coefficients of other kinds, which may have a part in a measurement.
    """
    seen = rows.take(~rows.held).thinned(_MOST)
    passes, measured = passes_of(seen.passes, ENGINE), np.log(seen.seconds)
    lower, upper = np.log([BOUNDS[name] for name in free]).T
    centre = np.log([getattr(start, name) for name in free])
    pull = 1 / _PRIOR_SPREAD / np.sqrt(measured.size)

    def law(vector: Array) -> KernelLaw:
        return replace(start, **dict(zip(free, np.exp(vector).tolist(), strict=True)))

    def residuals(vector: Array) -> Array:
        own = seconds_of(passes.table, {**kernels, kind: law(vector)}, limits)
        off = np.log(passes.sum(own)) - measured
        return np.concatenate([off / np.sqrt(measured.size), pull * (vector - centre)])

    found = least_squares(
        residuals,
        np.clip(centre, lower + 1e-3, upper - 1e-3),
        bounds=(lower, upper),
        loss="soft_l1",
        f_scale=_ROBUST / np.sqrt(measured.size),
        max_nfev=_EVALUATIONS,
    )
    return law(found.x)


def held_out(rows: Timed, limits: Limits, kernels: Mapping[str, KernelLaw]) -> HeldOut | None:
    """Return the errors of ``kernels`` on the held-out measurements, None where there are none."""
    unseen = rows.take(rows.held)
    if not unseen.passes:
        return None
    passes = passes_of(unseen.passes, ENGINE)
    forecast = passes.sum(seconds_of(passes.table, kernels, limits))
    off = np.abs(forecast / unseen.seconds - 1)
    return HeldOut(median=float(np.median(off)), mean=float(off.mean()), measurements=off.size)
