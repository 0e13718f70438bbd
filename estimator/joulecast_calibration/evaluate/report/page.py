"""Write an evaluation as the page ``docs/accuracy.md``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from joulecast.errors import MeasurementError
from joulecast_calibration.evaluate.contenders import PHYSICAL, SYSTEMS
from joulecast_calibration.evaluate.evaluation import (
    ARCHITECTURE,
    FAMILY,
    Evaluation,
    Score,
    ScoredForecasts,
    repeat_distances,
)
from joulecast_calibration.evaluate.families import families
from joulecast_calibration.evaluate.report import cards, served, timed
from joulecast_calibration.evaluate.report.listing import Listing, percent
from joulecast_calibration.evaluate.report.meanings import STUDIES, described, labelled, meanings_of
from joulecast_calibration.evaluate.report.served import served_listings
from joulecast_calibration.evaluate.report.tables import (
    HEADER,
    bias_listing,
    cells,
    learning_listing,
    op_type_listing,
    power_listing,
    targets_listing,
)
from joulecast_calibration.evaluate.report.targets import MEASURED_ROWS
from joulecast_calibration.evaluate.report.timed import timed_listings

_INTRODUCTION = """# Accuracy

Written by `joulecast evaluate --data DIR --page docs/accuracy.md`; nothing here is edited by hand.

APE is the absolute percentage error of joules per batch. Coverage is the share of rows inside the 90 % interval, \
half-width its median half length in percent of the
forecast. The row `macro` counts every architecture once. \
A forecast sees a row's model, configuration, precision, batch, sequence, mode, attention and clock lock, \
and nothing else of it.

{own} The sets of others \
are development checks:
the form of the law, the priors of its coefficients and the graph of OPT were chosen with one of them in sight \
(ADRs [0116](adr/0116-tiles-waves-and-instructions.md) and \
[0136](adr/0136-prologues-transposed-weights-and-long-rows.md)). The priors of what cards and hosts \
have in common were fixed before any card was scored by them
([ADR 0166](adr/0166-one-law-for-many-cards.md)) and are never tuned.

The other systems are those of the literature, on the same rows and by the same protocol, each fitted by precision and \
given a factor for the clock:
[wattlayer](systems/wattlayer.md), [mac-linear](systems/mac-linear.md), [hidden-joules](systems/hidden-joules.md), \
[neuralpower](systems/neuralpower.md), [getzner](systems/getzner.md).
They are our reading of their papers, not their authors' code. Those marked \\* are aggregate-fitted: their papers fit \
them on measured layers, here they are fitted
on sums by layer type.
"""

_NONE_OF_OUR_OWN = (
    "No joules measured by this project stand behind these figures yet: every row below was measured by others."
)
_OUR_OWN = "Rows measured by this project are told apart from those that others measured."


def as_page(found: Evaluation) -> str:
    """Return the text of docs/accuracy.md. Raises MeasurementError where rows of a simulated device were scored."""
    if found.simulated:
        raise MeasurementError(f"{found.simulated[0]}: the accuracy page cannot be written from simulated rows")
    parts = [_INTRODUCTION.format(own=_OUR_OWN if found.measured else _NONE_OF_OUR_OWN)]
    for name in sets_of(found):
        parts += _of_set(found, name)
    parts += _cards(found)
    parts += _listed(power_listing(found), level="##")
    if not found.measured:
        parts += [
            f"\n## Targets on {MEASURED_ROWS}\n\nThere are none yet.\n",
            *_listed(targets_listing(found, MEASURED_ROWS)),
        ]
    parts += _served(found)
    if found.unscored:
        parts.append("\n## Not scored\n\n| set | split | rows | why |\n|---|---|---:|---|\n")
        parts += [f"| {entry.set} | {entry.split} | {entry.n} | {entry.reason} |\n" for entry in found.unscored]
    return "".join(parts)


def _cards(found: Evaluation) -> Iterator[str]:
    if found.cards.scores:
        yield f"\n## {cards.TITLE}\n\n{cards.INTRODUCTION}\n"
        for listing in cards.card_listings(found.cards):
            yield from _listed(listing)
        yield from _listed(cards.ranking_listing(found.cards), level="##")
    if found.cards.settings:
        yield from _listed(cards.setting_listing(found.cards), level="##")


def _served(found: Evaluation) -> Iterator[str]:
    if found.served.scores:
        yield f"\n## {served.TITLE}\n\n{served.INTRODUCTION}\n"
        for listing in served_listings(found.served):
            yield from _listed(listing)
    if found.timed.scores:
        yield f"\n## {timed.TITLE}\n\n{timed.INTRODUCTION}\n"
        for listing in timed_listings(found.timed):
            yield from _listed(listing)


def sets_of(found: Evaluation) -> tuple[str, ...]:
    """Return the names of the sets that were scored."""
    scored = [each.set for each in found.forecasts]
    return tuple(dict.fromkeys([*scored, *(each.set for each in found.measured)]))


def own_lines(found: Evaluation, name: str) -> tuple[Score, ...]:
    """Return the scores of the set ``name`` and its parts."""
    return tuple(line for line in found.results if line.set == name or line.set.startswith(f"{name} "))


def _of_set(found: Evaluation, name: str) -> Iterator[str]:
    own = own_lines(found, name)
    yield f"\n## {name}\n\n{described(found, name)}\n"
    yield from _listed(targets_listing(found, name))
    yield from _compared(found, own, name)
    yield from _studied(own, name)
    for each in found.forecasts:
        if (each.set, each.split, each.system, each.study) == (name, found.headline(name), PHYSICAL, ""):
            yield from _listed(bias_listing(each))
    for split, meaning in meanings_of(found, name).items():
        if not (split == FAMILY and repeated(own, name)):
            yield from _split(split, meaning, own, name)
    yield from _listed(op_type_listing([e for e in found.op_types if (e.set, e.system) == (name, PHYSICAL)]))
    yield from _listed(learning_listing(found, name))
    if any(each.set == name for each in found.forecasts):
        yield f"\n### Noise and families\n\n{noise_sentence(found, name)}\n\n{kin_sentence(found, name)}\n"


def _listed(listing: Listing, *, level: str = "###") -> Iterator[str]:
    """Yield the table under its title, or nothing for a table without rows."""
    if listing.rows:
        yield f"\n{level} {listing.title}\n\n" + (f"{listing.note}\n\n" if listing.note else "")
        yield _markdown(listing.header)
        yield _markdown(["---"] * listing.texts + ["---:"] * (len(listing.header) - listing.texts))
        yield from map(_markdown, listing.rows)


def _compared(found: Evaluation, lines: Sequence[Score], name: str) -> Iterator[str]:
    """Yield a table of all systems, one row each, for every task of a split."""
    yield "\n### All systems\n"
    for split in meanings_of(found, name):
        own = [line for line in lines if line.split == split and line.set == name]
        if split == FAMILY and repeated(lines, name):
            yield f"\n{split}: the same, for every architecture is a family of its own.\n"
        else:
            yield from _beside(split, own)


def repeated(lines: Sequence[Score], name: str) -> bool:
    """Return whether the scores of left-out families equal those of left-out architectures."""
    by_family, by_architecture = (
        [replace(line, split="") for line in lines if line.split == split and line.set == name]
        for split in (FAMILY, ARCHITECTURE)
    )
    return by_family == by_architecture


def _studied(lines: Sequence[Score], name: str) -> Iterator[str]:
    for study, meaning in STUDIES.items():
        own = [line for line in lines if line.set == f"{name} {study}"]
        yield from _beside(f"{study}: {meaning[0].lower()}{meaning[1:]}", own, study)


def _beside(title: str, lines: Sequence[Score], study: str = "") -> Iterator[str]:
    if not lines:
        return
    tasks = [
        task
        for task in dict.fromkeys(line.task for line in lines)
        if len({e.task for e in lines}) != 2 or task != "all"
    ]
    yield f"\n{title}\n\n"
    yield _markdown(("system", *(f"{task}: median / mean / max APE, coverage" for task in tasks)))
    yield _markdown(["---"] * (1 + len(tasks)))
    for system in SYSTEMS:
        own = {line.task: line for line in lines if line.system == system}
        if own:
            starred = labelled(system, study).replace("*", "\\*")
            yield _markdown((starred, *(_short(own[task]) for task in tasks)))


def _short(line: Score) -> str:
    return (
        f"{percent(line.median_ape)} / {percent(line.mean_ape)} / {percent(line.max_ape)} %,"
        f" {line.interval_coverage:.2f} (± {line.interval_half_width:,.0f} %)"
    )


def _split(split: str, meaning: str, lines: Sequence[Score], name: str) -> Iterator[str]:
    """Yield the table of every part of a split, of ``physical`` alone."""
    own = [line for line in lines if (line.split, line.system) == (split, PHYSICAL) and not _of_study(line, name)]
    if not own:
        return
    rows = [cells(line, line.set.removeprefix(name).strip() or "all") for line in telling(own, name)]
    yield from _listed(Listing(title=f"physical, {split}", note=meaning, header=HEADER, rows=rows, texts=2))


def telling(lines: Sequence[Score], name: str) -> Sequence[Score]:
    """Return ``lines`` of the set ``name``; of more than ``MOST_PARTS`` parts, those with the largest mean errors."""
    parts = [line for line in lines if line.set not in (name, f"{name} bf16", f"{name} macro")]
    kept = sorted(parts, key=lambda line: -line.mean_ape)[:MOST_PARTS] if len(parts) > MOST_PARTS else parts
    return [line for line in lines if line not in parts or line in kept]


MOST_PARTS = 20
"""Most architectures in a table; of more, those with the largest errors are shown."""


def _of_study(line: Score, name: str) -> bool:
    return any(line.set.startswith(f"{name} {study}") for study in STUDIES)


def noise_sentence(found: Evaluation, name: str) -> str:
    """State how far repeated measurements differ."""
    told = [_repeated(f"{each.n} rows of {each.on}", each.median, each.max) for each in found.noise if each.set == name]
    if found.measured_set(name) is None:
        own = reference(found, name)
        percent = repeat_distances(own.rows, own.truth)
        if percent.size:
            told = [_repeated(f"{percent.size} rows", float(np.median(percent)), percent.max())]
            told.append("No system could be better than that.")
    return " ".join(told) or "No row repeats another one, so the noise of these measurements is not known."


def _repeated(rows: str, median: float, largest: float) -> str:
    return (
        f"{rows} repeat another one; they differ from it by {median:.2f} % in the median and {largest:.2f} % at most."
    )


def reference(found: Evaluation, name: str) -> ScoredForecasts:
    """Return the forecasts of every row of the set ``name``."""
    return next(each for each in found.forecasts if each.set == name and not each.study)


def kin_sentence(found: Evaluation, name: str) -> str:
    """State which lineages form one family, and how the strict rule compares with the loose one."""
    own = found.measured_set(name)
    if own:
        return f"{own.families} families are held out in turn, relatives together: docs/suite.md says who they are."
    named = sorted(set(families(reference(found, name).rows)))
    return (
        f"Families held out together: {'; '.join(named)}. Networks alone are fitted here, no layers of their own, so "
        "the strict split (no layer configuration of the held-out family in the fit) and the loose one are the same."
    )


def _markdown(row: Iterable[str]) -> str:
    return "| " + " | ".join(row) + " |\n"
