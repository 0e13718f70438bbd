"""Accuracy targets, and by how much the forecasts meet or miss them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from joulecast_calibration.evaluate.contenders import PHYSICAL
from joulecast_calibration.evaluate.evaluation import (
    ARCHITECTURE,
    DATASHEET,
    FAMILY,
    TRANSFERRED,
    ZERO_SHOT,
    Evaluation,
)
from joulecast_calibration.evaluate.scores import Score
from joulecast_calibration.suite.lineage import TASKS

_LIMITS = (
    # split, figure, percent at most
    (ARCHITECTURE, "median_ape", 6.0),
    (ARCHITECTURE, "mean_ape", 9.0),
    (TRANSFERRED, "median_ape", 15.0),
)
_OF_EACH_TASK = (("median_ape", 5.0), ("mean_ape", 8.0), ("max_ape", 40.0))
"""Targets of measured rows with families left out strictly: figure and most percent."""
_NAMES = {"median_ape": "median error", "mean_ape": "mean error", "max_ape": "largest error"}
_AHEAD = ("median_ape", "mean_ape")
_DATASHEET_ALONE = 20.0  # percent
_COVERAGE = (0.85, 0.95)
_UNSEEN = 10.0  # percent, of each language model by a fit that saw none

MEASURED_ROWS = "rows measured by this project"
"""Name of the set of this project's rows before there is one."""

_Lines = Mapping[tuple[str, str, str, str], Score]


@dataclass(frozen=True, slots=True, kw_only=True)
class AccuracyTarget:
    """One target: the wanted value, the value found, and the difference.

    - ``met``: None where there are no rows to decide it.
    """

    name: str
    wanted: str
    found: str = ""
    met: bool | None = None
    by: str = ""

    @property
    def state(self) -> str:
        return "no rows" if self.met is None else "met" if self.met else "missed"

    @property
    def verdict(self) -> str:
        if self.met is None:
            return self.state
        return f"{'met' if self.met else '**missed**'} by {self.by}"


def targets_of(found: Evaluation, name: str) -> Iterator[AccuracyTarget]:
    """Yield the targets that the set ``name`` can decide, and for rows of this project also those that it cannot.

    ``MEASURED_ROWS`` stands for the set of this project where there is none.
    """
    if name == MEASURED_ROWS or any(each.set == name for each in found.measured):
        return measured_targets(found.results, name)
    return targets(found.results, name)


def targets(results: Sequence[Score], name: str) -> Iterator[AccuracyTarget]:
    """Yield the targets that the published set ``name`` can decide."""
    own = _by_key(results)
    for split, figure, limit in _LIMITS:
        line = own.get((name, split, PHYSICAL, "all"))
        if line:
            yield _at_most(f"{split}, {_NAMES[figure]}", getattr(line, figure), limit)
    yield from _from_datasheet(own, name)
    line = own.get((name, ARCHITECTURE, PHYSICAL, "all"))
    if line:
        yield _covered(line)
    yield from _unseen(own, name)
    for task in ("all", *TASKS):
        yield from _ahead(own, name, ARCHITECTURE, task)


def measured_targets(results: Sequence[Score], name: str) -> Iterator[AccuracyTarget]:
    """Yield the targets of a set of this project's own rows, with families left out strictly."""
    own = _by_key(results)
    for task in TASKS:
        line = own.get((name, FAMILY, PHYSICAL, task))
        for figure, limit in _OF_EACH_TASK:
            said = f"{FAMILY}, {task}: {_NAMES[figure]}"
            yield (
                _at_most(said, getattr(line, figure), limit)
                if line
                else AccuracyTarget(name=said, wanted=f"≤ {limit:g} %")
            )
    unseen = list(_unseen(own, name))
    yield from unseen or [
        AccuracyTarget(name="each language model, none seen: median error", wanted=f"≤ {_UNSEEN:g} %")
    ]
    line = own.get((name, FAMILY, PHYSICAL, "all"))
    low, high = _COVERAGE
    said = f"{FAMILY}, coverage of the 90 % interval"
    yield _covered(line) if line else AccuracyTarget(name=said, wanted=f"{low:.2f} – {high:.2f}")
    for task in TASKS:
        ahead = list(_ahead(own, name, FAMILY, task))
        yield from ahead or [
            AccuracyTarget(name=_ahead_name(FAMILY, task, figure), wanted="< the best of them") for figure in _AHEAD
        ]
    yield from _from_datasheet(own, name)


def _by_key(results: Sequence[Score]) -> _Lines:
    return {(line.set, line.split, line.system, line.task): line for line in results}


def _from_datasheet(own: _Lines, name: str) -> Iterator[AccuracyTarget]:
    line = own.get((f"{name} {DATASHEET}", TRANSFERRED, PHYSICAL, "all"))
    if line:
        yield _at_most(f"{DATASHEET}, median error", line.median_ape, _DATASHEET_ALONE)


def _unseen(own: _Lines, name: str) -> Iterator[AccuracyTarget]:
    for (of, _, system, _), line in own.items():
        part = of.removeprefix(f"{name} {ZERO_SHOT} ")
        if of.startswith(f"{name} {ZERO_SHOT} ") and system == PHYSICAL and part not in ("macro", "bf16"):
            yield _at_most(f"{part}, no language model seen: median error", line.median_ape, _UNSEEN)


def _at_most(name: str, value: float, limit: float) -> AccuracyTarget:
    return AccuracyTarget(
        name=name,
        wanted=f"≤ {limit:g} %",
        found=f"{value:.1f} %",
        met=value <= limit,
        by=f"{abs(value - limit):.1f} points",
    )


def _covered(line: Score) -> AccuracyTarget:
    low, high = _COVERAGE
    value = line.interval_coverage
    return AccuracyTarget(
        name=f"{line.split}, coverage of the 90 % interval",
        wanted=f"{low:.2f} – {high:.2f}",
        found=f"{value:.3f} (± {line.interval_half_width:.0f} %)",
        met=low <= value <= high,
        by=f"{min(abs(value - low), abs(value - high)):.3f}",
    )


def _ahead(own: _Lines, name: str, split: str, task: str) -> Iterator[AccuracyTarget]:
    """Compare median and mean with the best other system, held out by ``split``."""
    mine = own.get((name, split, PHYSICAL, task))
    others = [line for key, line in own.items() if key[:2] == (name, split) and key[3] == task]
    others = [line for line in others if line.system != PHYSICAL]
    if not mine or not others:
        return
    for figure in _AHEAD:
        best = min(others, key=lambda line: float(getattr(line, figure)))
        value, limit = float(getattr(mine, figure)), float(getattr(best, figure))
        yield AccuracyTarget(
            name=_ahead_name(split, task, figure),
            wanted=f"< {limit:.1f} % ({best.system})",
            found=f"{value:.1f} %",
            met=value < limit,
            by=f"{abs(value - limit):.1f} points",
        )


def _ahead_name(split: str, task: str, figure: str) -> str:
    return f"{split}, {task}: lower {_NAMES[figure]} than every other system"
