"""The laws of seconds that are scored, and what each may see: a new one is added to ``LAWS``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from joulecast.energy.datasheets import DataSheet
from joulecast.energy.features import Array, Flags
from joulecast_calibration.evaluate.timed.pricing import Priced, priced
from joulecast_calibration.fit.latencies import LatencyTable

TODAY, BY_KIND, DIRECT = "physical", "kinds", "kinds without Winograd"
"""The shipped law of a data sheet, fitted on nothing; its rows' seconds times a factor for each kind of kernel, fitted;
the same with every convolution as a direct product."""


@dataclass(frozen=True)
class CardRows:
    """Rows of one card.

    - ``sheet``: its data sheet; ``timed``: its rows; ``families``: (size,) their lineages.
    """

    sheet: DataSheet
    timed: LatencyTable
    families: NDArray[np.object_]

    @cached_property
    def physical(self) -> Priced:
        return priced(self.sheet, self.timed, winograd=True)

    @cached_property
    def direct(self) -> Priced:
        return priced(self.sheet, self.timed, winograd=False)


Forecast = Callable[[CardRows, Flags], Array]
"""Seconds of the rows of a card that are asked for; measured seconds of those are never read."""


class SecondsLaw(Protocol):
    """A law that is fitted on some rows of some cards."""

    def fit(self, seen: Sequence[tuple[CardRows, Flags]], sheet: DataSheet) -> Forecast:
        """Fit the rows that are ``seen``, to forecast rows of the card ``sheet``."""


class Today:
    """The shipped law, which is fitted on no row of these tables."""

    def fit(self, seen: Sequence[tuple[CardRows, Flags]], sheet: DataSheet) -> Forecast:  # noqa: ARG002
        """Return the forecast by the data sheet of each row's card."""
        return lambda card, asked: card.direct.seconds[asked]


@dataclass(frozen=True, slots=True, kw_only=True)
class ByKind:
    """The shipped law with a factor for each kind of kernel.

    Relative errors are fitted, families counted alike however many networks they have. Rows of other cards decide what
    the card's own rows do not; factors that nothing decides stay near the one of all kernels.
    """

    winograd: bool = True

    def fit(self, seen: Sequence[tuple[CardRows, Flags]], sheet: DataSheet) -> Forecast:
        """Fit the factors, and how fast the host launches."""
        parts = [_Seen(self._of(card), card, kept) for card, kept in seen]
        own = any(card.sheet is sheet and kept.any() for card, kept in seen)
        weights = [(1.0 if part.card.sheet is sheet or not own else _OTHER_CARD) * part.alike for part in parts]
        clocks = _usual_clocks(parts)
        shares = [part.shares(clock) for part, clock in zip(parts, clocks, strict=True)]
        factors = _fitted(np.concatenate(shares), np.concatenate(weights))
        host = _host(parts, factors)

        def forecast(card: CardRows, asked: Flags) -> Array:
            part = self._of(card)
            seconds: Array = np.maximum(part.device_seconds(factors, asked), host * part.launching[asked])
            return seconds

        return forecast

    def _of(self, card: CardRows) -> Priced:
        return card.physical if self.winograd else card.direct


_OTHER_CARD = 0.1
"""Weight of a row of another card beside the card's own rows: it decides kinds that those do not have."""
_PULL = 0.025
"""Of all rows' weight, with which each factor is held at the one of all kernels."""
_TYPICAL = 0.06
"""Relative error beyond which rows count by its size, not its square: tables hold networks that no law explains."""
_ROUNDS = 6
_BOUND = 0.6
"""Of the measured seconds that the device is busy for, below which a row waits for its host."""
_TELLING = 3
"""Rows that wait for a host below which they do not tell how fast it is."""
_CLOCK_ROUNDS = 2


@dataclass(frozen=True)
class _Seen:
    """Rows of a card that a fit sees: those ``kept`` that no host slows."""

    priced: Priced
    card: CardRows
    kept: Flags

    @cached_property
    def rows(self) -> Flags:
        busy: Flags = self.kept & (self.priced.launching < self.measured)
        return busy

    @property
    def measured(self) -> Array:
        return self.card.timed.table.seconds

    @property
    def alike(self) -> Array:
        return _alike(self.card.families[self.rows])

    def shares(self, clock: Array) -> Array:
        """Return what each kind of kernel takes of the measured seconds (rows, columns) at the ``clock`` (rows,)."""
        seconds = self.priced.by_kind[self.rows] + (1 / clock - 1)[:, None] * self.priced.computing[self.rows]
        shares: Array = seconds / self.measured[self.rows, None]
        return shares


def _usual_clocks(parts: Sequence[_Seen]) -> list[Array]:
    """Return the clocks of the rows of each part, where all kernels take the same multiple of the law's seconds."""
    clocks = [np.ones(int(part.rows.sum())) for part in parts]
    for _ in range(_CLOCK_ROUNDS):
        ratios = [1 / part.shares(clock).sum(axis=1) for part, clock in zip(parts, clocks, strict=True)]
        factors = np.full(parts[0].priced.by_kind.shape[1], float(np.median(np.concatenate(ratios))))
        clocks = [part.priced.clocks(factors, part.rows) for part in parts]
    return clocks


def _alike(families: NDArray[np.object_]) -> Array:
    """Return weights with which a family of n networks counts √n times as much as a single one."""
    names, place, number = np.unique(families.astype(str), return_inverse=True, return_counts=True)
    return np.asarray(1 / np.sqrt(number[place]), dtype=float) if names.size else np.zeros(0)


def _fitted(shares: Array, weights: Array) -> Array:
    """Return the factors (columns,) with which the shares of the measured seconds add up to 1."""
    typical = float(np.median(1 / shares.sum(axis=1)))
    pull = _PULL**2 * float((weights**2).sum()) * np.eye(shares.shape[1])
    factors = np.full(shares.shape[1], typical)
    for _ in range(_ROUNDS):
        off = np.maximum(np.abs(shares @ factors - 1), _TYPICAL)
        now = weights**2 * _TYPICAL / off
        triangle = np.linalg.cholesky(shares.T @ (shares * now[:, None]) + pull).T  # the normal equations' own root
        wanted = shares.T @ now + pull.sum(axis=1) * typical
        factors, _ = nnls(triangle, np.linalg.solve(triangle.T, wanted))
    return factors


def _host(parts: Sequence[_Seen], factors: Array) -> float:
    """Return how much longer the hosts of the rows that wait for them take than the shipped one.

    A host that nobody measured is taken for the geometric mean over the runs; where none tells, for the shipped one.
    """
    logs: dict[str, list[float]] = {}
    for part in parts:
        launching, measured = part.priced.launching, part.measured
        device = part.priced.device_seconds(factors)
        waits = part.kept & (device < _BOUND * measured) & (launching > _BOUND / 2 * measured)
        for place in np.flatnonzero(waits).tolist():
            run = part.card.timed.rows[place].run
            logs.setdefault(run, []).append(float(np.log(measured[place] / launching[place])))
    told = [float(np.median(own)) for own in logs.values() if len(own) >= _TELLING]
    return float(np.exp(np.mean(told))) if told else 1.0


LAWS: Mapping[str, SecondsLaw] = {TODAY: Today(), BY_KIND: ByKind(), DIRECT: ByKind(winograd=False)}
