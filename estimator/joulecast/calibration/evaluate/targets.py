"""What the forecasts are to reach, and by how much they do or do not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from joulecast.calibration.evaluate.contenders import PHYSICAL
from joulecast.calibration.evaluate.protocol import ARCHITECTURE, ZERO_SHOT
from joulecast.calibration.evaluate.scores import Score
from joulecast.calibration.evaluate.transfer import DATASHEET, TRANSFERRED
from joulecast.calibration.lineage import TASKS

_LIMITS = (
    # split, figure, percent at most
    (ARCHITECTURE, "median_ape", 6.0),
    (ARCHITECTURE, "mean_ape", 9.0),
    (TRANSFERRED, "median_ape", 15.0),
)
_NAMES = {"median_ape": "median error", "mean_ape": "mean error"}
_DATASHEET_ALONE = 20.0  # percent
_COVERAGE = (0.85, 0.95)
_UNSEEN = 10.0  # percent, of each language model by a fit that saw none


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One of them: what was wanted, what was found, and how far apart they are."""

    name: str
    wanted: str
    found: str
    met: bool
    by: str

    @property
    def verdict(self) -> str:
        return f"{'met' if self.met else '**missed**'} by {self.by}"


def targets(results: Sequence[Score], name: str) -> Iterator[Target]:
    """Those that the set ``name`` can tell of."""
    own = {(line.set, line.split, line.system, line.task): line for line in results}
    for split, figure, limit in _LIMITS:
        line = own.get((name, split, PHYSICAL, "all"))
        if line:
            yield _at_most(f"{split}, {_NAMES[figure]}", getattr(line, figure), limit)
    line = own.get((f"{name} {DATASHEET}", TRANSFERRED, PHYSICAL, "all"))
    if line:
        yield _at_most(f"{DATASHEET}, median error", line.median_ape, _DATASHEET_ALONE)
    line = own.get((name, ARCHITECTURE, PHYSICAL, "all"))
    if line:
        yield _covered(line)
    for key, line in own.items():
        part = key[0].removeprefix(f"{name} {ZERO_SHOT} ")
        if key[0].startswith(f"{name} {ZERO_SHOT} ") and key[2] == PHYSICAL and part not in ("macro", "bf16"):
            yield _at_most(f"{part}, no language model seen: median error", line.median_ape, _UNSEEN)
    for task in ("all", *TASKS):
        yield from _ahead(own, name, task)


def _at_most(name: str, value: float, limit: float) -> Target:
    return Target(
        name=name,
        wanted=f"≤ {limit:g} %",
        found=f"{value:.1f} %",
        met=value <= limit,
        by=f"{abs(value - limit):.1f} points",
    )


def _covered(line: Score) -> Target:
    low, high = _COVERAGE
    value = line.interval_coverage
    return Target(
        name=f"{line.split}, coverage of the 90 % interval",
        wanted=f"{low:.2f} – {high:.2f}",
        found=f"{value:.3f} (± {line.interval_half_width:.0f} %)",
        met=low <= value <= high,
        by=f"{min(abs(value - low), abs(value - high)):.3f}",
    )


def _ahead(own: dict[tuple[str, str, str, str], Score], name: str, task: str) -> Iterator[Target]:
    """Lower median and mean than every other system, each architecture left out."""
    mine = own.get((name, ARCHITECTURE, PHYSICAL, task))
    others = [line for key, line in own.items() if key[:2] == (name, ARCHITECTURE) and key[3] == task]
    others = [line for line in others if line.system != PHYSICAL]
    if not mine or not others:
        return
    for figure, words in _NAMES.items():
        best = min(others, key=lambda line: float(getattr(line, figure)))
        value, limit = float(getattr(mine, figure)), float(getattr(best, figure))
        yield Target(
            name=f"{ARCHITECTURE}, {task}: lower {words} than every other system",
            wanted=f"< {limit:.1f} % ({best.system})",
            found=f"{value:.1f} %",
            met=value < limit,
            by=f"{abs(value - limit):.1f} points",
        )
