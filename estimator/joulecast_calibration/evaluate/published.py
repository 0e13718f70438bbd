"""Make the forecasts of networks that others measured.

The splits leave out families or architectures, train without language models or on vision alone, transfer from other
cards, or score fitted rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from joulecast.energy.datasheets import DataSheet
from joulecast.energy.features import Array, Index
from joulecast_calibration.evaluate.contenders import SYSTEMS, Trial, in_sample, published_contenders
from joulecast_calibration.evaluate.evaluation import (
    ARCHITECTURE,
    FAMILY,
    VISION_TRAINED,
    ZERO_SHOT,
    ScoredForecasts,
    Unscored,
)
from joulecast_calibration.evaluate.families import families
from joulecast_calibration.evaluate.transfer import transferred_set
from joulecast_calibration.fit.cards import problem_of
from joulecast_calibration.fit.crossvalidation import each_left_out, nested
from joulecast_calibration.fit.table import table_of_set
from joulecast_calibration.rows.networks import NetworkSet
from joulecast_calibration.suite.lineage import is_language_model, task_of

FEWEST_GROUPS = 3
"""Fewest groups: one is left out, another one for the interval, and one is fitted."""


def evaluate_set(folder: Path, sheet: DataSheet, found: NetworkSet) -> Iterator[ScoredForecasts | Unscored]:
    """Yield all results that the rows of ``found``, on the card of ``sheet``, allow."""
    problem, table = problem_of(folder, sheet), table_of_set(found.rows, found.truth, lacks=sheet.lacks)
    contenders = published_contenders(problem, found.rows, table)
    trial = Trial(found.name, found.rows, table.joules, table.is_network, contenders)
    kin = np.array(families(found.rows))
    by_architecture = list(_left_out(trial, ARCHITECTURE, trial.architectures, "architectures"))
    yield from by_family(trial, kin, by_architecture)
    yield from by_architecture
    yield from zero_shot(trial, kin)
    yield from vision_trained(trial)
    yield from transferred_set(folder, sheet, table, trial)
    yield from in_sample(trial)


def by_family(
    trial: Trial, kin: Array, by_architecture: Sequence[ScoredForecasts | Unscored]
) -> Iterator[ScoredForecasts | Unscored]:
    """Forecast each family by a fit of the others.

    Where every architecture is a family of its own, the existing forecasts are used. ``kin`` (size,): the family of
    each row.
    """
    if len(set(zip(trial.architectures, kin, strict=True))) == len(set(kin)):
        yield from (replace(outcome, split=FAMILY) for outcome in by_architecture)
        return
    yield from _left_out(trial, FAMILY, kin, "families")


def _left_out(trial: Trial, split: str, groups: Array, called: str) -> Iterator[ScoredForecasts | Unscored]:
    """Forecast every group by a fit of the others, with an interval from nested cross-validation."""
    if len(set(groups.tolist())) < FEWEST_GROUPS:
        yield trial.unscored(split, f"fewer than three {called}")
        return
    everything = np.arange(groups.size)
    made = [
        trial.forecasts(split, contender.name, *each_left_out(contender.refits, groups, trial.truth, everything))
        for contender in trial.contenders
    ]
    yield from made
    yield from _absent(trial, split, made, "not every row has seconds")


def _absent(trial: Trial, split: str, made: Sequence[ScoredForecasts], why: str) -> Iterator[Unscored]:
    lacking = [name for name in SYSTEMS if name not in {forecasts.system for forecasts in made}]
    if lacking:
        yield trial.unscored(split, f"{', '.join(lacking)}: {why}")


def zero_shot(trial: Trial, kin: Array) -> Iterator[ScoredForecasts]:
    """Forecast every language model that generates text by a fit that saw none of them."""
    generates = np.array([is_language_model(name) for name in trial.architectures.tolist()])
    train, test = np.flatnonzero(~generates), np.flatnonzero(generates)
    yield from _study(trial, FAMILY, kin, train, test, ZERO_SHOT)


def vision_trained(trial: Trial) -> Iterator[ScoredForecasts]:
    """Forecast all networks by fits of vision networks alone: vision by other groups, the rest by all of vision."""
    sees = np.array([task_of(row) == "vision" for row in trial.rows])
    train, test = np.flatnonzero(sees), np.flatnonzero(~sees)
    yield from _study(trial, ARCHITECTURE, trial.architectures, train, test, VISION_TRAINED, of_train=True)


def _study(
    trial: Trial, split: str, groups: Array, train: Index, test: Index, study: str, *, of_train: bool = False
) -> Iterator[ScoredForecasts]:
    """Forecast the rows ``test``; ``of_train``: also the rows of the fit, each group by a fit of the others."""
    if not test.size or len(set(groups[train].tolist())) < FEWEST_GROUPS:
        return
    for contender in trial.contenders:
        joules, width = np.full(groups.size, np.nan), np.full(groups.size, np.nan)
        joules[test], width[test] = nested(contender.refits, groups, trial.truth, train, test)
        if of_train:
            joules[train], width[train] = each_left_out(contender.refits, groups, trial.truth, train)
        yield trial.forecasts(split, contender.name, joules, width, study)
