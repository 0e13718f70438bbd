"""Forecast rows whose family was left out of the fit, and compute the errors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from joulecast.energy.features import Array, Flags
from joulecast.energy.interval import MINIMUM_GROUPS
from joulecast.energy.profile import Interval
from joulecast_calibration.fit.crossvalidation import (
    LEVEL,
    UNSEEN_LLMS,
    by_group,
    fold_names,
    fold_of,
    interval_width,
    left_out,
    strict_folds,
    widths_of_others,
)
from joulecast_calibration.fit.prior import Prior
from joulecast_calibration.fit.search import SearchResult, law_refits
from joulecast_calibration.fit.table import Table

FEWEST_FOLDS = 3
"""Fewest folds for statements about families that were not measured."""
_NOT_NETWORKS = 0.25
"""Log half-width that is added where no network was measured: what a profile adds for rows without joules (ADR
0042)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutOfFoldForecasts:
    """ScoredForecasts of left-out rows.

    - ``joules``, ``seconds``: (size,) of each row by a fit without its family, nan where no fit could be made.
    - ``fold``: (size,) name of the fold that was left out with the row.
    - ``networks``: whether networks are scored, else layers.
    """

    table: Table
    fold: tuple[str, ...]
    joules: Array
    seconds: Array
    networks: bool

    @property
    def scored(self) -> Flags:
        """Return the rows (size,) that the figures describe."""
        kind = self.table.is_network if self.networks else ~self.table.is_network
        flags: Flags = kind & np.isfinite(self.joules)
        return flags

    @property
    def log_errors(self) -> Array:
        """Return the logarithm of forecast over truth, (size,)."""
        errors: Array = np.log(self.joules / self.table.joules)
        return errors

    def by_fold(self) -> dict[str, Array]:
        """Return the log errors of the scored rows, by fold."""
        return by_group(self.log_errors[self.scored], np.array(self.fold)[self.scored])


def leave_families_out(
    prior: Prior, table: Table, whole: SearchResult, *, advanced: Callable[[float], None] = lambda _: None
) -> OutOfFoldForecasts:
    """Forecast each family's rows by a fit of the rows that are not related to it.

    ``advanced`` is called with the share that is done.
    """
    cut = strict_folds(table, family_names(table))
    every = np.ones(table.size, dtype=bool)
    found = left_out(law_refits(prior, table, whole, seconds=True), cut, every, shape=(2,), advanced=advanced)
    return OutOfFoldForecasts(
        table=table,
        fold=tuple(fold_of(row) for row in table.rows),
        joules=found[0],
        seconds=found[1],
        networks=bool(table.is_network.any()) and _by_network(table),
    )


def family_names(table: Table) -> tuple[str, ...]:
    """Return the families to leave out in turn: those of networks, or of all rows where networks have too few."""
    by_network = _by_network(table)
    return fold_names(row for row in table.rows if row.is_network or not by_network)


def _by_network(table: Table) -> bool:
    return len(fold_names(row for row in table.rows if row.is_network)) >= FEWEST_FOLDS


def percent_errors(joules: Array, truth: Array) -> Array:
    """Return |forecast ÷ truth − 1| as a share, (rows,)."""
    errors: Array = np.abs(joules / truth - 1)
    return errors


def figures(held: OutOfFoldForecasts) -> dict[str, float]:
    """Return errors as shares: of the scored rows, of each task, and of the unseen language models.

    Empty where too few families were left out.
    """
    groups = held.by_fold()
    if len(groups) < FEWEST_FOLDS:
        return {}
    errors = percent_errors(held.joules, held.table.joules)
    kept = held.scored
    found = _summary(errors[kept]) | {
        "rows": float(kept.sum()),
        "families": float(len(groups)),
        "interval_coverage": nested_coverage(held),
        "seconds_median_ape": float(np.median(percent_errors(held.seconds, held.table.seconds)[kept])),
    }
    tasks = np.array([row.task for row in held.table.rows])
    for task in sorted(set(tasks[kept].tolist()) - {""}):
        found |= {f"{task}_{name}": value for name, value in _summary(errors[kept & (tasks == task)]).items()}
    unseen = kept & (np.array(held.fold) == UNSEEN_LLMS)
    if unseen.any():
        found |= {f"unseen_llms_{name}": value for name, value in _summary(errors[unseen]).items()}
    return found


def _summary(errors: Array) -> dict[str, float]:
    return {
        "median_ape": float(np.median(errors)),
        "mean_ape": float(errors.mean()),
        "max_ape": float(errors.max()),
    }


def nested_coverage(held: OutOfFoldForecasts) -> float:
    """Return the share of the scored rows within the width that the other families' errors give."""
    groups = held.by_fold()
    widths = widths_of_others(groups, groups)
    inside = [np.abs(errors) <= widths[fold] for fold, errors in groups.items()]
    return float(np.concatenate(inside).mean())


def interval_of(held: OutOfFoldForecasts, known: Interval) -> Interval:
    """Derive the interval from the errors on left-out families.

    Where these are too few, return ``known``, the interval from before the measurement.
    """
    groups = held.by_fold()
    if len(groups) < FEWEST_FOLDS:
        return replace(known, guaranteed=False, rule=f"as before it was measured, for too few families: {known.rule}")
    width = interval_width(groups)
    if not held.networks:
        width = float(np.hypot(width, _NOT_NETWORKS))
    enough = len(groups) >= MINIMUM_GROUPS
    return Interval(
        level=LEVEL,
        log_half_width=width,
        groups=len(groups),
        guaranteed=enough and held.networks,
        rule=_rule(enough=enough, networks=held.networks),
        coverage=nested_coverage(held),
    )


def _rule(*, enough: bool, networks: bool) -> str:
    what = "networks" if networks else "layers"
    rule = (
        f"split-conformal over families of {what} left out of the fit"
        if enough
        else f"not guaranteed: quantile of errors on families of {what} left out of the fit, families weighing half way"
        " between rows and families"
    )
    return rule if networks else f"{rule}; no network was measured, so what layers do not tell is added"
