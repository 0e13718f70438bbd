"""Solve least squares: ordinary, and of relative errors with coefficients that cannot be negative."""

from __future__ import annotations

import numpy as np
from scipy.optimize import nnls

from joulecast.energy.features import Array


def nonnegative(columns: Array, target: Array, weight: Array) -> Array:
    """Return the coefficients ≥ 0 (columns,) for which ``columns`` (rows, columns) come nearest to ``target`` (rows,).

    Errors are shares of the target, because joules span three orders of magnitude and small networks count as much as
    large ones.
    """
    relative = columns * (weight / target)[:, None]
    if not np.isfinite(relative).all():
        raise ValueError("columns, targets and weights must be finite, and no target 0")  # scipy's nnls would abort
    scale = np.linalg.norm(relative, axis=0)
    kept = scale > 0
    found = np.zeros(columns.shape[1])
    found[kept] = nnls(relative[:, kept] / scale[kept], weight, maxiter=100 * columns.shape[1])[0] / scale[kept]
    return found


def ordinary(columns: Array, target: Array) -> Array:
    """Return the coefficients (columns,) for which ``columns`` (rows, columns) come nearest to ``target`` (rows,).

    Where several solutions are equally near, return the smallest one.
    """
    found: Array = np.linalg.lstsq(columns, target, rcond=1e-9)[0].astype(np.float64)
    return found
