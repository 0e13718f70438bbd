"""Name the rows that a profile was fitted from, with their owners and licences."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

from joulecast.energy.datasheets import DataSheet
from joulecast.energy.profile import OF_ALL_CARDS, OF_THIS_CARD, OPERATORS_OF_THIS_CARD, FittedFrom
from joulecast_calibration.fit.across.hosts import Draw
from joulecast_calibration.fit.across.sets import CardSet
from joulecast_calibration.fit.cards import FittedCard
from joulecast_calibration.fit.shared import shared_coefficients
from joulecast_calibration.rows.operators import CARDS, FP32_CARDS

_OPERATORS = FittedFrom(
    name="NVIDIA aiconfigurator, operator benchmarks",
    what="seconds of bf16 products and attention",
    rows=3000,
    origin="github.com/ai-dynamo/aiconfigurator",
    licence="Apache-2.0",
)
_NEUSIGHT = FittedFrom(
    name="NeuSight, operator latency",
    what=f"seconds of fp32 operators on {len(FP32_CARDS)} cards",
    rows=3000,
    origin="github.com/sitar-lab/NeuSight",
    licence="MIT",
)
_OURS = "rows of joulecast measure"
_TABLES = {_OPERATORS.origin: "aiconfigurator_ops", _NEUSIGHT.origin: "neusight_latency"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Owner:
    """Whose rows a folder of data holds: the beginning of its name decides."""

    folder: str
    name: str
    origin: str
    licence: str


_OWNERS = (
    _Owner(
        folder="energaizer",
        name="EnergAIzer, measured networks",
        origin="github.com/yifueve/energaizer-ispass26-artifact",
        licence="MIT",
    ),
    _Owner(
        folder="quantised_eager",
        name="EcoCompute, eager generation",
        origin="github.com/hongping-zh/ecocompute-dynamic-eval, github.com/hongping-zh/ecocompute-ai",
        licence="MIT; CC BY 4.0 (creativecommons.org/licenses/by/4.0), (c) 2026 Hongping Zhang, joined and rounded",
    ),
    _Owner(
        folder="co2_inference",
        name="Power Hungry Processing, measured inference",
        origin="github.com/sashavor/co2_inference",
        licence="MIT",
    ),
    _Owner(
        folder="timm_latency",
        name="timm, inference benchmark",
        origin="github.com/huggingface/pytorch-image-models",
        licence="Apache-2.0",
    ),
    _Owner(
        folder="nvidia_dle_latency",
        name="NVIDIA DeepLearningExamples, ConvNets",
        origin="github.com/NVIDIA/DeepLearningExamples",
        licence="BSD-3-Clause",
    ),
    _Owner(
        folder="vidur_op_latency", name="Vidur, operator latency", origin="github.com/microsoft/vidur", licence="MIT"
    ),
)


def sources_of_card(folder: Path, card: FittedCard) -> Iterator[FittedFrom]:
    """Yield every source of a card's profile."""
    yield from card.sources
    for donor in card.donors:
        what = f"joules and seconds of whole networks on {donor.gpu}"
        yield _source(donor.name, what, len(donor.rows), "a set of its own")
    timed = card.sheet.labels[0] in CARDS or card.sheet.architecture == "Ampere GA100"
    if timed and _holds(folder, _OPERATORS):
        yield _OPERATORS
    power = shared_coefficients(folder).power
    if power:
        what = f"upper mode of power of bf16 products over 0.1 ms on {', '.join(power)}"
        yield replace(_OPERATORS, what=what, rows=len(power) * 40)
    if _holds(folder, _NEUSIGHT):
        yield _NEUSIGHT


def sources_of_all_cards(folder: Path, networks: Sequence[CardSet], draws: Sequence[Draw]) -> Iterator[FittedFrom]:
    """Yield every source of the coefficients of a card that only its data sheet describes."""
    products = f"{_OPERATORS.what}, power of bf16 products"
    operators = (
        replace(_OPERATORS, what=products, rows=3000 * len(CARDS)),
        replace(_NEUSIGHT, what="seconds of fp32 operators", rows=3000 * len(FP32_CARDS)),
    )
    yield from (source for source in operators if _holds(folder, source))
    yield from of_other_cards(networks, draws)


def _holds(folder: Path, source: FittedFrom) -> bool:
    """Decide whether ``folder`` has the tables of operators of ``source``."""
    return (folder / _TABLES[source.origin]).is_dir()


def of_other_cards(
    networks: Iterable[CardSet],
    draws: Iterable[Draw],
    timed: Iterable[CardSet] = (),
    sheet: DataSheet | None = None,
) -> Iterator[FittedFrom]:
    """Yield the sources of what all cards and hosts have in common, and of a card's own seconds.

    ``networks``: sets with joules of cards other than ``sheet``; ``timed``: sets with seconds alone, of any card.
    """
    named = set()
    for found in networks:
        named.add(found.name)
        what = f"{OF_ALL_CARDS}{found.product} say of all cards"
        yield _source(found.name, what, found.fitted.size, _OURS)
    whose = _whose(sheet)
    for (table, of_this_card), sets in groupby(sorted(timed, key=whose), key=whose):
        own = list(sets)
        named.add(table)
        what = _told_by(own, of_this_card=of_this_card)
        yield _source(table, what, sum(each.fitted.size for each in own), _OURS)
    others = [draw for draw in draws if draw.table not in named]
    for folder in dict.fromkeys(draw.table for draw in others):
        hosts = [draw for draw in others if draw.table == folder]
        what = f"launch times of hosts: {', '.join(draw.name for draw in hosts)}"
        yield _source(folder, what, sum(draw.rows for draw in hosts), _OURS)


def _told_by(sets: Sequence[CardSet], *, of_this_card: bool) -> str:
    """Say what the seconds of one table are used for: ``sets`` are those of this card or those of all others."""
    networks = bool(sets[0].fitted.is_network.any())
    if of_this_card:
        return OF_THIS_CARD if networks else OPERATORS_OF_THIS_CARD
    cards = ", ".join(each.product for each in sets)
    return f"what seconds of {'networks' if networks else 'operators'} on {cards} say of all cards"


def _whose(sheet: DataSheet | None) -> Callable[[CardSet], tuple[str, bool]]:
    return lambda found: (found.source, found.sheet is sheet)


def _source(table: str, what: str, rows: int, unknown: str) -> FittedFrom:
    """Return the source of rows of ``table``; ``unknown``: its origin where nobody is known to own the table."""
    for owner in _OWNERS:
        if table.startswith(owner.folder):
            return FittedFrom(name=owner.name, what=what, rows=rows, origin=owner.origin, licence=owner.licence)
    return FittedFrom(name=table, what=what, rows=rows, origin=unknown, licence="as its folder says")
