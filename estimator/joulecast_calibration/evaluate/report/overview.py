"""One picture of an evaluation: median errors of every system, with the architecture and with the card left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from joulecast_calibration.evaluate.cardscores import ALL, CARD, JOULES
from joulecast_calibration.evaluate.contenders import PHYSICAL, SYSTEMS
from joulecast_calibration.evaluate.evaluation import ARCHITECTURE, Evaluation
from joulecast_calibration.evaluate.report.figures import as_svg, subplots

Medians = Mapping[str, Mapping[str, float]]
"""Percent by set, then by system."""

_OURS, _OTHERS = "tab:blue", "0.75"  # joulecast in colour, other systems in grey
_TITLES = {ARCHITECTURE: "architecture left out", CARD: "card and its host left out"}


def medians(found: Evaluation) -> Mapping[str, Medians]:
    """Return median errors of joules by what is left out, set and system; of all rows of each set."""
    of_sets: dict[str, dict[str, dict[str, float]]] = {ARCHITECTURE: {}, CARD: {}}
    cards = {line.set for line in found.cards.scores}
    for line in found.results:
        if (line.split, line.task) == (ARCHITECTURE, ALL) and line.set in cards:
            of_sets[ARCHITECTURE].setdefault(line.set, {})[line.system] = line.median_ape
    for each in found.cards.scores:
        if (each.quantity, each.part) == (JOULES, ALL) and each.system in SYSTEMS:
            of_sets[CARD].setdefault(each.set, {})[each.system] = each.median_ape
    return of_sets


def overview(found: Evaluation) -> str:
    """Draw the medians as bars, one panel for each split and one group for each set, as an SVG."""
    panels = medians(found)
    figure, every = subplots((10.0, 3.4), 1, len(panels), sharey=True)
    for axes, (split, sets) in zip(every, panels.items(), strict=True):
        for position, system in enumerate(SYSTEMS):
            heights = [sets[name].get(system, np.nan) for name in sets]
            places = np.arange(len(sets)) + (position - (len(SYSTEMS) - 1) / 2) * 0.13
            own = system == PHYSICAL
            axes.bar(places, heights, 0.12, color=_OURS if own else _OTHERS, label=_label(own, position, SYSTEMS))
            for place, height in zip(places, heights, strict=True):
                if np.isfinite(height):
                    axes.annotate(f"{height:.0f}", (place, height), ha="center", va="bottom", fontsize="x-small")
        axes.set_xticks(range(len(sets)), list(sets))
        axes.set(title=_TITLES[split])
    every[0].set(ylabel="median error of joules, %")
    every[0].legend(fontsize="small")
    return as_svg(figure)


def _label(own: bool, position: int, systems: Sequence[str]) -> str | None:
    """Name joulecast and, once, all others together: their names stand in the tables."""
    if own:
        return "joulecast"
    return "five published systems" if position == len(systems) - 1 else None
