"""Forecasts of a card's networks by fits that saw no joule of it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np

from joulecast.energy.datasheets import DataSheet
from joulecast.energy.features import Array, Flags
from joulecast.energy.generic import chip_of_sheet, law_of
from joulecast.energy.names import sheet_named
from joulecast.energy.profile import Host, Interval
from joulecast.estimation import OTHER_HOST
from joulecast_calibration.evaluate.contenders import PHYSICAL
from joulecast_calibration.evaluate.evaluation import DATASHEET, TRANSFERRED
from joulecast_calibration.evaluate.scores import Forecasts
from joulecast_calibration.evaluate.systems.catalogue import FORMS, fit_system
from joulecast_calibration.evaluate.systems.features import NetworkFeatures, network_features
from joulecast_calibration.fit.cards import HOST, network_sets, transferred_card, transferred_interval
from joulecast_calibration.fit.holdout import interval_width
from joulecast_calibration.fit.networks import Fitted, clock_shares, forecast_networks
from joulecast_calibration.fit.shared import share, shares_of_others
from joulecast_calibration.rows.networks import NetworkRow, NetworkSet, Truth, stacked


def transferred(folder: Path, sheet: DataSheet, found: NetworkSet) -> Iterator[Forecasts]:
    """Every row by each system that can; ``physical`` by a profile that saw no joule and no watt of this card."""
    card = transferred_card(folder, sheet)
    yield _forecasts(found, PHYSICAL, *forecast_on(card.fitted, card.interval, sheet, found))
    yield replace(_forecasts(found, PHYSICAL, *_from_datasheet(folder, sheet, found)), study=DATASHEET)
    donors = _donors(folder, sheet)
    if donors is not None and len({row.row.architecture for row in donors.rows}) > 1:
        for name in FORMS:
            if name != "neuralpower" or np.isfinite(donors.truth.seconds).all():
                yield _forecasts(found, name, *_published(name, donors, found))


def _from_datasheet(folder: Path, sheet: DataSheet, found: NetworkSet) -> tuple[Array, Array]:
    """By the limits of the sheet and what cards of other chips have in common."""
    product = sheet.labels[0]
    shared = share(folder, product)
    fitted = Fitted(law=law_of(shares_of_others(shared, sheet), sheet), host=HOST)
    interval = transferred_interval(folder, shared, own=False, without=product)
    return forecast_on(fitted, interval, sheet, found)


def forecast_on(fitted: Fitted, interval: Interval, sheet: DataSheet, found: NetworkSet) -> tuple[Array, Array]:
    """Joules of the set's rows and their log half-widths, widened by what another host would change (ADR 0042)."""
    table = stacked(found.rows, lacks=sheet.lacks)
    boost = sheet.boost_mhz or math.nan
    chip, clock = chip_of_sheet(sheet), clock_shares(table, boost)
    joules = forecast_networks(fitted.law, fitted.host, chip, table, clock).joules
    slower = forecast_networks(fitted.law, slower_host(fitted.host), chip, table, clock).joules
    return joules, np.sqrt(interval.log_half_width**2 + np.log(slower / joules) ** 2)


def slower_host(host: Host) -> Host:
    names = [field.name for field in fields(host) if field.name.endswith("_seconds")]
    return replace(host, **{name: getattr(host, name) * OTHER_HOST for name in names})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Donors:
    rows: Sequence[NetworkFeatures]
    truth: Truth


def _donors(folder: Path, sheet: DataSheet) -> _Donors | None:
    """Networks of other cards as if this one had run them: joules in proportion to power limit over peak, which is what
    a data sheet says of a card's efficiency, and clocks in proportion to boost. None where there are none."""
    tables: list[NetworkFeatures] = []
    joules, seconds = [], []
    for own in network_sets(folder):
        other = sheet_named(own.gpu)
        if other is None or other is sheet or other.missing:
            continue
        rows = [_at_boost(row, _boost(sheet) / _boost(other)) for row in own.rows]
        tables += network_features(rows)
        joules.append(own.truth.joules * _joules_per_flop(sheet) / _joules_per_flop(other))
        seconds.append(own.truth.seconds * _peak(other) / _peak(sheet))
    if not tables:
        return None
    return _Donors(rows=tables, truth=Truth(joules=np.concatenate(joules), seconds=np.concatenate(seconds)))


def _at_boost(row: NetworkRow, scale: float) -> NetworkRow:
    return row if row.clock_mhz is None else replace(row, clock_mhz=row.clock_mhz * scale)


def _boost(sheet: DataSheet) -> float:
    return sheet.boost_mhz or 1.0


def _peak(sheet: DataSheet) -> float:
    return float(max(fact.value for fact in sheet.peaks.values()))


def _joules_per_flop(sheet: DataSheet) -> float:
    return (sheet.power_limit_watts.value if sheet.power_limit_watts else 1.0) / _peak(sheet)


def _published(name: str, donors: _Donors, found: NetworkSet) -> tuple[Array, Array]:
    joules = fit_system(name, donors.rows, donors.truth).predict(network_features(found.rows))
    groups = np.array([row.row.architecture for row in donors.rows])
    errors = {str(group): _left_out(name, donors, groups != group) for group in np.unique(groups)}
    return joules, np.full(joules.size, interval_width(errors))


def _left_out(name: str, donors: _Donors, kept: Flags) -> Array:
    """Log errors of the rows that are not ``kept``."""
    train, test = np.flatnonzero(kept), np.flatnonzero(~kept)
    fitted = fit_system(name, [donors.rows[i] for i in train.tolist()], donors.truth.take(train))
    forecast = fitted.predict([donors.rows[i] for i in test.tolist()])
    errors: Array = np.log(forecast / donors.truth.joules[test])
    return errors


def _forecasts(found: NetworkSet, system: str, joules: Array, width: Array) -> Forecasts:
    return Forecasts(
        set=found.name,
        split=TRANSFERRED,
        system=system,
        rows=found.rows,
        joules=joules,
        truth=found.truth.joules,
        log_half_width=width,
    )
