"""An evaluation as the page ``docs/accuracy.md``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from joulecast.calibration.evaluate.biases import Bias, biases
from joulecast.calibration.evaluate.contenders import PHYSICAL, SYSTEMS
from joulecast.calibration.evaluate.families import families
from joulecast.calibration.evaluate.protocol import (
    ARCHITECTURE,
    FAMILY,
    IN_SAMPLE,
    VISION_TRAINED,
    ZERO_SHOT,
    Evaluation,
)
from joulecast.calibration.evaluate.repeats import repeats
from joulecast.calibration.evaluate.report import HEADER, cells, percent
from joulecast.calibration.evaluate.scores import Forecasts, Score
from joulecast.calibration.evaluate.targets import targets
from joulecast.calibration.evaluate.transfer import DATASHEET, TRANSFERRED
from joulecast.calibration.systems.catalogue import LAYER_WISE

MEANINGS: Mapping[str, str] = {
    ARCHITECTURE: "Each architecture forecast by a fit of the others; its interval nested in the same way.",
    FAMILY: "Each family forecast by a fit of the others; its interval nested in the same way. Families are lineages "
    "across libraries, and those of which two networks share more than half of one's FLOPs in identical configurations "
    "are one.",
    TRANSFERRED: "No joule and no watt of this card was used: latency tables, data sheet, operator power of other "
    "cards.",
    IN_SAMPLE: "The rows that were fitted themselves: how well the form can do at all. Not a forecast.",
}
"""What each split means, in the order of the page."""

STUDIES: Mapping[str, str] = {
    ZERO_SHOT: "Language models that generate text, by fits that saw none of them.",
    DATASHEET: "`physical` as if no table of this card or of its chip were known: the limits of its data sheet, and "
    "coefficients that cards of other chips share.",
    VISION_TRAINED: "By fits of vision networks alone: those by a fit of the other ones, the rest by a fit of all.",
}

_INTRODUCTION = """# Accuracy

Written by `joulecast evaluate --data DIR --page docs/accuracy.md`; nothing here is edited by hand.

APE is the absolute percentage error of joules per batch. Coverage is the share of rows inside the 90 % interval, \
half-width its median half length in percent of the
forecast. The row `macro` counts every architecture once. \
A forecast sees a row's model, configuration, precision, batch, sequence, mode, attention and clock lock, \
and nothing else of it.

No joules measured by this project stand behind these figures yet: every row below was measured by others. The sets \
are development checks:
the form of the law and the priors of its coefficients were chosen with one of them in sight \
([ADR 0116](adr/0116-tiles-waves-and-instructions.md)). Transferred intervals follow a rule \
fixed before the rows were first scored that way
([ADR 0041](adr/0041-width-of-transferred-intervals.md)) and are never tuned.

The other systems are those of the literature, on the same rows and by the same protocol, each fitted by precision and \
given a factor for the clock:
[wattlayer](systems/wattlayer.md), [mac-linear](systems/mac-linear.md), [hidden-joules](systems/hidden-joules.md), \
[neuralpower](systems/neuralpower.md), [getzner](systems/getzner.md).
They are our reading of their papers, not their authors' code. Those marked \\* are aggregate-fitted: their papers fit \
them on measured layers, here they are fitted
on sums by layer type.
"""

SETS = {
    "energaizer_a100": "Whole forward passes on one A100-PCIE-40GB with locked clocks, seven architectures, "
    "PyTorch eager (EnergAIzer, arXiv 2604.20105, MIT). "
    "Four language models are most of the rows, so read the macro average too. FP32 rows run convolutions in TF32.",
}
"""What a set is, where that is known; any other one is named after its folder."""

_OTHER_SET = "A folder of measured networks in the same columns."
_NOT_MEASURED = """
Targets on rows measured by this project (median ≤ 5 %, mean ≤ 8 %, max ≤ 40 % in each of vision, NLP and audio) wait \
for such rows.
"""


_RESIDUALS = """
### What the residuals of physical show

Forecast less measured on architectures left out, in percent of measured: the median says to which side a group is \
off, half its middle half what is left beside that.
What was tried is told in the record of decisions on the law ([ADR 0116](adr/0116-tiles-waves-and-instructions.md) \
and those that follow it).

"""


def as_page(found: Evaluation) -> str:
    """docs/accuracy.md."""
    parts = [_INTRODUCTION]
    for name in sets_of(found):
        parts += _of_set(found, name)
    if found.unscored:
        parts.append("\n## Not scored\n\n| set | split | rows | why |\n|---|---|---:|---|\n")
        parts += [f"| {entry.set} | {entry.split} | {entry.n} | {entry.reason} |\n" for entry in found.unscored]
    return "".join(parts)


def sets_of(found: Evaluation) -> tuple[str, ...]:
    """Names of the sets that were scored."""
    return tuple(dict.fromkeys(forecasts.set for forecasts in found.forecasts))


def described(name: str) -> str:
    """What a set is."""
    return SETS.get(name, _OTHER_SET)


def own_lines(found: Evaluation, name: str) -> tuple[Score, ...]:
    """The scores of the set ``name`` and its parts."""
    return tuple(line for line in found.results if line.set == name or line.set.startswith(f"{name} "))


def _of_set(found: Evaluation, name: str) -> Iterator[str]:
    own = own_lines(found, name)
    yield f"\n## {name}\n\n{described(name)}\n"
    yield from _targets(own, name)
    yield from _compared(own, name)
    yield from _studied(own, name)
    yield from _residuals(found, name)
    for split, meaning in MEANINGS.items():
        if not (split == FAMILY and repeated(own, name)):
            yield from _split(split, meaning, own, name)
    yield from _noise(found, name)


def _targets(lines: Sequence[Score], name: str) -> Iterator[str]:
    known = list(targets(lines, name))
    if known:
        yield "\n### Targets\n\n" + _markdown(("target", "wanted", "found", "")) + _markdown(["---"] * 4)
        yield from (_markdown((each.name, each.wanted, each.found, each.verdict)) for each in known)
        yield _NOT_MEASURED


def _compared(lines: Sequence[Score], name: str) -> Iterator[str]:
    """All systems, a row each, for every task of a split."""
    yield "\n### All systems\n"
    for split in MEANINGS:
        own = [line for line in lines if line.split == split and line.set == name]
        if split == FAMILY and repeated(lines, name):
            yield f"\n{split}: the same, for every architecture is a family of its own.\n"
        else:
            yield from _beside(split, own)


def repeated(lines: Sequence[Score], name: str) -> bool:
    """Whether leaving families out says what leaving architectures out does."""
    by_family, by_architecture = (
        [replace(line, split="") for line in lines if line.split == split and line.set == name]
        for split in (FAMILY, ARCHITECTURE)
    )
    return by_family == by_architecture


def _residuals(found: Evaluation, name: str) -> Iterator[str]:
    """Where ``physical`` is off on architectures that it did not see."""
    for own in found.forecasts:
        if (own.set, own.split, own.system, own.study) == (name, ARCHITECTURE, PHYSICAL, ""):
            yield _RESIDUALS + _markdown(BIAS_HEADER) + _markdown(["---"] + ["---:"] * 3)
            yield from (_markdown(bias_cells(each)) for each in biases(own))


BIAS_HEADER = ("rows of", "n", "median, signed", "half the middle half")


def bias_cells(each: Bias) -> tuple[str, ...]:
    """A bias under ``BIAS_HEADER``."""
    return each.group, str(each.n), f"{each.signed:+.1f} %", f"{each.spread:.1f} %"


def _studied(lines: Sequence[Score], name: str) -> Iterator[str]:
    for study, meaning in STUDIES.items():
        own = [line for line in lines if line.set == f"{name} {study}"]
        yield from _beside(f"{study}: {meaning[0].lower()}{meaning[1:]}", own)


def _beside(title: str, lines: Sequence[Score]) -> Iterator[str]:
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
            yield _markdown((labelled(system), *(_short(own[task]) for task in tasks)))


def labelled(system: str) -> str:
    """The system's name, marked where it is aggregate-fitted."""
    return system + (r" \*" if system in LAYER_WISE else "")


def _short(line: Score) -> str:
    return (
        f"{percent(line.median_ape)} / {percent(line.mean_ape)} / {percent(line.max_ape)} %,"
        f" {line.interval_coverage:.2f} (± {line.interval_half_width:,.0f} %)"
    )


def _split(split: str, meaning: str, lines: Sequence[Score], name: str) -> Iterator[str]:
    """Every part of a split, of ``physical`` alone."""
    own = [line for line in lines if (line.split, line.system) == (split, PHYSICAL) and not _of_study(line, name)]
    if not own:
        return
    yield f"\n### physical, {split}\n\n{meaning}\n\n"
    yield _markdown(HEADER) + _markdown(["---"] * 2 + ["---:"] * 7)
    for line in own:
        yield _markdown(cells(line, line.set.removeprefix(name).strip() or "all"))


def _of_study(line: Score, name: str) -> bool:
    return any(line.set.startswith(f"{name} {study}") for study in STUDIES)


def _noise(found: Evaluation, name: str) -> Iterator[str]:
    own = reference(found, name)
    yield f"\n### Noise and families\n\n{repeats(own.rows, own.truth)}\n\n{kin_sentence(own)}\n"


def reference(found: Evaluation, name: str) -> Forecasts:
    """Forecasts of every row of the set ``name``."""
    return next(each for each in found.forecasts if each.set == name and not each.study)


def kin_sentence(own: Forecasts) -> str:
    """Which families stand together, and how the strict rule compares with the loose one."""
    named = sorted(set(families(own.rows)))
    return (
        f"Families held out together: {'; '.join(named)}. Networks alone are fitted here, no layers of their own, so "
        "the strict split (no layer configuration of the held-out family in the fit) and the loose one are the same."
    )


def _markdown(row: Iterable[str]) -> str:
    return "| " + " | ".join(row) + " |\n"
