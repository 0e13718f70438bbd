"""Score every set of a data folder: published sets and rows of this project."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from joulecast.energy.datasheets import DataSheet
from joulecast.energy.names import could_be, sheet_named
from joulecast.errors import MeasurementError
from joulecast_calibration.evaluate.cards.evaluation import evaluate_cards
from joulecast_calibration.evaluate.contenders import Outcome
from joulecast_calibration.evaluate.evaluation import (
    Evaluation,
    LearningScore,
    MeasuredSet,
    NoiseScore,
    OpTypeScore,
    ScoredForecasts,
    Unscored,
    scores,
)
from joulecast_calibration.evaluate.folder import NamedJournal, find_journals, read_journals
from joulecast_calibration.evaluate.own import evaluate_journal
from joulecast_calibration.evaluate.published import evaluate_set
from joulecast_calibration.evaluate.serving.evaluation import evaluate_served, holds_served
from joulecast_calibration.evaluate.timed.evaluation import evaluate_timed, holds_timed
from joulecast_calibration.evaluate.transfer import third_card_power
from joulecast_calibration.fit.across.sets import CardSet, own_set, published_set
from joulecast_calibration.rows.networks import FILE_NAME, LIMIT, NetworkSet, find_sets, read_set

_Kind = TypeVar("_Kind")


def evaluate(folder: Path, *, measured_only: bool = False) -> Evaluation:
    """Score every set of ``folder``: tables of networks, and journals of ``joulecast measure``.

    ``measured_only``: refuse rows of a simulated device, even where they are otherwise allowed.

    Raises MeasurementError if the folder holds no set that can be read, or one that is refused.
    """
    paths, journals = find_sets(folder), find_journals(folder)
    if not paths and not journals and not holds_served(folder) and not holds_timed(folder):
        raise MeasurementError(
            f"{folder} holds no folder with a {FILE_NAME} or with journals (*.jsonl): name the folder that holds the"
            " data sets"
        )
    read = [found for path in journals for found in read_journals(path)]
    if measured_only:
        _refuse_simulated(read)
    alone = len(paths) == 1 and not journals
    sets = list(_sets(paths, alone=alone))
    outcomes: list[Outcome] = [outcome for found in sets for outcome in _of_one(folder, found)]
    for each in read:
        outcomes += evaluate_journal(folder, each) if isinstance(each, NamedJournal) else [each]
    forecasts = _only(ScoredForecasts, outcomes)
    cards, without = evaluate_cards(folder, _by_card(sets, read), forecasts)
    return Evaluation(
        results=tuple(line for found in forecasts for line in scores(found)),
        unscored=(*_only(Unscored, outcomes), *without),
        forecasts=forecasts,
        measured=_only(MeasuredSet, outcomes),
        op_types=_only(OpTypeScore, outcomes),
        learning=_only(LearningScore, outcomes),
        noise=_only(NoiseScore, outcomes),
        third_card=tuple(third_card_power(folder)),
        cards=cards,
        served=evaluate_served(folder),
        timed=evaluate_timed(folder),
    )


def _by_card(sets: Sequence[NetworkSet | Unscored], journals: Sequence[NamedJournal | Unscored]) -> tuple[CardSet, ...]:
    """Return the networks with joules of every set whose card is known."""
    published = [published_set(found) for found in sets if isinstance(found, NetworkSet) and found.rows]
    own = [own_set(found.name, found.journal) for found in journals if isinstance(found, NamedJournal)]
    return tuple(found for found in (*published, *own) if found is not None)


def _only(kind: type[_Kind], outcomes: Sequence[Outcome]) -> tuple[_Kind, ...]:
    return tuple(outcome for outcome in outcomes if isinstance(outcome, kind))


def _refuse_simulated(read: Sequence[NamedJournal | Unscored]) -> None:
    for each in read:
        if isinstance(each, NamedJournal) and each.journal.simulated:
            raise MeasurementError(
                f"{each.name}: the accuracy page cannot be written from simulated rows: leave out --page, or"
                " take the folder out"
            )


def _sets(paths: Sequence[Path], *, alone: bool) -> Iterator[NetworkSet | Unscored]:
    """Yield the sets of ``paths``; report an unreadable file with its reason, or raise it if ``alone`` is true."""
    for path in paths:
        try:
            yield from read_set(path)
        except MeasurementError as error:
            if alone:
                raise
            lines = (path / FILE_NAME).read_bytes().count(b"\n")
            yield Unscored(set=path.name, split="all", reason=str(error), n=max(lines - 1, 0))


def _of_one(folder: Path, found: NetworkSet | Unscored) -> Iterator[ScoredForecasts | Unscored]:
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
    yield from evaluate_set(folder, sheet, found)


def _lacking(sheet: DataSheet | None, found: NetworkSet) -> str:
    """Name what a forecast of the set needs and no trusted source states."""
    if sheet is None:
        several = could_be(found.gpu)
        if several:
            return f"{several}: name one in column gpu, or its power limit in column {LIMIT}"
        return f"{found.gpu}: its limits are not known"
    locked = sheet.boost_clock_mhz is None and any(row.clock_mhz for row in found.rows)
    missing = sheet.missing or (("a boost clock",) if locked else ())
    return f"{found.gpu}: no trusted source states {' or '.join(missing)}" if missing else ""
