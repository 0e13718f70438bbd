"""Which forecasts are made of measured rows: families left out strictly and loosely, architectures left out, fits that
saw no language model or vision alone, transferred, in-sample; errors by op type and by number of layers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from joulecast.energy.features import Array, Flags
from joulecast.errors import JoulecastError
from joulecast_calibration.evaluate.contenders import PHYSICAL
from joulecast_calibration.evaluate.evaluation import (
    ARCHITECTURE,
    FAMILY,
    IN_SAMPLE,
    LAYER_FITTED,
    LOOSE,
    TRANSFERRED,
    VISION_TRAINED,
    ZERO_SHOT,
    LearningScore,
    MeasuredSet,
    NoiseScore,
    OpTypeScore,
    Unscored,
)
from joulecast_calibration.evaluate.measured.contenders import Entrant, entrants, left_out, widths
from joulecast_calibration.evaluate.measured.features import network_row
from joulecast_calibration.evaluate.measured.folder import NamedJournal
from joulecast_calibration.evaluate.measured.folds import THE_REST, architecture_folds, vision_folds
from joulecast_calibration.evaluate.measured.layers import learning_scores, noise_scores, op_type_scores
from joulecast_calibration.evaluate.measured.transfer import transferred
from joulecast_calibration.evaluate.scores import Forecasts
from joulecast_calibration.evaluate.systems.catalogue import FORMS
from joulecast_calibration.fit.measured.card import known_of, prior_of
from joulecast_calibration.fit.measured.folds import UNSEEN_LLMS, Fold, folds, loose_folds, strict_folds
from joulecast_calibration.fit.measured.heldout import FEWEST_FOLDS, family_names
from joulecast_calibration.fit.measured.search import search
from joulecast_calibration.fit.measured.table import Table, table_of

Outcome = Forecasts | Unscored | MeasuredSet | OpTypeScore | LearningScore | NoiseScore


@dataclass(frozen=True, slots=True)
class Trial:
    """A measured set and what fits of it need."""

    name: str
    table: Table
    entrants: tuple[Entrant, ...]
    networks: Flags = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "networks", self.table.is_network)

    @property
    def systems(self) -> tuple[Entrant, ...]:
        """Each system once."""
        return tuple(entrant for entrant in self.entrants if not entrant.on_layers)

    def forecasts(self, split: str, system: str, joules: Array, width: Array, study: str = "") -> Forecasts:
        """Of the networks that have one; ``joules``, ``width``: of all rows, (size,)."""
        kept = self.networks & np.isfinite(joules) & np.isfinite(width)
        rows = (
            network_row(row, row.batch_size) for row, own in zip(self.table.rows, kept.tolist(), strict=True) if own
        )
        return Forecasts(
            set=self.name,
            split=split,
            system=system,
            rows=tuple(rows),
            joules=joules[kept],
            truth=self.table.joules[kept],
            log_half_width=width[kept],
            study=study,
        )


def evaluate_journal(folder: Path, found: NamedJournal) -> Iterator[Outcome]:
    """Everything that the rows of ``found`` can tell; ``folder`` may hold tables of other cards."""
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
    trial = Trial(found.name, table, entrants(prior, table, search(prior, table)))
    yield from _held_out(trial)
    yield from _transferred(trial, folder, journal.product)
    yield from _in_sample(trial)
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
        families=len(folds(row for row in table.rows if row.is_network)),
        runs=len(holds),
        cards=len({hold.split("|")[0] for hold in holds}),
    )


def _held_out(trial: Trial) -> Iterator[Outcome]:
    table = trial.table
    names = family_names(table)
    if len(names) < FEWEST_FOLDS:
        for split in (FAMILY, ARCHITECTURE):
            yield Unscored(set=trial.name, split=split, reason="fewer than three families", n=table.size)
        return
    yield from _by_family(trial)
    if not trial.networks.any():
        reason = "layers alone were measured: their errors stand by op type"
        yield Unscored(set=trial.name, split="all", reason=reason, n=table.size)
        return
    yield from _split(trial, FAMILY, loose_folds(table, names), LOOSE)
    yield from _split(trial, ARCHITECTURE, architecture_folds(table))
    yield from _vision_trained(trial)


def _by_family(trial: Trial) -> Iterator[Outcome]:
    """Strictly, layers too, those of families without networks as well: the headline, the unseen language models out
    of it, and errors by op type."""
    table = trial.table
    cut = strict_folds(table, folds(table.rows))
    unseen = [fold.scored for fold in cut if fold.name == UNSEEN_LLMS]
    for entrant in trial.entrants:
        joules = left_out(entrant, table, cut)
        width = widths(joules, table, cut)
        if trial.networks.any():
            yield trial.forecasts(FAMILY, entrant.name, joules, width, LAYER_FITTED if entrant.on_layers else "")
        if unseen and not entrant.on_layers and np.isfinite(joules[unseen[0]]).any():
            yield trial.forecasts(FAMILY, entrant.name, np.where(unseen[0], joules, np.nan), width, ZERO_SHOT)
        if entrant.name == PHYSICAL or entrant.on_layers:
            yield from op_type_scores(trial.name, entrant.name, table, joules)
        if entrant.name == PHYSICAL:
            yield from _missing(trial, joules)


def _missing(trial: Trial, joules: Array) -> Iterator[Unscored]:
    """Rows that no fit could be made for."""
    for what, kind in (("networks", trial.networks), ("layers", ~trial.networks)):
        count = int((kind & ~np.isfinite(joules)).sum())
        if count:
            reason = f"{what} with too few rows left to fit without their family"
            yield Unscored(set=trial.name, split=FAMILY, reason=reason, n=count)


def _split(
    trial: Trial, split: str, cut: Sequence[Fold], study: str = "", *, telling: Sequence[str] | None = None
) -> Iterator[Forecasts]:
    for entrant in trial.systems:
        joules = left_out(entrant, trial.table, cut)
        width = widths(joules, trial.table, cut, telling=telling)
        yield trial.forecasts(split, entrant.name, joules, width, study)


def _vision_trained(trial: Trial) -> Iterator[Outcome]:
    cut = vision_folds(trial.table)
    own = [fold.name for fold in cut if fold.name != THE_REST]
    if len(own) < FEWEST_FOLDS or not cut[0].scored.any():
        return
    yield from _split(trial, FAMILY, cut, VISION_TRAINED, telling=own)


def _transferred(trial: Trial, folder: Path, product: str) -> Iterator[Outcome]:
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
            yield Unscored(set=trial.name, split=TRANSFERRED, reason=reason, n=number - len(found.rows))
    if not moved:
        reason = f"{PHYSICAL}: what is shipped of {product} has joules or watts of it, and there are no tables beside"
        yield Unscored(set=trial.name, split=TRANSFERRED, reason=reason, n=number)
    reason = f"{', '.join(FORMS)}: each is fitted on the card that it forecasts"
    yield Unscored(set=trial.name, split=TRANSFERRED, reason=reason, n=number)


def _in_sample(trial: Trial) -> Iterator[Outcome]:
    """The width is that of its own errors."""
    if not trial.networks.any():
        return
    for entrant in trial.systems:
        joules = entrant.everything()
        errors = np.abs(np.log(joules / trial.table.joules))[trial.networks]
        width = np.full(joules.size, float(np.quantile(errors, 0.9)))
        yield trial.forecasts(IN_SAMPLE, entrant.name, joules, width)
