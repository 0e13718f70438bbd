"""The laws of seconds that are scored, and what each may see: a new one is added to ``LAWS``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from joulecast.energy.algorithms import KINDS, forms_of, kind_of
from joulecast.energy.datasheets import DataSheet
from joulecast.energy.features import ARITHMETIC, Array, Features, Flags, Index, features
from joulecast.energy.generic import chip_of_sheet, generic, law_of
from joulecast.energy.physical import at_boost, busy
from joulecast.energy.profile import Law
from joulecast.layers import LayerProfile
from joulecast_calibration.fit.latencies import LatencyTable
from joulecast_calibration.fit.table import EAGER

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
        return priced(self, winograd=True)

    @cached_property
    def direct(self) -> Priced:
        return priced(self, winograd=False)


Forecast = Callable[[CardRows, Flags], Array]
"""Seconds of the rows of a card that are asked for; measured seconds of those are never read."""


class SecondsLaw(Protocol):
    """A law that is fitted on some rows of some cards."""

    def fit(self, seen: Sequence[tuple[CardRows, Flags]], sheet: DataSheet) -> Forecast:
        """Fit the rows that are ``seen``, to forecast rows of the card ``sheet``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Priced:
    """What the shipped law says of a card's rows.

    - ``seconds``: (size,) of the whole pass; ``launching``: (size,) of the host's part.
    - ``by_kind``: (size, columns) of the device's, by kind of kernel, at the clock that the power limit leaves.
    """

    seconds: Array
    launching: Array
    by_kind: Array


HOW = ("", " fp32", " last", " wide")
COLUMNS = tuple(f"{kind}{how}" for kind in KINDS for how in HOW)
"""A kind of kernel with arithmetic on tensor cores or none; in fp32 outside them; on images channels last; and without
MACs on elements of 32 bits, whose loads are twice as wide."""
_LAID_OUT = frozenset("pointwise square strided large stem grouped depthwise pool".split()) | {
    "narrow groups",
    "batch norm",
    "resize",
}


def priced(card: CardRows, *, winograd: bool) -> Priced:
    """Price the card's rows by the shipped law, convolutions by the fastest algorithm if ``winograd``."""
    table, chip = card.timed.table, chip_of_sheet(card.sheet)
    law, host = law_of(generic().law, card.sheet), generic().hosts[EAGER]
    computing = None if not winograd else _fastest(table.features, table.layers.tolist(), law, card.sheet)
    found = table.compose(law, host, chip, np.ones(table.size), computing)
    columns = _columns(table.layers.tolist(), table.features)[table.which]
    last = np.array([row.channels_last for row in card.timed.rows], dtype=bool)[table.networks.index]
    laid_out = np.array([kind in _LAID_OUT for kind in KINDS])[columns // len(HOW)]
    columns = np.where(last & laid_out, columns - columns % len(HOW) + HOW.index(" last"), columns)
    by_kind = np.zeros((table.size, len(COLUMNS)))
    np.add.at(by_kind, (table.networks.index, columns), found.busy.seconds * table.networks.count)
    return Priced(seconds=found.seconds, launching=table.launch_seconds(host), by_kind=by_kind)


def _columns(layers: Sequence[LayerProfile], rows: Features) -> Index:
    fp32 = rows.arithmetic == ARITHMETIC.index("fp32")
    wide = np.array([not layer.macs and layer.dtype == "float32" for layer in layers], dtype=bool)
    how = HOW.index(" fp32") * fp32 + HOW.index(" wide") * wide
    kinds = np.array([KINDS.index(kind_of(layer)) for layer in layers], dtype=np.intp)
    return np.asarray(len(HOW) * kinds + how, dtype=np.intp)


def _fastest(rows: Features, layers: Sequence[LayerProfile], law: Law, sheet: DataSheet) -> Array:
    """Return the compute seconds (n,) with which each row takes as long as by its fastest algorithm.

    A convolution in float32 that tensor cores run in tf32 is a direct product.
    """
    chip, clock = chip_of_sheet(sheet), np.ones(rows.bytes.size)
    computing = at_boost(rows, law, chip).compute_seconds.copy()
    outside = np.flatnonzero(rows.arithmetic == ARITHMETIC.index("fp32")).tolist()
    forms = [(place, form) for place in outside for form in forms_of(layers[place])[1:]]
    if not forms:
        return computing
    table = features([form for _, form in forms], precision="fp32", runtime=EAGER, lacks=sheet.lacks)
    spent = busy(table, law, chip, np.ones(len(forms))).seconds
    direct = busy(rows, law, chip, clock).seconds
    for (place, _), seconds in zip(forms, spent.tolist(), strict=True):
        if seconds < direct[place]:
            computing[place] = min(computing[place], seconds)
    return computing


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
        shares, weights = [], []
        own = any(card.sheet is sheet and kept.any() for card, kept in seen)
        for card, kept in seen:
            part = self._of(card)
            busy_rows = kept & (part.launching < card.timed.table.seconds)
            shares.append(part.by_kind[busy_rows] / card.timed.table.seconds[busy_rows, None])
            of_card = 1.0 if card.sheet is sheet or not own else _OTHER_CARD
            weights.append(of_card * _alike(card.families[busy_rows]))
        factors = _fitted(np.concatenate(shares), np.concatenate(weights))
        host = _host(seen, self._of, factors)

        def forecast(card: CardRows, asked: Flags) -> Array:
            part = self._of(card)
            seconds: Array = np.maximum(part.by_kind[asked] @ factors, host * part.launching[asked])
            return seconds

        return forecast

    def _of(self, card: CardRows) -> Priced:
        return card.physical if self.winograd else card.direct


_OTHER_CARD = 0.1
"""Weight of a row of another card beside the card's own rows: it decides kinds that those do not have."""
_PULL = 0.05
"""Of all rows' weight, with which each factor is held at the one of all kernels."""
_TYPICAL = 0.03
"""Relative error beyond which rows count by its size, not its square: tables hold networks that no law explains."""
_ROUNDS = 6
_BOUND = 0.6
"""Of the measured seconds that the device is busy for, below which a row waits for its host."""


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


def _host(seen: Sequence[tuple[CardRows, Flags]], of: Callable[[CardRows], Priced], factors: Array) -> float:
    """Return how much longer the hosts of the rows that wait for them take than the shipped one, which counts as one.

    A host that nobody measured is one more of them: the geometric mean over the runs.
    """
    logs: dict[str, list[float]] = {}
    for card, kept in seen:
        part, measured = of(card), card.timed.table.seconds
        waits = kept & (part.by_kind @ factors < _BOUND * measured) & (part.launching > _BOUND / 2 * measured)
        for place in np.flatnonzero(waits).tolist():
            run = card.timed.rows[place].run
            logs.setdefault(run, []).append(float(np.log(measured[place] / part.launching[place])))
    return float(np.exp(np.mean([0.0, *(np.median(own) for own in logs.values())])))


LAWS: Mapping[str, SecondsLaw] = {TODAY: Today(), BY_KIND: ByKind(), DIRECT: ByKind(winograd=False)}
