"""The shipped table of engines' coefficients: what was fitted on which rows, and how accurate it is."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from joulecast.energy.engines.coefficients import Card, Die, Engine, Step
from joulecast.energy.profile import AcceleratorProfile, FittedFrom
from joulecast_calibration.fit.engines.cards import (
    FittedCard,
    Timing,
    completed,
    fit_cards,
    transferred_errors,
)
from joulecast_calibration.fit.engines.joules import CardEnergies, fit_energies, mean_energies
from joulecast_calibration.fit.engines.joules import transferred_errors as watts_errors
from joulecast_calibration.fit.engines.kinds import KINDS
from joulecast_calibration.fit.engines.seconds import HeldOut

_DIGITS = 4  # significant digits of a coefficient: beyond any error, and the same on every machine
_HELD_SHARE = 0.97  # where no power is known, as in fit.shared
STEP = Step(
    seconds=5e-4,
    sequence_seconds=4e-6,
    origin="assumed, not fitted: half a millisecond a step and 4 us a sequence for scheduling and sampling, a tenth of"
    " the 5 ms that a pass of Llama 8B takes on an H100, where vLLM's developers call the host's share pronounced"
    " (vLLM V1, 24 January 2025)",
)
_OPERATORS = ("NVIDIA aiconfigurator, operator benchmarks", "github.com/ai-dynamo/aiconfigurator", "Apache-2.0")
_VIDUR = ("Vidur, operator latency", "github.com/microsoft/vidur", "MIT")


def engine_of(folder: Path, step: Step = STEP) -> Engine:
    """Fit everything that ``folder`` has tables of.

    ``step``: what is known of the time between passes. ``joulecast fit --served`` fits it with these coefficients.
    """
    cards = fit_cards(folder)
    energies = {card.product: found for card in cards if (found := fit_energies(folder, card.profile))}
    generations = sorted({card.generation for card in cards})
    return Engine(
        step=step,
        cards={card.product: _own(card, cards, energies) for card in cards},
        generations={name: _shared(cards, name, energies) for name in generations},
        other=_shared(cards, "", energies),
        fitted_from=tuple(_sources(cards, energies)),
    )


def _own(card: FittedCard, cards: Sequence[FittedCard], energies: Mapping[str, CardEnergies]) -> Card:
    timing = completed(card.own, cards, card.generation)
    own = energies.get(card.product)
    return Card(
        tables=(card.product,),
        kernels=_with_energies(timing, own, list(energies.values())),
        collectives=timing.collectives,
        metered=tuple(own.kinds) if own else (),
        held_share=own.held_share if own else _mean_held(energies),
        watts_per_flops=card.watts_per_flops,
        held_out=figures(
            card, transferred_errors(card, cards), watts_errors(own, list(energies.values())) if own else {}
        ),
    )


def _shared(cards: Sequence[FittedCard], generation: str, energies: Mapping[str, CardEnergies]) -> Card:
    same = [card for card in cards if card.generation == generation] or list(cards)
    timing = completed(None, cards, generation)
    own = [energies[card.product] for card in same if card.product in energies]
    return Card(
        tables=tuple(card.product for card in same),
        kernels=_with_energies(timing, None, own or list(energies.values())),
        collectives=timing.collectives,
        held_share=_mean_held(energies),
        watts_per_flops=float(np.mean([card.watts_per_flops for card in same])),
        die=die_of([card.profile for card in same]) if generation else None,
    )


def die_of(profiles: Sequence[AcceleratorProfile]) -> Die | None:
    """Return what computing costs on the die of ``profiles``, from those whose watts were measured; None without any.

    Of a generation with several dies it is that of the first one.
    """
    known = [each for each in profiles if each.origin in ("measured", "public") and each.boost_clock_mhz]
    names = [name for each in known for name in each.architecture.split()[1:2]]
    own = [each for each in known if each.architecture.split()[1:2] == names[:1]]
    if not names:
        return None
    return Die(
        name=names[0],
        cards=tuple(each.product for each in own),
        boost_clock_mhz=float(np.mean([each.boost_clock_mhz for each in own])),
        flop_joules=float(np.mean([each.law.flop_joules["bf16"] for each in own])),
        byte_joules=float(np.mean([each.law.byte_joules for each in own])),
    )


def _with_energies(timing: Timing, own: CardEnergies | None, others: Sequence[CardEnergies]) -> Mapping[str, Any]:
    """Return the kernels with a card's own energies where power tells them, else the mean over other cards."""
    found = {}
    for name, law in timing.kernels.items():
        known = [own] if own and name in own.kinds else others
        flop, byte = mean_energies(known, name)
        found[name] = replace(law, flop_energy=flop, byte_energy=byte)
    return found


def _mean_held(energies: Mapping[str, CardEnergies]) -> float:
    return float(np.mean([found.held_share for found in energies.values()])) if energies else _HELD_SHARE


def figures(card: FittedCard, transferred: Mapping[str, HeldOut], watts: Mapping[str, float]) -> dict[str, float]:
    """Return the errors of a card by kind, as ``held_out`` keeps them.

    ``median_ape``, ``mean_ape``: of seconds of shapes that the fit did not see; ``transferred_…``: of the same with
    the coefficients of other cards; ``watts_transferred_…``: of power with the energies of other cards.
    """
    found: dict[str, float] = {}
    for name, error in card.errors.items():
        found |= {f"{name}.median_ape": error.median, f"{name}.mean_ape": error.mean}
        found[f"{name}.rows"] = float(error.measurements)
    for name, error in transferred.items():
        found |= {f"{name}.transferred_median_ape": error.median, f"{name}.transferred_mean_ape": error.mean}
    return found | {f"{name}.watts_transferred_median_ape": error for name, error in watts.items()}


def _sources(cards: Sequence[FittedCard], energies: Mapping[str, CardEnergies]) -> list[FittedFrom]:
    found = []
    for name, kind in KINDS.items():
        owner = _VIDUR if name == "pass" else _OPERATORS
        sizes = [len(card.rows[name].passes) for card in cards if name in card.rows]
        if sizes:
            what = f"seconds of {kind.what} on {len(sizes)} cards"
            found.append(_source(owner, what, sum(sizes)))
    cells = sum(own.cells for card in energies.values() for own in card.kinds.values())
    if cells:
        found.append(_source(_OPERATORS, f"upper mode of power over 1 ms on {', '.join(energies)}", cells))
    return found


def _source(owner: tuple[str, str, str], what: str, rows: int) -> FittedFrom:
    name, origin, licence = owner
    return FittedFrom(name=name, what=what, rows=rows, origin=origin, licence=licence)


def text_of(engine: Engine) -> str:
    """Return the table as JSON text; equal coefficients give equal text."""
    document = {"schema_version": 1, "engines": {"vllm": asdict(engine)}, "aliases": {"sglang": "vllm"}}
    return json.dumps(rounded(document), indent=1, sort_keys=True) + "\n"


def rounded(value: Any) -> Any:
    """Return ``value`` with four significant digits in every number of it."""
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}")
    if isinstance(value, dict):
        return {name: rounded(own) for name, own in value.items()}
    return [rounded(own) for own in value] if isinstance(value, list | tuple) else value


def table_of(engine: Engine) -> str:
    """Return errors as lines of text, in percent, a card and a kind each: those that ``figures`` tells."""
    wide = 2 + max((len(product) for product in engine.cards), default=0)
    lines = [f"{'card':<{wide}}{'kind':<20}{'rows':>6}{'median':>8}{'mean':>8}{'transferred':>14}{'watts':>8}"]
    for product, card in engine.cards.items():
        for name in KINDS:
            if f"{name}.rows" in card.held_out:
                lines.append(f"{product:<{wide}}{name:<20}{_cells(card.held_out, name)}")
    return "\n".join(lines) + "\n"


def _cells(figures: Mapping[str, float], name: str) -> str:
    def percent(figure: str, width: int) -> str:
        value = figures.get(f"{name}.{figure}")
        return f"{'-' if value is None else f'{100 * value:.1f}':>{width}}"

    rows = f"{figures[f'{name}.rows']:>6.0f}"
    moved = percent("transferred_median_ape", 14)
    return (
        f"{rows}{percent('median_ape', 8)}{percent('mean_ape', 8)}{moved}{percent('watts_transferred_median_ape', 8)}"
    )
