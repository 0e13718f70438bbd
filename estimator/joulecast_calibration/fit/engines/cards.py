"""Fit the seconds of each card with tables, complete what its tables lack from other cards, and measure transfer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import numpy as np
from scipy.optimize import least_squares

from joulecast.accelerators.catalogue import find
from joulecast.energy.engines.coefficients import DEGREES, KERNELS, Collective, KernelLaw, generation_of
from joulecast.energy.engines.law import Limits
from joulecast.energy.engines.pricing import limits_of
from joulecast.energy.features import Array
from joulecast.energy.profile import AcceleratorProfile
from joulecast_calibration.fit.engines.kinds import CARDS, KINDS
from joulecast_calibration.fit.engines.seconds import HeldOut, fit_kind, held_out
from joulecast_calibration.rows.engines.collectives import Messages, all_reduces
from joulecast_calibration.rows.engines.timed import Timed

_FEWEST = 40  # measurements below which a table tells too little of six coefficients
_ROBUST = 0.3  # of log residuals of collectives: their kernels change with the size of the message


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Coefficients of seconds that tables determined: some kinds, some degrees."""

    kernels: Mapping[str, KernelLaw]
    collectives: Mapping[str, Collective]


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedCard:
    """A card with tables.

    - ``own``: what they determined; ``rows``: the tables by kind, kept for scores.
    - ``errors``: on held-out measurements by kind.
    """

    profile: AcceleratorProfile
    own: Timing
    rows: Mapping[str, Timed]
    errors: Mapping[str, HeldOut]

    @property
    def product(self) -> str:
        return self.profile.product

    @property
    def generation(self) -> str:
        return generation_of(self.profile.architecture)

    @property
    def limits(self) -> Limits:
        return limits_of(self.profile)

    @property
    def watts_per_flops(self) -> float:
        return self.profile.power_limit_watts / self.profile.peak_flops["bf16"]


def fit_cards(folder: Path) -> tuple[FittedCard, ...]:
    """Fit every card of which ``folder`` has tables."""
    found = (fit_card(folder, product) for product in CARDS)
    return tuple(card for card in found if card.rows)


def fit_card(folder: Path, product: str) -> FittedCard:
    """Fit every kind of which ``folder`` has a table of ``product``."""
    profile, rows = find(product), tables_of(folder, product)
    limits, kernels, errors = limits_of(profile), {name: kind.start for name, kind in KINDS.items()}, {}
    for name, table in rows.items():
        start = kernels[KINDS[name].like or name]
        kernels[name] = fit_kind(name, table, limits, kernels, start, KINDS[name].free)
        error = held_out(table, limits, kernels)
        if error is not None:
            errors[name] = error
    own = Timing(
        kernels={name: kernels[name] for name in rows},
        collectives=fit_collectives(all_reduces(folder, CARDS[product])),
    )
    return FittedCard(profile=profile, own=own, rows=rows, errors=errors)


def tables_of(folder: Path, product: str) -> Mapping[str, Timed]:
    """Return the tables of a card by kind, those that are too small left out."""
    found = {name: kind.read(folder, CARDS[product]) for name, kind in KINDS.items()}
    return {name: rows for name, rows in found.items() if rows is not None and len(rows.passes) >= _FEWEST}


def fit_collectives(messages: Mapping[str, Messages]) -> Mapping[str, Collective]:
    """Fit latency and bandwidth of each degree to the logarithms of its seconds."""
    return {degree: _collective(found) for degree, found in messages.items() if degree in DEGREES}


def _collective(found: Messages) -> Collective:
    def residuals(logarithms: Array) -> Array:
        latency, pace = np.exp(logarithms)
        off: Array = np.log(latency + found.bytes * pace) - np.log(found.seconds)
        return off

    start = np.log([found.seconds.min(), found.seconds.max() / found.bytes.max()])
    latency, pace = np.exp(least_squares(residuals, start, loss="soft_l1", f_scale=_ROBUST).x).tolist()
    return Collective(latency_seconds=latency, bytes_per_second=1 / pace)


def completed(own: Timing | None, cards: Sequence[FittedCard], generation: str) -> Timing:
    """Return every kind and degree: ``own``, else the mean of ``cards`` of the generation, else of all, else a start.

    Kinds of which no table tells are priced by where searches begin. A kind that is fitted like another one, of which
    nearer tables tell, takes all but the share of the peak from that one.
    """
    same = [card for card in cards if card.generation == generation]
    ranks: list[list[Timing]] = [[own] if own else [], [c.own for c in same], [c.own for c in cards]]
    return Timing(
        kernels={name: _law(ranks, name) for name in KERNELS},
        collectives={
            degree: found for degree in DEGREES for found in [_first(_mean_link(rank, degree) for rank in ranks)]
        },
    )


def _law(ranks: Sequence[Sequence[Timing]], name: str) -> KernelLaw:
    rank, law = _nearest(ranks, name)
    kind = KINDS[name]
    if kind.like is None:
        return law
    nearer, base = _nearest(ranks, kind.like)
    return replace(base, compute_share=law.compute_share) if nearer < rank else law


def _nearest(ranks: Sequence[Sequence[Timing]], name: str) -> tuple[int, KernelLaw]:
    """Return the mean law of the first rank that has the kind, and which one that is."""
    for number, rank in enumerate(ranks):
        if law := _mean_law(rank, name):
            return number, law
    return len(ranks), KINDS[name].start


def _first(links: Iterable[Collective | None]) -> Collective:
    return next(link for link in links if link is not None)


def _mean_law(timings: Iterable[Timing], name: str) -> KernelLaw | None:
    laws = [asdict(timing.kernels[name]) for timing in timings if name in timing.kernels]
    if not laws:
        return None
    return KernelLaw(**{field.name: float(np.mean([law[field.name] for law in laws])) for field in fields(KernelLaw)})


def _mean_link(timings: Iterable[Timing], degree: str) -> Collective | None:
    links = [timing.collectives[degree] for timing in timings if degree in timing.collectives]
    if not links:
        return None
    pace = float(np.exp(np.mean([np.log(link.bytes_per_second) for link in links])))
    return Collective(latency_seconds=float(np.mean([link.latency_seconds for link in links])), bytes_per_second=pace)


def transferred_errors(card: FittedCard, cards: Sequence[FittedCard]) -> Mapping[str, HeldOut]:
    """Return the errors on the held-out rows of ``card`` of coefficients that no table of it determined."""
    others = [other for other in cards if other.product != card.product]
    if not others:
        return {}
    timing = completed(None, others, card.generation)
    found = {name: held_out(rows, card.limits, timing.kernels) for name, rows in card.rows.items()}
    return {name: error for name, error in found.items() if error is not None}
