"""Accuracy targets, and by how much the forecasts meet or miss them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from joulecast_calibration.evaluate.contenders import PHYSICAL
from joulecast_calibration.evaluate.evaluation import (
    ARCHITECTURE,
    DATASHEET,
    FAMILY,
    TRANSFERRED,
    ZERO_SHOT,
    Evaluation,
    Score,
)
from joulecast_calibration.suite.lineage import TASKS

_LIMITS = (
    # split, task, figure, percent at most
    (ARCHITECTURE, "all", "median_ape", 6.0),
    (ARCHITECTURE, "all", "mean_ape", 9.0),
    (TRANSFERRED, "all", "median_ape", 15.0),
)
_OF_SETS = {
    "energaizer_a100": (
        (ARCHITECTURE, "all", "median_ape", 4.0),
        (ARCHITECTURE, "all", "mean_ape", 5.0),
        (ARCHITECTURE, "vision", "median_ape", 4.5),
        (ARCHITECTURE, "vision", "mean_ape", 6.0),
        (TRANSFERRED, "all", "median_ape", 15.0),
    ),
    "energaizer_h100": (
        (ARCHITECTURE, "all", "median_ape", 3.0),
        (ARCHITECTURE, "all", "mean_ape", 4.2),
        (TRANSFERRED, "all", "median_ape", 15.0),
    ),
}
"""Limits of sets that replace those of any set."""
_OF_EACH_TASK = (("median_ape", 5.0), ("mean_ape", 8.0), ("max_ape", 40.0))
"""Targets of measured rows with families left out strictly: figure and most percent."""
_NAMES = {"median_ape": "median error", "mean_ape": "mean error", "max_ape": "largest error"}
_DATASHEET_ALONE = 20.0  # percent
_DATASHEET_ALONE_OF_SETS = 12.0  # percent, of the sets that have limits of their own
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
    if name == MEASURED_ROWS or found.measured_set(name):
        return measured_targets(found.results, name)
    return targets(found.results, name)


def targets(results: Sequence[Score], name: str) -> Iterator[AccuracyTarget]:
    """Yield the targets that the published set ``name`` can decide."""
    own = _by_key(results)
    for split, task, figure, limit in _OF_SETS.get(name, _LIMITS):
        line = own.get((name, split, PHYSICAL, task))
        said = f"{split}, {_NAMES[figure]}" if task == "all" else f"{split}, {task}: {_NAMES[figure]}"
        yield from _decided(_at_most(said, line, figure, limit))
    yield from _from_datasheet(own, name)
    yield from _decided(_covered(ARCHITECTURE, own.get((name, ARCHITECTURE, PHYSICAL, "all"))))
    yield from _unseen(own, name)
    for task in ("all", *TASKS):
        yield from _decided(*_ahead(own, name, ARCHITECTURE, task))


def _decided(*each: AccuracyTarget) -> Iterator[AccuracyTarget]:
    return (target for target in each if target.met is not None)


def measured_targets(results: Sequence[Score], name: str) -> Iterator[AccuracyTarget]:
    """Yield the targets of a set of this project's own rows, with families left out strictly."""
    own = _by_key(results)
    for task in TASKS:
        for figure, limit in _OF_EACH_TASK:
            line = own.get((name, FAMILY, PHYSICAL, task))
            yield _at_most(f"{FAMILY}, {task}: {_NAMES[figure]}", line, figure, limit)
    unseen = list(_unseen(own, name))
    yield from unseen or [_at_most("each language model, none seen: median error", None, "median_ape", _UNSEEN)]
    yield _covered(FAMILY, own.get((name, FAMILY, PHYSICAL, "all")))
    for task in TASKS:
        yield from _ahead(own, name, FAMILY, task)
    yield from _from_datasheet(own, name)


def _by_key(results: Sequence[Score]) -> _Lines:
    return {(line.set, line.split, line.system, line.task): line for line in results}


def _from_datasheet(own: _Lines, name: str) -> Iterator[AccuracyTarget]:
    line = own.get((f"{name} {DATASHEET}", TRANSFERRED, PHYSICAL, "all"))
    limit = _DATASHEET_ALONE_OF_SETS if name in _OF_SETS else _DATASHEET_ALONE
    yield from _decided(_at_most(f"{DATASHEET}, median error", line, "median_ape", limit))


def _unseen(own: _Lines, name: str) -> Iterator[AccuracyTarget]:
    for (of, _, system, _), line in own.items():
        part = of.removeprefix(f"{name} {ZERO_SHOT} ")
        if part != of and system == PHYSICAL and part not in ("macro", "bf16"):
            yield _at_most(f"{part}, no language model seen: median error", line, "median_ape", _UNSEEN)


def _at_most(name: str, line: Score | None, figure: str, limit: float) -> AccuracyTarget:
    if line is None:
        return AccuracyTarget(name=name, wanted=f"≤ {limit:g} %")
    return at_most(name, float(getattr(line, figure)), limit)


def at_most(name: str, value: float, limit: float) -> AccuracyTarget:
    """Return the target that an error of ``value`` percent is ``limit`` percent or less."""
    by = f"{abs(value - limit):.1f} points"
    return AccuracyTarget(name=name, wanted=f"≤ {limit:g} %", found=f"{value:.1f} %", met=value <= limit, by=by)


def _covered(split: str, line: Score | None) -> AccuracyTarget:
    low, high = _COVERAGE
    empty = AccuracyTarget(name=f"{split}, coverage of the 90 % interval", wanted=f"{low:.2f} – {high:.2f}")
    if line is None:
        return empty
    value = line.interval_coverage
    return replace(
        empty,
        found=f"{value:.3f} (± {line.interval_half_width:.0f} %)",
        met=low <= value <= high,
        by=f"{min(abs(value - low), abs(value - high)):.3f}",
    )


def _ahead(own: _Lines, name: str, split: str, task: str) -> Iterator[AccuracyTarget]:
    """Compare median and mean with the best other system, held out by ``split``."""
    lines = {key[2]: line for key, line in own.items() if (key[0], key[1], key[3]) == (name, split, task)}
    mine = lines.pop(PHYSICAL, None)
    for figure in ("median_ape", "mean_ape"):
        said = f"{split}, {task}: lower {_NAMES[figure]} than every other system"
        if not mine or not lines:
            yield AccuracyTarget(name=said, wanted="< the best of them")
            continue
        yield ahead(said, float(getattr(mine, figure)), {e.system: float(getattr(e, figure)) for e in lines.values()})


def ahead(name: str, value: float, others: Mapping[str, float]) -> AccuracyTarget:
    """Return the target that an error of ``value`` percent is below each of ``others``, of which there is one."""
    best = min(others, key=lambda system: others[system])
    limit = others[best]
    return AccuracyTarget(
        name=name,
        wanted=f"< {limit:.1f} % ({best})",
        found=f"{value:.1f} %",
        met=value < limit,
        by=f"{abs(value - limit):.1f} points",
    )
