"""Fit coefficients on single operators: time from latency tables, energy from the upper mode of board power."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import least_squares

from joulecast.energy.features import Array
from joulecast.energy.physical import Chip, busy
from joulecast.energy.profile import Host, Law
from joulecast_calibration.fit.coefficients import Coefficient, Laws
from joulecast_calibration.rows.operators import OperatorRows

_LOOSE = 3.0  # spread of a coefficient that thousands of rows decide: no prior to speak of
_ROBUST = 0.1  # log residuals beyond it count linearly: tables hold outliers
_SHARE_PULL = 0.05
"""Prior of both shares: 1, a part that alone fills the limit at its full rate. Capped rows only bound a share from
below; this keeps it near."""
_NO_HOST = Host(kernel_seconds=0.0, view_seconds=0.0, module_call_seconds=0.0, forward_seconds=0.0, measured_on="")


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerShares:
    """Board power of products as shares of the power limit: at rest, at the peak FLOP rate, at the full bandwidth."""

    static: float
    compute: float
    memory: float

    def watts(self, rows: OperatorRows, chip: Chip, arithmetic: int) -> Array:
        """Forecast the power of each row, capped at the limit, from its measured time."""
        shares = np.array([self.static, self.compute, self.memory])
        watts: Array = np.minimum(_rates(rows, chip, arithmetic) @ shares, 1.0) * chip.power_limit_watts
        return watts


def fit_latency(law: Law, chip: Chip, rows: OperatorRows, paths: Sequence[str]) -> Law:
    """Fit the coefficients of ``law`` at ``paths`` (fields of ``Law``) to the rows' seconds.

    The clock is the one that the card chose.
    """
    start = Laws(law=law, host=_NO_HOST, unknown=())
    centres = {f"law.{path}": start.value(f"law.{path}") for path in paths}
    unknown = [Coefficient(path=path, centre=centre or 1.0, spread=_LOOSE) for path, centre in centres.items()]
    laws = replace(start, unknown=tuple(unknown))
    measured, clock = np.log(rows.seconds), np.ones_like(rows.seconds)

    def residuals(vector: Array) -> Array:
        return np.log(busy(rows.table, laws.at(vector)[0], chip, clock).seconds) - measured

    lower, upper = laws.centre - _LOOSE, np.minimum(laws.centre + _LOOSE, laws.highest)
    found = least_squares(residuals, laws.start, loss="soft_l1", f_scale=_ROBUST, bounds=(lower, upper), max_nfev=60)
    return laws.at(found.x)[0]


def fit_power(rows: OperatorRows, chip: Chip, arithmetic: int, rest_share: float) -> PowerShares:
    """Fit the shares of compute and memory above ``rest_share`` so that their capped sum comes nearest to the watts.

    The power at rest is given, not fitted: kernels long enough for the meter all draw most of the limit, so their power
    alone does not determine it.
    """

    pull = _SHARE_PULL * np.sqrt(rows.seconds.size)

    def residuals(logarithms: Array) -> Array:
        compute, memory = np.exp(logarithms).tolist()
        shares = PowerShares(static=rest_share, compute=compute, memory=memory)
        return np.concatenate([power_errors(shares, rows, chip, arithmetic), pull * logarithms])

    found = least_squares(residuals, np.log([0.5, 0.5]), bounds=(np.log(0.05), np.log(5.0)))
    compute, memory = np.exp(found.x).tolist()
    return PowerShares(static=rest_share, compute=compute, memory=memory)


def power_errors(shares: PowerShares, rows: OperatorRows, chip: Chip, arithmetic: int) -> Array:
    """Return the logarithm of forecast over measured watts, (rows,)."""
    if rows.watts is None:
        raise ValueError("these rows carry no power")
    errors: Array = np.log(shares.watts(rows, chip, arithmetic) / rows.watts)
    return errors


def mean_shares(found: Mapping[str, PowerShares]) -> PowerShares:
    """Return the mean over the cards, each card counted once."""
    values = np.array([[entry.static, entry.compute, entry.memory] for entry in found.values()])
    static, compute, memory = values.mean(axis=0).tolist()
    return PowerShares(static=static, compute=compute, memory=memory)


def _rates(rows: OperatorRows, chip: Chip, arithmetic: int) -> Array:
    """Return one, the share of the peak FLOP rate and the share of the bandwidth of each row, (rows, 3)."""
    flops = rows.table.flops / rows.seconds / chip.peak_flops[arithmetic]
    moved = rows.table.bytes / rows.seconds / chip.bandwidth_bytes_per_second
    return np.stack([np.ones_like(flops), flops, moved], axis=1)
