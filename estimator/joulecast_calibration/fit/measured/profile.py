"""From the rows of one accelerator to its profile."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from joulecast.energy.features import ARITHMETIC
from joulecast.energy.profile import AcceleratorProfile, EnergyRows, FittedFrom
from joulecast_calibration.fit.measured.card import Prior, known_of, prior_of
from joulecast_calibration.fit.measured.heldout import HeldOut, figures, interval_of, leave_families_out
from joulecast_calibration.fit.measured.journal import Journal, read
from joulecast_calibration.fit.measured.search import Found, search
from joulecast_calibration.fit.measured.table import Table, table_of
from joulecast_calibration.fit.profiles import hosts


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedRows:
    """Everything that a fit made: ``profile`` is what is kept."""

    journal: Journal
    table: Table
    prior: Prior
    found: Found
    held: HeldOut
    profile: AcceleratorProfile


def fit_measured(
    paths: Sequence[Path],
    *,
    known: AcceleratorProfile | None = None,
    advanced: Callable[[float], None] = lambda _: None,
) -> FittedRows:
    """The profile of the rows in ``paths``, journals or folders of them. ``known``: of the accelerator before; what is
    shipped of it unless given. ``advanced`` is told the share that is done.

    Raises MeasurementError for rows that cannot be fitted, UnknownAcceleratorError and NotCalibratedError for an
    accelerator whose limits nobody states.
    """
    journal = read(paths)
    known = known or known_of(journal.product)
    table = table_of(journal, lacks=known.lacks)
    prior = prior_of(journal, table, known)
    found = search(prior, table)
    advanced(0.1)  # of the time: one search from the prior, and a short one for each family
    held = leave_families_out(prior, table, found, advanced=lambda share: advanced(0.1 + 0.9 * share))
    profile = _profile(journal, table, prior, found, held)
    return FittedRows(journal=journal, table=table, prior=prior, found=found, held=held, profile=profile)


def _profile(journal: Journal, table: Table, prior: Prior, found: Found, held: HeldOut) -> AcceleratorProfile:
    known = prior.profile
    eager = found.fitted.host
    owner = journal.hosts[0] if journal.hosts else "the host that was measured"
    if any(row.eager for row in table.rows) or prior.measured_host:
        eager = replace(eager, measured_on=owner)
    profile = replace(
        known,
        origin="measured",
        law=found.fitted.law,
        hosts=hosts(eager),
        interval=interval_of(held, known.interval),
        energy_rows=_energy_rows(table),
        fitted_from=(_source(journal, table), *known.fitted_from),
        held_out=figures(held),
        training_range=_range(table),
        driver=journal.drivers[0] if journal.drivers else None,
        suite=journal.suite,
        simulated=journal.simulated,
    )
    return AcceleratorProfile.from_json(profile.to_json())


def _energy_rows(table: Table) -> tuple[EnergyRows, ...]:
    """Which op types, in which arithmetics, have joules of this accelerator: any where networks were measured."""
    seen = sorted({ARITHMETIC[kind] for kind in table.features.arithmetic.tolist() if kind >= 0})
    op_types = {"*"} if table.is_network.any() else {row.op_type for row in table.rows}
    return (EnergyRows(origin="measured", arithmetics=tuple(seen), op_types=tuple(sorted(op_types))),)


def _source(journal: Journal, table: Table) -> FittedFrom:
    networks = int(table.is_network.sum())
    cards = len({row.hold.split("|")[0] for row in table.rows})
    runs = len({row.hold for row in table.rows})
    made = "simulated device" if journal.simulated else "joulecast measure"
    return FittedFrom(
        name=made,
        what=f"joules of {networks} networks and {table.size - networks} layers, {runs} runs on {cards} cards",
        rows=table.size,
        origin="the rows given to joulecast fit",
        licence="of whoever measured them",
    )


def _range(table: Table) -> dict[str, tuple[float, float]]:
    """Smallest and largest FLOPs and bytes of a row that was fitted; both 0 where no row had any."""
    columns = {"flops": table.features.flops, "bytes": table.features.bytes}
    positive = {name: values[values > 0] for name, values in columns.items()}
    return {
        name: (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
        for name, values in positive.items()
    }
