"""Fit the law on networks of several cards together: what all cards have in common, and what each has of its own.

The logarithm of coefficient k of card c is base(c, k) + μ(k) + δ(c, k): ``base`` is what data sheets and tables of
operators say, μ ~ N(0, S/2) is common to all cards and δ ~ N(0, S/2) the card's own. Data-sheet limits are in ``base``,
so μ and δ are changes of shares of them (ADR 0166). Cards with seconds alone tell coefficients of time (ADR 0169).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from joulecast.energy.datasheets import DataSheet
from joulecast.energy.features import Array, Flags
from joulecast.energy.generic import chip_of_sheet
from joulecast.energy.physical import COMPUTE_FIELDS, HIGHEST_CLOCK, LOWEST_CLOCK, Chip, compute_seconds
from joulecast.energy.profile import Host, Law
from joulecast_calibration.fit.across.sets import CardSet
from joulecast_calibration.fit.cards import HOST
from joulecast_calibration.fit.coefficients import Coefficient, Laws, spread_of
from joulecast_calibration.fit.crossvalidation import LEVEL
from joulecast_calibration.fit.networks import PRIOR_WEIGHT, TIME_WEIGHT, balanced, robust, robust_slope
from joulecast_calibration.fit.prior import movable_coefficients
from joulecast_calibration.fit.search import weights
from joulecast_calibration.fit.shared import shared_coefficients, transferred_law
from joulecast_calibration.fit.table import Table

OWN_SHARE = 0.5
"""Share of a coefficient's variance about its base that is the card's own; the rest is common to all cards.

Fixed before any card was scored, for two or three cards cannot tell it."""
HALF_SPREAD = 0.1
"""Spread of a coefficient of fp16 about bf16's, which the same units compute (ADR 0169)."""
_HALVES = {f"law.{name}.fp16": f"law.{name}.bf16" for name in ("compute_efficiency", "flop_joules")}
OFFSET_SPREAD = 0.1
"""Spread of the log seconds that a table of several cards adds to all its rows (ADR 0169)."""
_OF_ENERGY = tuple(
    f"law.{name}"
    for name in ("flop_joules", "instruction_joules", "byte_joules", "static_watts", "clock_watts", "gap_watts",
                 "held_share", "voltage_floor", "voltage_exponent")
)  # fmt: skip
"""Coefficients that seconds do not move: they act on time through the power limit alone."""
PACE = 0.35
"""Spread of the pace of a family of kernels: what its instructions and its memory traffic have in common."""
_PACED: tuple[Mapping[str, float], ...] = (
    *({f"law.family_memory.{name}": -1.0, f"law.instructions.{name}": 1.0}
      for name in ("softmax", "broadcast", "other", "normalisation")),
    {"law.family_compute.batched": -1.0, "law.family_memory.batched": -1.0},
)  # fmt: skip
NORMAL = 1.645
"""Of a normal distribution: 90 % lie within as many standard deviations."""
_STEPS = 30
_SETTLED = 1e-4  # of the sum of squares, below which a further step gains nothing
_DIFFERENCE = 1e-6
_DAMPING = 1e-3, 1e-6, 6.0  # at the start, least, and its change after a step that gained or lost
_TRIES = 8
_FAR = 0.1  # change of a coefficient's logarithm beyond which derivatives of a timed card are computed anew


@dataclass(frozen=True, slots=True, kw_only=True)
class Donor:
    """Networks of one card with everything that a fit of them needs.

    - ``laws``: what is known of the card and host without their rows, and the coefficients that the rows may move.
    - ``clock``: (size,) clock over boost.
    - ``truth``: (2, size) logarithms of joules and seconds, nan where not measured.
    - ``source``: the table whose offset its seconds have; empty where they have none.
    """

    name: str
    laws: Laws
    chip: Chip
    table: Table
    clock: Array
    weight: Array
    truth: Array
    source: str = ""

    def logs(self, vector: Array, computing: Array | None = None) -> Array:
        """Return log joules and log seconds of each network, (2, size); ``computing``: its products' seconds."""
        law, host = self.laws.at(vector)
        found = self.table.compose(law, host, self.chip, self.clock, computing)
        return np.log(np.stack([found.joules, found.seconds]))

    def residuals(self, vector: Array, offset: float = 0.0) -> Array:
        """Return the weighted errors of all joules, then of all seconds, to which the table adds ``offset``."""
        found: Array = (self.weight * robust(self._off(self.logs(vector), offset))).ravel()
        return found

    def slopes(self, vector: Array) -> Array:
        """Return the derivatives of ``logs``, (2, size, coefficients); 0 where nothing was measured."""
        computing = compute_seconds(self.table.features, self.laws.at(vector)[0], self.chip)
        here = self.logs(vector, computing)
        found = np.zeros((*here.shape, vector.size))
        for at, unknown in enumerate(self.laws.unknown):
            step = np.zeros(vector.size)
            step[at] = _DIFFERENCE
            known = None if unknown.path.split(".")[1] in COMPUTE_FIELDS else computing
            found[..., at] = (self.logs(vector - step, known) - here) / -_DIFFERENCE
        found[~np.isfinite(self.truth)] = 0.0
        return found

    def linearised(self, vector: Array, offset: float, slopes: Array) -> tuple[Array, Array]:
        """Return ``residuals`` and their derivatives, last the one by the offset; ``slopes``: of ``logs``."""
        off = self._off(self.logs(vector), offset)
        added = np.isfinite(self.truth) & np.array([[False], [True]])
        rows = (self.weight * robust_slope(off))[..., np.newaxis] * np.concatenate([slopes, added[..., None]], axis=-1)
        return (self.weight * robust(off)).ravel(), rows.reshape(-1, vector.size + 1)

    def network_errors(self, vector: Array) -> Array:
        """Return forecast less measured log joules of each network whose joules were measured."""
        kept = self.table.is_network & np.isfinite(self.truth[0])
        errors: Array = self._off(self.logs(vector), 0.0)[0, kept]
        return errors

    def _off(self, logs: Array, offset: float) -> Array:
        off: Array = np.nan_to_num(logs + np.array([[0.0], [offset]]) - self.truth)
        return off


def donor_of(folder: Path, found: CardSet, *without: str) -> Donor:
    """Prepare the networks of ``found``; nothing is known of joules or watts of the products ``without``.

    Networks that this project measured are fitted at the clock that was measured, which their limit has lowered.
    """
    sheet, table, clock = found.sheet, found.fitted, found.clock_shares
    law = base_of(folder, sheet, *without)
    laws = Laws(law=law, host=HOST, unknown=())
    chip = chip_of_sheet(sheet)
    if found.own:
        chip = replace(chip, power_limit_watts=math.inf)
        measured = table.clock_mhz / (sheet.boost_mhz or math.nan)
        clock = np.clip(np.nan_to_num(measured, nan=1.0), LOWEST_CLOCK, HIGHEST_CLOCK)
    weight = weights(table.rows) if found.own else balanced([row.families[0] for row in table.rows])
    unknown = movable_coefficients(laws, table)
    if not np.isfinite(table.joules).any():
        unknown = tuple(each for each in unknown if not each.path.startswith(_OF_ENERGY))
    return Donor(
        name=found.name,
        laws=replace(laws, unknown=unknown),
        chip=chip,
        table=table,
        clock=clock,
        weight=np.stack([weight, TIME_WEIGHT * weight]),
        truth=np.log(np.stack([table.joules, table.seconds])),
        source=found.source,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Population:
    """What cards have in common.

    - ``paths``: (k,) coefficients of the law that networks moved.
    - ``common``: (k,) μ, the logarithm of what networks say beyond data sheets and operators.
    - ``spread``: (k, k) covariance of a card's coefficients about its base and μ: what is not known of μ, and δ.
    - ``laws``, ``hosts``: law and host of each set; what its rows do not move is that of a card without rows.
    - ``offsets``: log seconds that each table of several cards adds.
    - ``residual``: standard deviation of a network's log joules about the law of its own card, by the errors that 90 %
      of them have at most.
    """

    paths: tuple[str, ...]
    common: Array
    spread: Array
    hosts: Mapping[str, Host]
    laws: Mapping[str, Law]
    residual: float
    offsets: Mapping[str, float] = field(default_factory=dict)

    def law(self, base: Law) -> Law:
        """Return the law of a card without rows, of which ``base`` is known."""
        laws = moving(base, self.paths)
        shifts = np.array([self.common[self.paths.index(each.path)] for each in laws.unknown])
        return laws.at(np.minimum(laws.centre + shifts, laws.highest))[0]


def with_times_of(law: Law, timed: Law) -> Law:
    """Return ``law`` with those coefficients of ``timed`` that are not of energy."""
    times = [each.name for each in fields(Law) if f"law.{each.name}" not in _OF_ENERGY]
    return replace(law, **{name: getattr(timed, name) for name in times})


NOBODY = Population(paths=(), common=np.zeros(0), spread=np.zeros((0, 0)), hosts={}, laws={}, residual=0.0)
"""What is known of cards where no networks were measured."""


def moving(law: Law, paths: Iterable[str]) -> Laws:
    """Return ``law`` with those coefficients at ``paths`` that it has, or 1 for a family that it does not name."""
    fixed = Laws(law=law, host=HOST, unknown=())
    centres = {path: fixed.value(path) or (1.0 if path.startswith("law.family_") else None) for path in paths}
    unknown = [Coefficient(path=p, centre=c, spread=spread_of(p)) for p, c in centres.items() if c is not None]
    return replace(fixed, unknown=tuple(unknown))


def covariance(paths: Sequence[str]) -> Array:
    """Return S: the variances of ``SPREADS``, and what coefficients of one family or of one unit have in common."""
    told = np.array([_HALVES.get(path, path) for path in paths])
    found: Array = (told[:, np.newaxis] == told) * np.array([spread_of(path) ** 2 for path in told.tolist()])
    found += np.diag([HALF_SPREAD**2 if path in _HALVES else 0.0 for path in paths])
    for paced in _PACED:
        along = np.array([paced.get(path, 0.0) for path in paths])
        found += PACE**2 * np.outer(along, along)
    return found


def fit_population(donors: Sequence[Donor]) -> Population:
    """Fit μ, and δ and the host of each donor, by robust least squares with priors."""
    if not donors:
        return NOBODY
    fit = _JointFit(donors)
    with threadpool_limits(limits=1):
        vector = fit.search()
        information = fit.normal_equations(vector)[0]
    size, places = len(fit.paths), fit.split(vector)
    own = OWN_SHARE * covariance(fit.paths)
    known = PRIOR_WEIGHT**2 * np.linalg.inv(information)[:size, :size]
    off = [donor.network_errors(place) for donor, place in zip(donors, places, strict=True)]
    found = Population(
        paths=fit.paths,
        common=vector[:size],
        spread=known + own,
        hosts={donor.name: donor.laws.at(place)[1] for donor, place in zip(donors, places, strict=True)},
        laws={},
        residual=_residual(np.concatenate(off)),
        offsets=fit.offsets(vector),
    )
    laws = (replace(donor.laws, law=found.law(donor.laws.law)) for donor in donors)
    return replace(found, laws={d.name: law.at(own)[0] for d, law, own in zip(donors, laws, places, strict=True)})


def _residual(errors: Array) -> float:
    """Return the standard deviation of log joules ``errors``; 0 where only seconds were fitted."""
    return float(np.quantile(np.abs(errors), LEVEL)) / NORMAL if errors.size else 0.0


class _JointFit:
    """The least-squares problem of μ, then the offsets of tables, then the coefficients and host of each donor."""

    def __init__(self, donors: Sequence[Donor]) -> None:
        self._donors = donors
        self.paths = tuple(sorted({u.path for d in donors for u in d.laws.unknown if u.path.startswith("law.")}))
        self._sources = tuple(sorted({donor.source for donor in donors if donor.source}))
        starts = np.cumsum([len(self.paths) + len(self._sources), *(len(donor.laws.unknown) for donor in donors)])
        self._places = [slice(start, end) for start, end in pairwise(starts.tolist())]
        self._size = int(starts[-1])
        self._prior, self._wanted = self._priors()
        self._highest = np.full(self._size, np.inf)
        for donor, place in zip(donors, self._places, strict=True):
            self._highest[place] = donor.laws.highest
        self._slopes: dict[str, tuple[Array, Array]] = {}  # of timed cards, and where they were computed

    def split(self, vector: Array) -> list[Array]:
        return [vector[place] for place in self._places]

    def offsets(self, vector: Array) -> dict[str, float]:
        """Return the log seconds that each table of several cards adds."""
        return dict(zip(self._sources, vector[len(self.paths) :].tolist(), strict=False))

    def _priors(self) -> tuple[Array, Array]:
        """Return the rows A and b of ‖A·vector − b‖², the priors of μ, of offsets, of each δ and of each host."""
        common = covariance(self.paths)
        rows = [self._rows(_root(common * (1 - OWN_SHARE)), [list(range(len(self.paths)))], [1.0])]
        offsets = range(len(self.paths), len(self.paths) + len(self._sources))
        rows.append(self._rows(PRIOR_WEIGHT / OFFSET_SPREAD * np.eye(len(offsets)), [list(offsets)], [1.0]))
        wanted = [np.zeros(len(self.paths) + len(offsets))]
        for donor, place in zip(self._donors, self._places, strict=True):
            unknown = donor.laws.unknown
            law = [at for at, each in enumerate(unknown) if each.path in self.paths]
            host = [at for at in range(len(unknown)) if at not in law]
            mine = [self.paths.index(unknown[at].path) for at in law]
            own = _root(common[np.ix_(mine, mine)] * OWN_SHARE)
            launches = np.diag([PRIOR_WEIGHT / unknown[at].spread for at in host])
            rows.append(self._rows(own, [[place.start + at for at in law], mine], [1.0, -1.0]))
            rows.append(self._rows(launches, [[place.start + at for at in host]], [1.0]))
            centre = donor.laws.centre
            wanted += [own @ centre[law], launches @ centre[host]]
        return np.concatenate(rows), np.concatenate(wanted)

    def _rows(self, root: Array, columns: Sequence[Sequence[int]], signs: Sequence[float]) -> Array:
        rows = np.zeros((root.shape[0], self._size))
        for own, sign in zip(columns, signs, strict=True):
            rows[:, own] = sign * root
        return rows

    def search(self) -> Array:
        """Return the solution, by Gauss-Newton steps that are damped as far as they must be to gain."""
        vector = np.zeros(self._size)
        for donor, place in zip(self._donors, self._places, strict=True):
            vector[place] = donor.laws.start
        error, damping = self._error(vector), _DAMPING[0]
        for _ in range(_STEPS):
            exact = not self._slopes
            matrix, slope = self.normal_equations(vector)
            before = error
            for _ in range(_TRIES):
                tried = self._stepped(vector, matrix, slope, damping)
                if (tried_error := self._error(tried)) < error:
                    vector, error = tried, tried_error
                    break
                damping *= _DAMPING[2]
            if before - error < _SETTLED * before:
                if exact:
                    break
                self._slopes.clear()
                damping = _DAMPING[0]
            damping = max(damping / _DAMPING[2], _DAMPING[1])
        return vector

    def _stepped(self, vector: Array, matrix: Array, slope: Array, damping: float) -> Array:
        """Return the point one step away; a coefficient at its bound that would pass it stays."""
        free: Flags = ~((vector >= self._highest) & (slope < 0))
        change = np.zeros(self._size)
        damped = matrix + damping * np.diag(np.diag(matrix))
        change[free] = np.linalg.solve(damped[np.ix_(free, free)], -slope[free])
        stepped: Array = np.minimum(vector + change, self._highest)
        return stepped

    def _error(self, vector: Array) -> float:
        offsets = self.offsets(vector)
        rows = sum(
            float(np.sum(donor.residuals(own, offsets.get(donor.source, 0.0)) ** 2))
            for donor, own in zip(self._donors, self.split(vector), strict=True)
        )
        return float(np.sum((self._prior @ vector - self._wanted) ** 2)) + rows

    def normal_equations(self, vector: Array) -> tuple[Array, Array]:
        """Return JᵀJ and Jᵀr of all residuals and priors at ``vector``."""
        matrix = self._prior.T @ self._prior
        slope = self._prior.T @ (self._prior @ vector - self._wanted)
        offsets = self.offsets(vector)
        for donor, place in zip(self._donors, self._places, strict=True):
            own, offset = vector[place], offsets.get(donor.source, 0.0)
            off, slopes = donor.linearised(own, offset, self._slopes_of(donor, own))
            at = np.arange(place.start, place.stop)
            if donor.source:
                at = np.append(at, len(self.paths) + self._sources.index(donor.source))
            slopes = slopes[:, : at.size]
            matrix[np.ix_(at, at)] += slopes.T @ slopes
            slope[at] += slopes.T @ off
        return matrix, slope

    def _slopes_of(self, donor: Donor, vector: Array) -> Array:
        """Return the derivatives of a donor; of a timed one those of a near point, where they are known."""
        if not donor.source:
            return donor.slopes(vector)
        known = self._slopes.get(donor.name)
        if known is None or np.abs(vector - known[0]).max() > _FAR:
            self._slopes[donor.name] = known = vector.copy(), donor.slopes(vector)
        return known[1]


def _root(spread: Array) -> Array:
    """Return rows whose sum of squares is the prior of covariance ``spread`` at the weight of priors."""
    return PRIOR_WEIGHT * np.linalg.cholesky(np.linalg.inv(spread)).T


def base_of(folder: Path, sheet: DataSheet, *without: str) -> Law:
    """Return what data sheets, tables of operators and power at rest of other cards than ``without`` say of a card."""
    return transferred_law(shared_coefficients(folder, *without), sheet)
