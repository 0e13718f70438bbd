"""Who is related to whom: what must not be fitted when a family is held out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache

import numpy as np

from joulecast.calibration import suite
from joulecast.calibration.fit.measured.table import Measured, Table
from joulecast.calibration.suite.index import committed
from joulecast.energy.features import Flags

UNSEEN_LLMS = "unseen language models"
"""The fold of the three that lend no layer to the sample; no decoder language model trains it."""

_LANGUAGE_MODEL_TOKENS = 512
"""What the suite feeds language models beside the 128 tokens of all text."""


@cache
def kin() -> Mapping[str, frozenset[str]]:
    """Each family and those that it shares more than half of its work with: docs/suite.md."""
    found: dict[str, set[str]] = {entry.family: {entry.family} for entry in suite.architectures()}
    for pair in committed().head["kinships"]:
        one, other = pair["families"]
        found[one].add(other)
        found[other].add(one)
    return {family: frozenset(related) for family, related in found.items()}


@cache
def language_models() -> frozenset[str]:
    """Families of decoders that read and write text, and the three that stay unseen."""
    return frozenset(
        entry.family
        for entry in suite.architectures()
        if entry.zero_shot or any(each.sequence_length == _LANGUAGE_MODEL_TOKENS for each in entry.workloads)
    )


@cache
def unseen_names() -> frozenset[str]:
    return frozenset(entry.name for entry in suite.architectures() if entry.zero_shot)


def fold_of(row: Measured) -> str:
    """The fold that a row is scored in: its family, or that of the unseen language models. A layer of many families is
    scored once, with the first."""
    if row.name in unseen_names():
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


def scored(table: Table, fold: str) -> Flags:
    """(size,) rows that are scored with ``fold``."""
    return np.array([fold_of(row) == fold for row in table.rows], dtype=bool)
