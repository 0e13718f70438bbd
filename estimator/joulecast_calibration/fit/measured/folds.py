"""What is left out of a fit together with what: splits of measured rows into scored ones and those that may be
fitted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from joulecast.energy.features import Flags
from joulecast_calibration.fit.measured.table import Measured, Table
from joulecast_calibration.suite.lineage import kin, language_models, zero_shot_names

UNSEEN_LLMS = "unseen language models"
"""The fold of the three that lend no layer to the sample; no decoder language model trains it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fold:
    """``scored``, ``trains``: (size,) rows of a table that are forecast, and those that this may be fitted on."""

    name: str
    scored: Flags
    trains: Flags


def fold_of(row: Measured) -> str:
    """The fold that a row is scored in: its family, or that of the unseen language models. A layer of many families is
    scored once, with the first."""
    if row.name in zero_shot_names():
        return UNSEEN_LLMS
    return row.families[0] if row.families else row.name


def folds(rows: Iterable[Measured]) -> tuple[str, ...]:
    return tuple(sorted({fold_of(row) for row in rows}))


def held_with(fold: str) -> frozenset[str]:
    """Every family that the fold must not be trained on."""
    if fold == UNSEEN_LLMS:
        return language_models()
    return kin().get(fold, frozenset({fold}))


def trains(table: Table, fold: str) -> Flags:
    """(size,) rows that may be fitted when ``fold`` is held out: no network of it or its kin, no layer configuration
    that occurs in any of them, and nothing that is scored in it."""
    held = held_with(fold)
    return np.array([not held & set(row.families) and fold_of(row) != fold for row in table.rows], dtype=bool)


def trains_loosely(table: Table, fold: str) -> Flags:
    """As ``trains``, but layer configurations that other families have too are fitted."""
    held = held_with(fold)
    return np.array([not _loosely_held(row, held) and not _scored_network(row, fold) for row in table.rows], dtype=bool)


def _loosely_held(row: Measured, held: frozenset[str]) -> bool:
    families = set(row.families)
    return bool(held & families) if row.is_network else bool(families) and families <= held


def _scored_network(row: Measured, fold: str) -> bool:
    return row.is_network and fold_of(row) == fold


def scored(table: Table, fold: str) -> Flags:
    """(size,) rows that are scored with ``fold``."""
    return np.array([fold_of(row) == fold for row in table.rows], dtype=bool)


def strict_folds(table: Table, names: Iterable[str]) -> tuple[Fold, ...]:
    return tuple(Fold(name=name, scored=scored(table, name), trains=trains(table, name)) for name in names)


def loose_folds(table: Table, names: Iterable[str]) -> tuple[Fold, ...]:
    """Of networks alone: a layer that is fitted cannot be scored."""
    networks = table.is_network
    return tuple(
        Fold(name=name, scored=scored(table, name) & networks, trains=trains_loosely(table, name)) for name in names
    )
