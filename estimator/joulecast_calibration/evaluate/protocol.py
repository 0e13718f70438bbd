"""Which forecasts are made of a data folder's sets: leave-family-out, leave-architecture-out, transferred,
in-sample."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from joulecast.energy.datasheets import DataSheet
from joulecast.energy.features import Array, Index
from joulecast.energy.names import could_be, sheet_named
from joulecast.errors import MeasurementError
from joulecast_calibration.evaluate.contenders import (
    PHYSICAL,
    SYSTEMS,
    Contender,
    contenders,
    each_left_out,
    nested,
)
from joulecast_calibration.evaluate.evaluation import (
    ARCHITECTURE,
    FAMILY,
    IN_SAMPLE,
    TRANSFERRED,
    VISION_TRAINED,
    ZERO_SHOT,
    Evaluation,
    LearningScore,
    MeasuredSet,
    NoiseScore,
    OpTypeScore,
    Unscored,
)
from joulecast_calibration.evaluate.families import families
from joulecast_calibration.evaluate.measured.folder import NamedJournal, find_journals, read_journals
from joulecast_calibration.evaluate.measured.protocol import Outcome, evaluate_journal
from joulecast_calibration.evaluate.scores import Forecasts, scores
from joulecast_calibration.evaluate.thirdcard import third_card_power
from joulecast_calibration.evaluate.transfer import transferred
from joulecast_calibration.fit.cards import problem_of
from joulecast_calibration.fit.holdout import Problem, leave_one_architecture_out
from joulecast_calibration.rows.networks import FILE_NAME, LIMIT, NetworkSet, find_sets, read_set
from joulecast_calibration.suite.lineage import is_language_model, task_of

_Kind = TypeVar("_Kind")
FEWEST_GROUPS = 3
"""Leaving one out, and in turn another for the interval, must leave one to fit."""


def evaluate(folder: Path, *, measured_only: bool = False) -> Evaluation:
    """Score every set of ``folder``: tables of networks, and journals of ``joulecast measure``. ``measured_only``:
    refuse rows of a simulated device, wherever they are allowed.

    Raises MeasurementError if it holds none that can be read, or some that are refused.
    """
    paths, journals = find_sets(folder), find_journals(folder)
    if not paths and not journals:
        raise MeasurementError(
            f"{folder} holds no folder with a {FILE_NAME} or with journals (*.jsonl): name the folder that holds the"
            " data sets"
        )
    read = [found for path in journals for found in read_journals(path)]
    if measured_only:
        _refuse_simulated(read)
    alone = len(paths) == 1 and not journals
    outcomes: list[Outcome] = [outcome for found in _sets(paths, alone=alone) for outcome in _of_one(folder, found)]
    for each in read:
        outcomes += evaluate_journal(folder, each) if isinstance(each, NamedJournal) else [each]
    forecasts = _only(Forecasts, outcomes)
    return Evaluation(
        results=tuple(line for found in forecasts for line in scores(found)),
        unscored=_only(Unscored, outcomes),
        forecasts=forecasts,
        measured=_only(MeasuredSet, outcomes),
        op_types=_only(OpTypeScore, outcomes),
        learning=_only(LearningScore, outcomes),
        noise=_only(NoiseScore, outcomes),
        third_card=tuple(third_card_power(folder)),
    )


def _only(kind: type[_Kind], outcomes: Sequence[Outcome]) -> tuple[_Kind, ...]:
    return tuple(outcome for outcome in outcomes if isinstance(outcome, kind))


def _refuse_simulated(read: Sequence[NamedJournal | Unscored]) -> None:
    for each in read:
        if isinstance(each, NamedJournal) and each.journal.simulated:
            raise MeasurementError(
                f"{each.name}: the accuracy page is not written from rows that nobody measured: leave out --page, or"
                " take the folder out"
            )


def _sets(paths: Sequence[Path], *, alone: bool) -> Iterator[NetworkSet | Unscored]:
    """The sets of ``paths``; of a file that cannot be read why, unless it is all there is: ``alone``."""
    for path in paths:
        try:
            yield from read_set(path)
        except MeasurementError as error:
            if alone:
                raise
            lines = (path / FILE_NAME).read_bytes().count(b"\n")
            yield Unscored(set=path.name, split="all", reason=str(error), n=max(lines - 1, 0))


def _of_one(folder: Path, found: NetworkSet | Unscored) -> Iterator[Forecasts | Unscored]:
    if isinstance(found, Unscored):
        yield found
        return
    yield from (Unscored(set=found.name, split="all", reason=why, n=n) for why, n in found.unscored)
    if not found.rows:
        return
    sheet = sheet_named(found.gpu)
    lacking = _lacking(sheet, found)
    if sheet is None or lacking:
        yield Unscored(set=found.name, split="all", reason=lacking, n=len(found.rows))
        return
    yield from _of_set(folder, sheet, found)


def _lacking(sheet: DataSheet | None, found: NetworkSet) -> str:
    """What a forecast of the set needs and nobody states."""
    if sheet is None:
        several = could_be(found.gpu)
        if several:
            return f"{several}: name one in column gpu, or its power limit in column {LIMIT}"
        return f"{found.gpu}: its limits are not known"
    locked = sheet.boost_clock_mhz is None and any(row.clock_mhz for row in found.rows)
    missing = sheet.missing or (("a boost clock",) if locked else ())
    return f"{found.gpu}: no trusted source states {' or '.join(missing)}" if missing else ""


@dataclass(frozen=True, slots=True)
class Trial:
    """A set and what fits of it need. ``kin``: families that stand together; all (rows,)."""

    found: NetworkSet
    problem: Problem
    contenders: tuple[Contender, ...]
    names: Array
    kin: Array
    everything: Index = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "everything", np.arange(len(self.found.rows)))

    def forecasts(self, split: str, system: str, joules: Array, width: Array, of: Index, study: str = "") -> Forecasts:
        return Forecasts(
            set=self.found.name,
            split=split,
            system=system,
            rows=tuple(self.found.rows[position] for position in of.tolist()),
            joules=joules,
            truth=self.found.truth.joules[of],
            log_half_width=width,
            study=study,
        )


def _of_set(folder: Path, sheet: DataSheet, found: NetworkSet) -> Iterator[Forecasts | Unscored]:
    problem = problem_of(folder, sheet)
    trial = Trial(
        found,
        problem,
        contenders(problem, found),
        np.array([row.architecture for row in found.rows]),
        np.array(families(found.rows)),
    )
    by_architecture = list(_left_out(trial, ARCHITECTURE, trial.names, "architectures"))
    yield from _by_family(trial, by_architecture)
    yield from by_architecture
    yield from zero_shot(trial)
    yield from vision_trained(trial)
    moved = list(transferred(folder, sheet, found))
    yield from moved
    yield from _absent(found, TRANSFERRED, moved, "no networks of another card that it could be fitted on")
    yield from in_sample(trial)


def _by_family(trial: Trial, by_architecture: Sequence[Forecasts | Unscored]) -> Iterator[Forecasts | Unscored]:
    """Each family by a fit of the others: where every architecture is a family of its own, the forecasts at hand."""
    if len(set(zip(trial.names, trial.kin, strict=True))) == len(set(trial.kin)):
        for outcome in by_architecture:
            yield _moved(outcome, FAMILY)
        return
    yield from _left_out(trial, FAMILY, trial.kin, "families")


def _moved(outcome: Forecasts | Unscored, split: str) -> Forecasts | Unscored:
    return replace(outcome, split=split)


def _left_out(trial: Trial, split: str, groups: Array, called: str) -> Iterator[Forecasts | Unscored]:
    """Every group by a fit of the others, its interval nested."""
    found = trial.found
    if len(set(groups.tolist())) < FEWEST_GROUPS:
        yield Unscored(set=found.name, split=split, reason=f"fewer than three {called}", n=len(found.rows))
        return
    made = [
        trial.forecasts(split, contender.name, *_each(trial, contender, groups), trial.everything)
        for contender in trial.contenders
    ]
    yield from made
    yield from _absent(found, split, made, "not every row has seconds")


def _each(trial: Trial, contender: Contender, groups: Array) -> tuple[Array, Array]:
    if contender.name == PHYSICAL and groups is trial.names:
        held = leave_one_architecture_out(trial.problem, trial.found.rows, trial.found.truth)
        return held.joules, held.log_half_width
    return each_left_out(contender, groups, trial.found.truth.joules, trial.everything)


def _absent(found: NetworkSet, split: str, made: Sequence[Forecasts], why: str) -> Iterator[Unscored]:
    lacking = [name for name in SYSTEMS if name not in {forecasts.system for forecasts in made}]
    if lacking:
        yield Unscored(set=found.name, split=split, reason=f"{', '.join(lacking)}: {why}", n=len(found.rows))


def zero_shot(trial: Trial) -> Iterator[Forecasts]:
    """Every language model that generates text, by a fit that saw none of them."""
    generates = np.array([is_language_model(name) for name in trial.names.tolist()])
    train, test = np.flatnonzero(~generates), np.flatnonzero(generates)
    yield from _study(trial, FAMILY, trial.kin, train, test, ZERO_SHOT)


def vision_trained(trial: Trial) -> Iterator[Forecasts]:
    """Everything by fits of vision networks alone: those by fits of the others, the rest by a fit of all of them."""
    sees = np.array([task_of(row) == "vision" for row in trial.found.rows])
    train, test = np.flatnonzero(sees), np.flatnonzero(~sees)
    if len(set(trial.names[train].tolist())) < FEWEST_GROUPS:
        return
    yield from _study(trial, ARCHITECTURE, trial.names, train, test, VISION_TRAINED, of_train=True)


def _study(
    trial: Trial, split: str, groups: Array, train: Index, test: Index, study: str, *, of_train: bool = False
) -> Iterator[Forecasts]:
    """``of_train``: whether the rows of the fit are forecast too, each group by a fit of the others."""
    if not test.size or len(set(groups[train].tolist())) < FEWEST_GROUPS:
        return
    truth = trial.found.truth.joules
    for contender in trial.contenders:
        joules, width = nested(contender, groups, truth, train, test)
        widths, of = np.full(test.size, width), test
        if of_train:
            own = each_left_out(contender, groups, truth, train)
            joules, widths = np.concatenate([joules, own[0]]), np.concatenate([widths, own[1]])
            of = np.concatenate([test, train])
        yield trial.forecasts(split, contender.name, joules, widths, of, study)


def in_sample(trial: Trial) -> Iterator[Forecasts]:
    """Rows that were fitted themselves: how well the form can do at all. The width is that of its own errors."""
    for contender in trial.contenders:
        joules = contender.fitted(trial.everything)(trial.everything)
        width = float(np.quantile(np.abs(np.log(joules / trial.found.truth.joules)), 0.9))
        yield trial.forecasts(IN_SAMPLE, contender.name, joules, np.full(joules.size, width), trial.everything)
