"""Cross-validate: forecast rows by fits that did not see them, and derive intervals from the errors of other fits.

A fold of measured rows, or a group of a published set, is left out together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from threadpoolctl import threadpool_limits

from joulecast.energy.features import Array, Flags, Index
from joulecast.energy.interval import MINIMUM_GROUPS, group_weighted_quantile, split_conformal
from joulecast_calibration.fit.table import Measured, Table
from joulecast_calibration.rows.journals import FEWEST_ROWS
from joulecast_calibration.suite.lineage import kin, language_models, zero_shot_names

LEVEL = 0.9
SIZE_POWER = 0.5
"""Groups weigh in an interval as architectures do in the fit: half way between one a row and one a group (ADR 0043)."""

UNSEEN_LLMS = "unseen language models"
"""Fold of the three models that contribute no layer to the sample; decoder language models are not fitted for it."""


Forecast = Callable[[Index], Array]
"""Joules of rows by their positions, (rows,), or several quantities, (quantities, rows)."""


@dataclass(frozen=True, slots=True)
class Refits:
    """Fits on subsets of the rows; every fit is made once.

    - ``fit``: takes positions of rows and returns the forecast of the fit on them.
    """

    fit: Callable[[Index], Forecast]
    _made: dict[bytes, Forecast] = field(default_factory=dict)

    def fitted(self, kept: Index) -> Forecast:
        """Return the fit on the rows ``kept``, in their order."""
        key = np.sort(kept).tobytes()
        if key not in self._made:
            self._made[key] = self.fit(np.sort(kept))
        return self._made[key]


def interval_width(errors: dict[str, Array]) -> float:
    """Return the log half-width at ``LEVEL`` from log errors by group.

    Split-conformal over groups from nine groups on, else group-weighted.
    """
    scores = {name: np.abs(values) for name, values in errors.items()}
    if len(scores) >= MINIMUM_GROUPS:
        return split_conformal(np.array([np.quantile(values, LEVEL) for values in scores.values()]), LEVEL)
    groups = [name for name, values in scores.items() for _ in values]
    return group_weighted_quantile(np.concatenate(list(scores.values())), groups, LEVEL, size_power=SIZE_POWER)


def by_group(values: Array, names: Array) -> dict[str, Array]:
    """Split ``values`` (rows,) by their names (rows,), in order of the names."""
    return {name: values[names == name] for name in sorted(set(names.tolist()))}


def nested(refits: Refits, groups: Array, truth: Array, train: Index, test: Index) -> tuple[Array, float]:
    """Forecast the rows ``test`` by a fit on ``train``, and derive the interval from nested fits.

    Returns the joules, and the log half-width from fits that leave out each group of ``train`` in turn. ``groups`` and
    ``truth``: (rows,) of the whole set.
    """
    errors = {}
    for name in sorted(set(groups[train].tolist())):
        inner, out = train[groups[train] != name], train[groups[train] == name]
        errors[name] = np.log(refits.fitted(inner)(out) / truth[out])
    return refits.fitted(train)(test), interval_width(errors)


def each_left_out(refits: Refits, groups: Array, truth: Array, among: Index) -> tuple[Array, Array]:
    """Forecast each group of the rows ``among`` by a fit on the others; return joules and log half-widths, (among,)
    each."""
    joules, width = np.zeros(among.size), np.zeros(among.size)
    for name in sorted(set(groups[among].tolist())):
        own = groups[among] == name
        joules[own], width[own] = nested(refits, groups, truth, among[~own], among[own])
    return joules, width


@dataclass(frozen=True, slots=True, kw_only=True)
class Fold:
    """Rows that are left out of a fit together.

    - ``scored``: (size,) rows of a table that are forecast.
    - ``trains``: (size,) rows that the fit may use.
    """

    name: str
    scored: Flags
    trains: Flags


def left_out(
    refits: Refits,
    folds: Sequence[Fold],
    among: Flags,
    *,
    shape: tuple[int, ...] = (),
    advanced: Callable[[float], None] = lambda _: None,
) -> Array:
    """Forecast every row that a fold scores by a fit on that fold's training rows, (*shape, size).

    Nan where no fold scores the row or too few rows are left to fit. ``among`` (size,): rows that may be fitted.
    ``advanced`` is called with the share that is done.
    """
    found = np.full((*shape, among.size), np.nan)
    with threadpool_limits(limits=1):  # tall and narrow matrices: threads spend their time waiting
        for done, fold in enumerate(folds):
            kept = fold.trains & among
            if kept.sum() >= FEWEST_ROWS and fold.scored.any():
                found[..., fold.scored] = refits.fitted(np.flatnonzero(kept))(np.flatnonzero(fold.scored))
            advanced((done + 1) / len(folds))
    return found


def widths_of_others(errors: Mapping[str, Array], names: Iterable[str]) -> dict[str, float]:
    """Return the log half-width for each of ``names`` from the errors of the other groups; omit it without others."""
    others = {name: {other: values for other, values in errors.items() if other != name} for name in names}
    return {name: interval_width(rest) for name, rest in others.items() if rest}


def fold_of(row: Measured) -> str:
    """Return the fold that a row is scored in: its family, or that of the unseen language models.

    A layer of several families is scored once, with the first.
    """
    if row.name in zero_shot_names():
        return UNSEEN_LLMS
    return row.families[0] if row.families else row.name


def fold_names(rows: Iterable[Measured]) -> tuple[str, ...]:
    return tuple(sorted({fold_of(row) for row in rows}))


def held_with(fold: str) -> frozenset[str]:
    """Return every family that the fold must not be trained on."""
    if fold == UNSEEN_LLMS:
        return language_models()
    return kin().get(fold, frozenset({fold}))


def trains(table: Table, fold: str) -> Flags:
    """Return the rows (size,) that may be fitted when ``fold`` is left out.

    These exclude networks of the fold and its relatives, layer configurations that occur in any of them, and everything
    that is scored in the fold.
    """
    held = held_with(fold)
    return np.array([not held & set(row.families) and fold_of(row) != fold for row in table.rows], dtype=bool)


def trains_loosely(table: Table, fold: str) -> Flags:
    """Return the training rows as ``trains`` does, but keep layer configurations that other families have too."""
    held = held_with(fold)
    only_held = np.array([bool(row.families) and held.issuperset(row.families) for row in table.rows], dtype=bool)
    return np.where(table.is_network, trains(table, fold), ~only_held)


def scored(table: Table, fold: str) -> Flags:
    """Return the rows (size,) that are scored with ``fold``."""
    return np.array([fold_of(row) == fold for row in table.rows], dtype=bool)


def strict_folds(table: Table, names: Iterable[str]) -> tuple[Fold, ...]:
    return tuple(Fold(name=name, scored=scored(table, name), trains=trains(table, name)) for name in names)


def loose_folds(table: Table, names: Iterable[str]) -> tuple[Fold, ...]:
    """Return loose folds of networks alone, because a fitted layer cannot be scored."""
    networks = table.is_network
    return tuple(
        Fold(name=name, scored=scored(table, name) & networks, trains=trains_loosely(table, name)) for name in names
    )
