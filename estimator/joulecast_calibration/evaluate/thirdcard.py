"""Forecast the power of a card's matrix products from other cards, which transferred joules are based on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from joulecast.energy.datasheets import DataSheet
from joulecast.energy.generic import chip_of_sheet
from joulecast.energy.names import sheet_named
from joulecast.energy.profile import Law
from joulecast_calibration.evaluate.evaluation import PowerScore
from joulecast_calibration.fit.cards import network_sets, problem_of
from joulecast_calibration.fit.networks import Problem, fit_networks
from joulecast_calibration.fit.operators import PowerShares, mean_shares, power_errors
from joulecast_calibration.fit.shared import BF16, Shared, shared_coefficients, sheet_of, transferred_law
from joulecast_calibration.fit.table import table_of_set
from joulecast_calibration.rows.networks import NetworkSet
from joulecast_calibration.rows.operators import METERED, gemm_power

_FEWEST = 2
"""Other metered cards from which a third one's power is forecast."""


def third_card_power(folder: Path) -> Iterator[PowerScore]:
    """Yield the errors of the power of each metered card's bf16 products, in their upper mode.

    The forecasts are the mean of the other metered cards, and each card with networks; no watt of the card itself is
    used. Yields nothing where ``folder`` has fewer than three metered cards.
    """
    metered = [product for product in METERED if sheet_of(product) and gemm_power(folder, product) is not None]
    if len(metered) > _FEWEST:
        for product in metered:
            yield from _of_card(folder, product, shared_coefficients(folder, product))


def _of_card(folder: Path, product: str, shared: Shared) -> Iterator[PowerScore]:
    yield from _score(folder, product, shared.power)
    networks = {found.name: shares for found, shares in _by_networks(folder, product, shared)}
    if networks:
        yield from _score(folder, product, {**networks, **shared.power})


def _score(folder: Path, product: str, others: Mapping[str, PowerShares]) -> Iterator[PowerScore]:
    rows, sheet = gemm_power(folder, product), sheet_of(product)
    if rows is None or sheet is None:
        return
    off = np.expm1(power_errors(mean_shares(others), rows, chip_of_sheet(sheet), BF16))
    percent = 100 * np.abs(off)
    yield PowerScore(
        card=product,
        fitted_on=", ".join(others),
        n=percent.size,
        mean_ape=float(percent.mean()),
        median_ape=float(np.median(percent)),
        max_ape=float(percent.max()),
        bias=float(100 * np.median(off)),
    )


def _by_networks(folder: Path, product: str, shared: Shared) -> Iterator[tuple[NetworkSet, PowerShares]]:
    """Yield the power shares that joules of whole networks on other cards imply."""
    for found in network_sets(folder):
        sheet = sheet_named(found.gpu)
        if sheet is None or sheet.missing or product in sheet.labels or "bf16" not in sheet.peaks:
            continue
        if any(row.precision == "bf16" for row in found.rows):
            problem = _without(problem_of(folder, sheet), transferred_law(shared, sheet))
            table = table_of_set(found.rows, found.truth, lacks=sheet.lacks)
            yield found, _shares(fit_networks(problem, table).law, sheet)


def _without(problem: Problem, law: Law) -> Problem:
    """Return ``problem`` with the prior ``law``, which was fitted without a watt of the card in question."""
    laws = replace(problem.laws, law=law)
    centred = tuple(replace(each, centre=laws.value(each.path) or each.centre) for each in laws.unknown)
    return replace(problem, laws=replace(laws, unknown=centred))


def _shares(law: Law, sheet: DataSheet) -> PowerShares:
    chip = chip_of_sheet(sheet)
    limit = chip.power_limit_watts
    return PowerShares(
        static=(law.gap_watts + law.clock_watts) / limit,
        compute=law.flop_joules["bf16"] * float(chip.peak_flops[BF16]) / limit,
        memory=law.byte_joules * chip.bandwidth_bytes_per_second / limit,
    )
