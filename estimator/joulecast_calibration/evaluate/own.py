"""Make the forecasts of rows of ``joulecast measure``.

The splits leave out families (strictly and loosely) or architectures, train without language models or on vision alone,
transfer from other cards, or score fitted rows; errors are also reported by op type and number of layers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from joulecast.energy.features import Array
from joulecast.energy.generic import datasheet_profile
from joulecast.errors import JoulecastError
from joulecast_calibration.evaluate.contenders import PHYSICAL, Outcome, Trial, in_sample, measured_contenders
from joulecast_calibration.evaluate.evaluation import (
    ARCHITECTURE,
    FAMILY,
    LAYER_FITTED,
    LOOSE,
    TRANSFERRED,
    VISION_TRAINED,
    ZERO_SHOT,
    LearningScore,
    MeasuredSet,
    NoiseScore,
    OpTypeScore,
    ScoredForecasts,
    Unscored,
    repeat_distances,
)
from joulecast_calibration.evaluate.families import THE_REST, architecture_folds, vision_folds
from joulecast_calibration.evaluate.folder import NamedJournal
from joulecast_calibration.evaluate.generating import serving_scores
from joulecast_calibration.evaluate.transfer import transferred
from joulecast_calibration.fit.across.sets import network_row
from joulecast_calibration.fit.crossvalidation import (
    UNSEEN_LLMS,
    Fold,
    fold_names,
    left_out,
    loose_folds,
    strict_folds,
    widths_of_others,
)
from joulecast_calibration.fit.heldout import FEWEST_FOLDS, family_names, percent_errors
from joulecast_calibration.fit.journal import MeasuredRows
from joulecast_calibration.fit.learning import learning
from joulecast_calibration.fit.prior import known_of, prior_of
from joulecast_calibration.fit.search import search
from joulecast_calibration.fit.shared import sheet_of
from joulecast_calibration.fit.table import Table, table_of


@dataclass(frozen=True, slots=True)
class _Trial(Trial):
    table: Table


def evaluate_journal(folder: Path, found: NamedJournal) -> Iterator[Outcome]:
    """Yield all results that the rows of ``found`` allow; ``folder`` may hold tables of other cards."""
    journal = found.journal
    try:
        known = known_of(journal.product)
        table = table_of(journal, lacks=known.lacks)
    except JoulecastError as error:
        yield Unscored(set=found.name, split="all", reason=str(error), n=len(journal.rows))
        return
    yield from (Unscored(set=found.name, split="all", reason=why, n=n) for why, n in sorted(table.left_out.items()))
    yield _facts(found, table)
    prior = prior_of(journal, table, known)
    whole = search(prior, table)
    trial = _Trial(
        found.name,
        tuple(network_row(row, row.batch_size) for row in table.rows),
        table.joules,
        table.is_network,
        measured_contenders(prior, table, whole),
        table,
    )
    yield from _held_out(trial)
    yield from _transferred(trial, folder, journal.product)
    yield from in_sample(trial)
    yield from serving_scores(found, prior, whole)
    yield from learning_scores(trial.name, journal, table)
    yield from noise_scores(trial.name, table)


def _facts(found: NamedJournal, table: Table) -> MeasuredSet:
    networks = int(table.is_network.sum())
    holds = {row.hold for row in table.rows}
    return MeasuredSet(
        set=found.name,
        accelerator=found.journal.product,
        simulated=found.journal.simulated,
        networks=networks,
        layers=table.size - networks,
        families=len(fold_names(row for row in table.rows if row.is_network)),
        runs=len(holds),
        cards=len({hold.split("|")[0] for hold in holds}),
    )


def _held_out(trial: _Trial) -> Iterator[Outcome]:
    table = trial.table
    names = family_names(table)
    if len(names) < FEWEST_FOLDS:
        for split in (FAMILY, ARCHITECTURE):
            yield trial.unscored(split, "fewer than three families")
        return
    yield from _by_family(trial)
    if not trial.networks.any():
        yield trial.unscored("all", "layers alone were measured: their errors stand by op type")
        return
    yield from _split(trial, FAMILY, loose_folds(table, names), LOOSE)
    yield from _split(trial, ARCHITECTURE, architecture_folds(table))
    yield from _vision_trained(trial)


def _by_family(trial: _Trial) -> Iterator[Outcome]:
    """Score each family by a fit of the others, strictly: the headline split.

    Layers are scored too, also those of families without networks. The unseen language models and the errors by op type
    are taken from the same forecasts.
    """
    table = trial.table
    cut = strict_folds(table, fold_names(table.rows))
    unseen = [fold.scored for fold in cut if fold.name == UNSEEN_LLMS]
    for contender in trial.contenders:
        joules = left_out(contender.refits, cut, contender.among)
        width = widths(joules, table, cut)
        if trial.networks.any():
            yield trial.forecasts(FAMILY, contender.name, joules, width, LAYER_FITTED if contender.on_layers else "")
        if unseen and not contender.on_layers and np.isfinite(joules[unseen[0]]).any():
            yield trial.forecasts(FAMILY, contender.name, np.where(unseen[0], joules, np.nan), width, ZERO_SHOT)
        if contender.name == PHYSICAL or contender.on_layers:
            yield from op_type_scores(trial.name, contender.name, table, joules)
        if contender.name == PHYSICAL:
            yield from _missing(trial, joules)


def _missing(trial: _Trial, joules: Array) -> Iterator[Unscored]:
    """Yield the rows that have no forecast because no fit could be made for them."""
    for what, kind in (("networks", trial.networks), ("layers", ~trial.networks)):
        count = int((kind & ~np.isfinite(joules)).sum())
        if count:
            reason = f"{what} with too few rows left to fit without their family"
            yield trial.unscored(FAMILY, reason, count)


def _split(
    trial: _Trial, split: str, cut: Sequence[Fold], study: str = "", *, telling: Sequence[str] | None = None
) -> Iterator[ScoredForecasts]:
    for contender in trial.systems:
        joules = left_out(contender.refits, cut, contender.among)
        width = widths(joules, trial.table, cut, telling=telling)
        yield trial.forecasts(split, contender.name, joules, width, study)


def _vision_trained(trial: _Trial) -> Iterator[Outcome]:
    cut = vision_folds(trial.table)
    own = [fold.name for fold in cut if fold.name != THE_REST]
    if len(own) < FEWEST_FOLDS or not cut[0].scored.any():
        return
    yield from _split(trial, FAMILY, cut, VISION_TRAINED, telling=own)


def _transferred(trial: _Trial, folder: Path, product: str) -> Iterator[Outcome]:
    if not trial.networks.any():
        return
    number = int(trial.networks.sum())
    moved = list(transferred(folder, product, trial.table))
    for study, joules, width in moved:
        found = trial.forecasts(TRANSFERRED, PHYSICAL, joules, width, study)
        if found.rows:
            yield found
        if len(found.rows) < number:
            reason = f"{PHYSICAL}: an arithmetic that nothing is known of"
            yield trial.unscored(TRANSFERRED, reason, number - len(found.rows))
    if not moved:
        reason = f"{PHYSICAL}: what is shipped of {product} has joules or watts of it, and there are no tables beside"
        yield trial.unscored(TRANSFERRED, reason, number)


def widths(joules: Array, table: Table, folds: Sequence[Fold], *, telling: Sequence[str] | None = None) -> Array:
    """Return the log half-width, (size,), of each network's interval from the errors of the other folds.

    Nan where there is no forecast. ``telling``: names of the folds whose errors are used, all unless given.
    """
    errors = np.log(joules / table.joules)
    kept = np.isfinite(errors) & table.is_network
    groups = {fold.name: errors[fold.scored & kept] for fold in folds if (fold.scored & kept).any()}
    tells = {name: values for name, values in groups.items() if telling is None or name in telling}
    found = widths_of_others(tells, (fold.name for fold in folds))
    width = np.full(table.size, np.nan)
    for fold in folds:
        width[fold.scored] = found.get(fold.name, np.nan)
    return width


def op_type_scores(name: str, system: str, table: Table, joules: Array) -> Iterator[OpTypeScore]:
    """Yield the error of each op type over layers with a forecast; ``joules`` (size,) is nan where there is none."""
    op_types = np.array([row.op_type for row in table.rows])
    kept = ~table.is_network & np.isfinite(joules)
    percent = 100 * percent_errors(joules, table.joules)
    for op_type in sorted(set(op_types[kept].tolist())):
        own = percent[kept & (op_types == op_type)]
        yield OpTypeScore(
            set=name,
            system=system,
            op_type=op_type,
            n=own.size,
            mean_ape=float(own.mean()),
            median_ape=float(np.median(own)),
            max_ape=float(own.max()),
            min_ape=float(own.min()),
        )


def learning_scores(name: str, journal: MeasuredRows, table: Table) -> Iterator[LearningScore]:
    """Yield the errors by number of fitted layers, from the card's data sheet, or its shipped profile without one."""
    sheet = sheet_of(journal.product)
    known = known_of(journal.product) if sheet is None or sheet.missing else datasheet_profile(sheet)
    for step in learning(prior_of(journal, table, known), table):
        yield LearningScore(
            set=name,
            layers=step.layers,
            on=step.on,
            n=step.rows,
            mean_ape=100 * step.mean_ape,
            median_ape=100 * step.median_ape,
        )


def noise_scores(name: str, table: Table) -> Iterator[NoiseScore]:
    """Yield the differences between repeated measurements of networks and of layers."""
    for on, kept in (("networks", table.is_network), ("layers", ~table.is_network)):
        configurations = np.array([row.configuration for row in table.rows])[kept]
        percent = repeat_distances(configurations.tolist(), table.joules[kept])
        if percent.size:
            median, largest = float(np.median(percent)), float(percent.max())
            yield NoiseScore(set=name, on=on, n=percent.size, median=median, max=largest)
