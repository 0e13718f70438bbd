"""Forecast a card whose networks nobody measured: by what cards and hosts have in common, and how well it is known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from joulecast.energy.datasheets import DataSheet
from joulecast.energy.features import Array
from joulecast.energy.generic import at_rest, chip_of_sheet, generation_of, law_of
from joulecast.energy.interval import group_weighted_quantile
from joulecast.energy.physical import Composed
from joulecast.energy.profile import Interval, Law
from joulecast_calibration.fit.across.hosts import Draw, Pace, decoding_draws, draw_of, pace_of
from joulecast_calibration.fit.across.population import (
    NORMAL,
    Population,
    base_of,
    donor_of,
    fit_population,
    moving,
    with_times_of,
)
from joulecast_calibration.fit.across.sets import CardSet
from joulecast_calibration.fit.across.timed import of_other_chips, timed_of, with_seconds
from joulecast_calibration.fit.crossvalidation import LEVEL
from joulecast_calibration.fit.shared import shared_coefficients, shares_of_others
from joulecast_calibration.fit.table import Table

FEWEST_LEFT_OUT = 2
"""Sets of different cards from which on one can be forecast by the others."""
UNTESTED = 0.25
"""Log half-width below which no interval is believed where no card could be left out (ADR 0042)."""
_DIFFERENCE = 1e-4
QUANTITIES = 3  # joules, seconds and watts


@dataclass(frozen=True, slots=True, kw_only=True)
class Unseen:
    """A card without rows: its law, an unknown host, and what is not known of both.

    - ``draws``: the hosts that ``pace`` follows from.
    - ``calibration``: (3,) log half-widths that held 90 % of the networks of cards left out, of joules, seconds, watts.
    """

    sheet: DataSheet
    law: Law
    pace: Pace
    population: Population
    draws: tuple[Draw, ...]
    calibration: Array

    def forecast(self, table: Table, clock: Array) -> Composed:
        return table.compose(self.law, self.pace.host, chip_of_sheet(self.sheet), clock)

    def log_half_widths(self, table: Table, clock: Array, *, host: bool = True) -> Array:
        """Return those of the posterior predictive for joules, seconds and watts of each network, (3, size).

        They hold what is not known of the population, the card and, with ``host``, the host, and the residual; none is
        narrower than the calibration.
        """
        predictive = NORMAL * np.sqrt(self._variance(table, clock, host=host) + self.population.residual**2)
        widths: Array = np.maximum(predictive, self.calibration[:, np.newaxis])
        return widths

    def _variance(self, table: Table, clock: Array, *, host: bool) -> Array:
        chip, here = chip_of_sheet(self.sheet), _logs(self.forecast(table, clock))
        laws = moving(self.law, self.population.paths)
        places = [self.population.paths.index(each.path) for each in laws.unknown]
        variance = np.zeros_like(here)
        if places:
            steps = laws.centre - _DIFFERENCE * np.eye(len(places))
            moved = [_logs(table.compose(laws.at(step)[0], self.pace.host, chip, clock)) for step in steps]
            slopes = (here[..., np.newaxis] - np.stack(moved, axis=-1)) / _DIFFERENCE
            spread = self.population.spread[np.ix_(places, places)]
            variance += np.einsum("qnk,kl,qnl->qn", slopes, spread, slopes)
        if host:
            slower = Pace(log_mean=self.pace.log_mean + self.pace.log_spread, log_spread=0.0, hosts=())
            variance += (_logs(table.compose(self.law, slower.host, chip, clock)) - here) ** 2
        return variance

    def interval(self, tables: Sequence[Table]) -> Interval:
        """Return one interval of joules for all networks: the root mean square over those of ``tables``.

        The host is left out, because every forecast adds it as it matters there, and so are networks in an arithmetic
        that the card does not have.
        """
        with np.errstate(all="ignore"):
            widths = [self.log_half_widths(table, np.ones(table.size), host=False)[0] for table in tables]
        found = np.concatenate([self.calibration[:1], *widths])
        known = found[1:][np.isfinite(found[1:])] if np.isfinite(found[1:]).any() else found[:1]
        width = float(np.sqrt(np.mean(known**2)))
        return Interval(
            level=LEVEL,
            log_half_width=width,
            groups=max(len(tables), 1),
            guaranteed=False,
            rule="what is not known of the population's coefficients, the card's deviation and the residual,"
            " never narrower than the errors on cards left out",
        )


def _logs(found: Composed) -> Array:
    return np.log(np.stack([found.joules, found.seconds, found.joules / found.seconds]))


def unseen(
    folder: Path, sheet: DataSheet, sets: Sequence[CardSet], *, without: Sequence[str] = (), tables: bool = True
) -> Unseen:
    """Return the forecast of a card from ``sets`` of other cards and the operator tables of ``folder``.

    ``without``: products of which no joule or watt may be used. ``tables``: whether latency tables of this card or of
    its chip are used; seconds of networks of the card itself then tell its coefficients of time.
    """
    population, draws = fitted_population(folder, sets, without)
    base = base_of(folder, sheet, *without) if tables else alone(folder, sheet, *without)
    law, timed = population.law(base), fitted_seconds(folder, sheet, sets, without) if tables else None
    if timed:
        joint, draws = fitted_population(folder, sets, without, seconds=True)
        law = with_times_of(law, joint.laws[timed.name])
    return Unseen(
        sheet=sheet,
        law=law,
        pace=pace_of(generation_of(sheet), draws),
        population=population,
        draws=draws,
        calibration=calibration(folder, sets, without),
    )


def fitted_seconds(
    folder: Path, sheet: DataSheet, sets: Sequence[CardSet], without: Sequence[str] = ()
) -> CardSet | None:
    """Return the seconds of networks, else of operators, that a card's profile rests on, or None.

    It has none where networks were metered on another card with its chip, which say more. It has none either where a
    product of ``without`` has its chip, because the joint fit leaves out all seconds of such cards.
    """
    if not sets or sheet.architecture in {each.sheet.architecture for each in sets}:
        return None
    return next(iter(of_other_chips(timed_of(folder, sheet), without)), None)


def seconds_of_others(folder: Path, without: Sequence[str] = ()) -> tuple[CardSet, ...]:
    """Return the sets with seconds alone that a fit without the products ``without`` uses."""
    return of_other_chips(with_seconds(folder), without)


def alone(folder: Path, sheet: DataSheet, *without: str) -> Law:
    """Return what the data sheet and cards of other chips say of a card, and other cards' power at rest."""
    shared = shared_coefficients(folder, *without)
    return at_rest(law_of(shares_of_others(shared, sheet), sheet), sheet, shared.rest)


def fitted_population(
    folder: Path, sets: Sequence[CardSet], without: Sequence[str], *, seconds: bool = False
) -> tuple[Population, tuple[Draw, ...]]:
    """Return the fit of ``sets`` and every host that is known from them and from tables of eager decoding.

    ``seconds``: whether sets with seconds alone take part, whose cards have other chips than the products ``without``.
    """
    key = folder, tuple(id(each) for each in sets), tuple(without), seconds
    if key not in _FITTED:
        told = (*sets, *seconds_of_others(folder, without)) if sets and seconds else tuple(sets)
        population = fit_population([donor_of(folder, each, *without) for each in told])
        hosts = [draw_of(each, population.laws[each.name]) for each in told]
        _FITTED[key] = population, (*filter(None, hosts), *decoding_draws(folder)), tuple(sets)
    population, draws, _ = _FITTED[key]
    return population, draws


_FITTED: dict[object, tuple[Population, tuple[Draw, ...], tuple[CardSet, ...]]] = {}
"""Fits by folder, sets and products left out; the sets are kept so that no other one gets their identity."""


def calibration(folder: Path, sets: Sequence[CardSet], without: Sequence[str]) -> Array:
    """Return the log half-widths, (3,), that hold 90 % of the networks of each card by the others, cards weighing the
    same."""
    errors, cards = [], []
    for asked, others in _turns(sets):
        left_out = (*without, asked.product)
        population, draws = fitted_population(folder, others, left_out)
        law, pace = population.law(base_of(folder, asked.sheet, *left_out)), pace_of(generation_of(asked.sheet), draws)
        found = asked.table.compose(law, pace.host, chip_of_sheet(asked.sheet), asked.clock_shares)
        truth = np.stack([asked.table.joules, asked.table.seconds, asked.table.joules / asked.table.seconds])
        off = np.abs(_logs(found) - np.log(truth))
        known = np.isfinite(off).all(axis=0)
        errors.append(off[:, known])
        cards += [asked.name] * int(known.sum())
    if not errors:
        return np.full(QUANTITIES, UNTESTED)
    return np.array([group_weighted_quantile(values, cards, LEVEL) for values in np.concatenate(errors, axis=1)])


def _turns(sets: Sequence[CardSet]) -> Iterator[tuple[CardSet, tuple[CardSet, ...]]]:
    for asked in sets:
        others = tuple(each for each in sets if each.sheet is not asked.sheet and each.name != asked.name)
        if others and len({each.product for each in sets}) >= FEWEST_LEFT_OUT:
            yield asked, others
