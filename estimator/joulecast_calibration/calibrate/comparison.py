"""Decide by held-out rows, and a stated bound, whether a new profile replaces the old one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from joulecast.accelerators.superiority import bound
from joulecast.energy.profile import AcceleratorProfile, refuse_simulated
from joulecast.errors import NotCalibratedError
from joulecast_calibration.fit.heldout import FEWEST_FOLDS, OutOfFoldForecasts, percent_errors
from joulecast_calibration.fit.search import forecast_by


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Median errors, as shares, of two profiles on the same ``rows``.

    - ``better``: whether the new profile replaces the old one.
    - ``says``: the reason, in one sentence.
    - errors are None where there is no forecast.
    """

    better: bool
    says: str
    new_median_ape: float | None = None
    old_median_ape: float | None = None
    rows: int = 0


def compare(held: OutOfFoldForecasts, old: AcceleratorProfile | None) -> Comparison:
    """Compare forecasts of fits that did not see the row's family, ``held``, with those of the old profile.

    The old profile may have been fitted on these rows, which is in its favour.
    """
    if old is None:
        return Comparison(better=True, says="no old profile was given")
    try:
        refuse_simulated(old)
    except NotCalibratedError:
        return Comparison(better=True, says="the old profile was fitted on a simulated device")
    kept = held.scored
    if len(held.by_fold()) < FEWEST_FOLDS:
        return Comparison(
            better=False, says=f"too few families were measured to tell: {len(held.by_fold())} of {FEWEST_FOLDS}"
        )
    table = held.table.take(kept)
    new = float(np.median(percent_errors(held.joules[kept], table.joules)))
    with np.errstate(all="ignore"):  # an old profile may lack an arithmetic's peak: its error is then infinite
        before = float(np.median(percent_errors(forecast_by(old, table), table.joules)))
    return _judged(new, before, int(kept.sum()))


def _judged(new: float, old: float, rows: int) -> Comparison:
    if not np.isfinite(old):
        says = f"the old profile cannot forecast half of the {rows} held-out rows"
        return Comparison(better=True, says=says, new_median_ape=new, rows=rows)
    better = bool(new <= old - bound(old))
    verb = "is" if better else "is not"
    says = (
        f"its median error on {rows} held-out rows, {100 * new:.1f} %, {verb} at least {100 * bound(old):.1f} points"
        f" below the old profile's {100 * old:.1f} %"
    )
    return Comparison(better=better, says=says, new_median_ape=new, old_median_ape=old, rows=rows)
