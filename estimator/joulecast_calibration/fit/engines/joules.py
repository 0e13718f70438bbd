"""Fit the energy of operations and bytes of each kind of kernel to the power of cards whose tables have it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.optimize import least_squares

from joulecast.energy.engines.coefficients import KernelLaw
from joulecast.energy.engines.law import joules_of, static_watts
from joulecast.energy.engines.table import passes_of
from joulecast.energy.features import Array
from joulecast.energy.profile import AcceleratorProfile
from joulecast_calibration.rows.engines.power import METERED, metered
from joulecast_calibration.rows.engines.timed import ENGINE, Timed

NARROWER: Mapping[str, float] = {".fp8": 0.5, ".fp8_block": 0.5, ".int8": 0.5, ".fp4": 0.25}
"""Joules of an operation relative to one in bf16 before any power is read: as its bits, which is what peak rates at
equal power say."""
_PULL = 0.05
"""Of a logarithm to its prior, a measurement. Rows at the power limit only bound an energy from below; this keeps it
near (as in fit.operators)."""
_FARTHEST = np.log(3.0)
"""From the prior: kernels at the limit say less than that an energy is large, and what is too much for one of them
would be taken from those that run beside it."""
_AT_LIMIT = 0.75  # quantile of the cells' watts: most of them are at the limit, and meters read a little above it
_FEWEST = 5  # cells below which two energies are not fitted


@dataclass(frozen=True, slots=True, kw_only=True)
class Energies:
    """Energies of one kind relative to the accelerator's law, from so many cells of power."""

    flop_energy: float
    byte_energy: float
    cells: int


def prior_of(kind: str) -> tuple[float, float]:
    """Return the energies of a kind whose power no table has."""
    return next((share for end, share in NARROWER.items() if kind.endswith(end)), 1.0), 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CardEnergies:
    """What the power of a card tells.

    - ``kinds``: energies by kind; ``rows``: the cells of power that they were fitted on.
    - ``held_share``: of its limit that kernels at the limit draw.
    """

    profile: AcceleratorProfile
    rows: Mapping[str, Timed]
    kinds: Mapping[str, Energies]
    held_share: float


def fit_energies(folder: Path, profile: AcceleratorProfile) -> CardEnergies | None:
    """Return the energies of every kind that the power tables of this card determine, None where it has none."""
    found = metered(folder, METERED[profile.product]) if profile.product in METERED else {}
    kept = {kind: rows for kind, rows in found.items() if len(rows.passes) >= _FEWEST and rows.watts is not None}
    if not kept:
        return None
    watts = np.concatenate([_measured(rows) for rows in kept.values()])
    held = min(float(np.quantile(watts, _AT_LIMIT)) / profile.power_limit_watts, 1.0)
    return CardEnergies(
        profile=profile,
        rows=kept,
        kinds={kind: _fitted(kind, rows, profile, held) for kind, rows in kept.items()},
        held_share=held,
    )


def transferred_errors(card: CardEnergies, cards: Sequence[CardEnergies]) -> Mapping[str, float]:
    """Return the median error of power by kind, as a share, with the energies that the other cards' power tells."""
    others = [other for other in cards if other.profile.product != card.profile.product]
    if not others:
        return {}
    held = float(np.mean([other.held_share for other in others]))
    return {kind: _median_error(kind, rows, card.profile, others, held) for kind, rows in card.rows.items()}


def _median_error(
    kind: str, rows: Timed, profile: AcceleratorProfile, others: Sequence[CardEnergies], held: float
) -> float:
    forecast = _watts(kind, rows, profile, *mean_energies(others, kind), held)
    return float(np.median(np.abs(forecast / _measured(rows) - 1)))


def _measured(rows: Timed) -> Array:
    if rows.watts is None:
        raise ValueError("these rows carry no power")
    return rows.watts


def _fitted(kind: str, rows: Timed, profile: AcceleratorProfile, held: float) -> Energies:
    prior, measured = np.log(prior_of(kind)), np.log(_measured(rows))
    pull = _PULL * np.sqrt(measured.size)

    def residuals(logarithms: Array) -> Array:
        flop, byte = np.exp(logarithms).tolist()
        off = np.log(_watts(kind, rows, profile, flop, byte, held)) - measured
        return np.concatenate([off, pull * (logarithms - prior)])

    found = least_squares(residuals, prior, bounds=(prior - _FARTHEST, prior + _FARTHEST))
    flop, byte = np.exp(found.x).tolist()
    return Energies(flop_energy=flop, byte_energy=byte, cells=measured.size)


def _watts(kind: str, rows: Timed, profile: AcceleratorProfile, flop: float, byte: float, held: float) -> Array:
    """Return the power of each measurement at its own seconds, capped at what the card's control holds."""
    law = profile.law
    passes = passes_of(rows.passes, ENGINE)
    own = KernelLaw(compute_share=1.0, memory_share=1.0, tail_seconds=0.0, flop_energy=flop, byte_energy=byte)
    switched, moved = joules_of(passes.table, _Only(kind, own), law)
    dynamic = passes.sum(switched + moved) / rows.seconds
    watts: Array = np.minimum(static_watts(law, 1.0) + dynamic, held * profile.power_limit_watts)
    return watts


class _Only(dict[str, KernelLaw]):
    """One kind's energies, and those of the general law for passes beside it."""

    def __init__(self, kind: str, law: KernelLaw) -> None:
        super().__init__({kind: law})

    def __missing__(self, kind: str) -> KernelLaw:
        return KernelLaw(compute_share=1.0, memory_share=1.0, tail_seconds=0.0)


def mean_energies(found: Sequence[CardEnergies], kind: str) -> tuple[float, float]:
    """Return the mean over cards of a kind's energies, or the prior where no card has them."""
    own = [energies.kinds[kind] for energies in found if kind in energies.kinds]
    if not own:
        return prior_of(kind)
    return float(np.mean([each.flop_energy for each in own])), float(np.mean([each.byte_energy for each in own]))
