"""Build what is known of the accelerator before a fit, and select the coefficients that its rows may move."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from importlib.resources import files

import numpy as np

from joulecast.accelerators.catalogue import find
from joulecast.energy.features import ARITHMETIC, FAMILIES, Array
from joulecast.energy.physical import Chip, chip_of
from joulecast.energy.profile import AcceleratorProfile, Host
from joulecast_calibration.fit.coefficients import SPREADS, Coefficient, Laws, spread_of
from joulecast_calibration.fit.journal import MeasuredRows
from joulecast_calibration.fit.table import Table

_OWN_PACE = ("batched", "attention", "convolution", "depthwise", "recurrent")
"""Families whose multiplication rate differs from a matrix product's."""
_SEEN = 3
"""Fewest rows of an arithmetic or family that move its own coefficients; fewer would fit noise."""
_UNCAPPED = 0.9
"""Quantile of the clocks measured that counts as boost: the highest one may be a wrong reading."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prior:
    """The starting point of a fit.

    - ``profile``: as shipped or from the data sheet, at the power limit and boost clock of the measured card.
    - ``laws``: its law with the coefficients that may move.
    - ``measured_host``: the host's measured constants; None where the rows have to determine them.
    """

    profile: AcceleratorProfile
    laws: Laws
    chip: Chip
    measured_host: Host | None

    def clock_shares(self, table: Table) -> Array:
        """Return the measured clock of each row over boost; 1 where it was not read."""
        boost = self.profile.boost_clock_mhz or math.nan
        return np.nan_to_num(np.minimum(table.clock_mhz / boost, 1.0), nan=1.0)

    @property
    def uncapped(self) -> Chip:
        """Return the chip without a power limit, for rows at their own clock, which the cap has already lowered."""
        return replace(self.chip, power_limit_watts=math.inf)


PRIORS = "priors"
"""Folder beside the shipped profiles: what was known of a card before its own rows were fitted."""


def known_of(product: str) -> AcceleratorProfile:
    """Return what is shipped or stated of ``product`` without rows of this project, to keep the fit independent of
    them.

    Raises UnknownAcceleratorError, NotCalibratedError.
    """
    found = find(product)
    path = files("joulecast.energy").joinpath("profiles", PRIORS, f"{found.product}.json")
    return AcceleratorProfile.from_json(path.read_text("utf-8")) if path.is_file() else found


def prior_of(journal: MeasuredRows, table: Table, known: AcceleratorProfile) -> Prior:
    """Adapt ``known`` to the measured card, and select the coefficients that rows of ``table`` determine."""
    profile = _as_measured(known, journal, table)
    host = _host(journal)
    laws = Laws(law=profile.law, host=host or profile.hosts["torch-eager"], unknown=())
    return Prior(
        profile=profile,
        laws=replace(laws, unknown=movable_coefficients(laws, table)),
        chip=chip_of(profile),
        measured_host=host,
    )


def _as_measured(known: AcceleratorProfile, journal: MeasuredRows, table: Table) -> AcceleratorProfile:
    """Set the limit and boost clock to the measured ones; scale the peaks, which hold at the boost clock."""
    limit = journal.power_limit_watts or known.power_limit_watts
    clocks = table.clock_mhz[np.isfinite(table.clock_mhz)]
    if not clocks.size:
        return replace(known, power_limit_watts=limit)
    boost = float(np.quantile(clocks, _UNCAPPED))
    rise = boost / known.boost_clock_mhz if known.boost_clock_mhz else 1.0
    peaks = {name: peak * rise for name, peak in known.peak_flops.items()}
    return replace(known, power_limit_watts=limit, boost_clock_mhz=boost, peak_flops=peaks)


def _host(journal: MeasuredRows) -> Host | None:
    """Return the means over the runs that measured the host."""
    names = [field.name for field in fields(Host) if field.name.endswith("_seconds")]
    found = [[getattr(row.host_constants, name) for name in names] for row in journal.constants if row.host_constants]
    whole = [seconds for seconds in found if None not in seconds]
    if not whole:
        return None
    owner = journal.hosts[0] if journal.hosts else "the host that was measured"
    means = np.mean(np.array(whole, dtype=float), axis=0).tolist()
    return Host(measured_on=owner, **dict(zip(names, means, strict=True)))


def movable_coefficients(laws: Laws, table: Table) -> tuple[Coefficient, ...]:
    """Return the coefficients of ``SPREADS`` that the rows determine, and the speed of each family of kernels in them.

    A host's launch costs move too where they were measured: on tiny modules they take less than half of what they take
    in a real network.
    """
    families, arithmetics = _seen(table)
    paths = dict.fromkeys([*SPREADS, *_own_paths(families, arithmetics)])
    told = [path for path in paths if _told(path, families, arithmetics, table)]
    return tuple(
        Coefficient(path=path, centre=centre, spread=spread_of(path))
        for path in told
        if (centre := _centre(laws, path)) is not None and centre > 0
    )


def _own_paths(families: Sequence[str], arithmetics: Sequence[str]) -> Iterator[str]:
    """Yield the coefficients of the families and arithmetics that occur in the rows."""
    for family in families:
        yield f"law.family_memory.{family}"
        if family in _OWN_PACE:
            yield f"law.family_compute.{family}"
    for arithmetic in arithmetics:
        yield f"law.compute_efficiency.{arithmetic}"
        yield f"law.flop_joules.{arithmetic}"


def _told(path: str, families: Sequence[str], arithmetics: Sequence[str], table: Table) -> bool:
    part, _, rest = path.partition(".")
    key = rest.partition(".")[2]
    if part == "host":
        return any(row.eager for row in table.rows)
    if key in ARITHMETIC:
        return key in arithmetics
    return key not in FAMILIES or key in families


def _centre(laws: Laws, path: str) -> float | None:
    """Return the value that the law has at ``path``, or 1 for a family that it does not name."""
    try:
        found = laws.value(path)
    except AttributeError:  # a coefficient of another form of the law
        return None
    return 1.0 if found is None and path.startswith("law.family_") else found


def _seen(table: Table) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the families and arithmetics that occur in enough measured rows."""
    names = []
    for column, known in ((table.features.family, FAMILIES), (table.features.arithmetic, ARITHMETIC)):
        pairs = set(zip(table.networks.index.tolist(), column[table.which].tolist(), strict=True))
        counts = np.bincount([kind for _, kind in pairs if kind >= 0], minlength=len(known))
        names.append(tuple(name for name, count in zip(known, counts.tolist(), strict=True) if count >= _SEEN))
    return names[0], names[1]
