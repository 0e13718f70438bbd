"""A profile from a data sheet alone.

The law's coefficients are those that several calibrated accelerators share, as shares of published limits.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np

from joulecast.energy.datasheets import DataSheet, datasheets
from joulecast.energy.features import ARITHMETIC
from joulecast.energy.physical import Chip, instructions_per_second
from joulecast.energy.profile import AcceleratorProfile, FittedFrom, Host, Interval, Law
from joulecast.schema import read

TYPICAL_MULTIPROCESSORS = 108.0
"""Where no source states them: those of an A100. It enters only how large a product must be to fill the machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedCoefficients:
    """The shared coefficients.

    - ``rest``: power at rest of each card that was measured, by product, as a share of its limit.
    - ``rest_factor``: power at rest that networks show, over that of cards which wait.
    - ``paces``: launch times of hosts relative to ``hosts``, by the generation of their bus.
    - ``law``: shape coefficients as in ``Law``, powers and energies as ``law_of`` takes them.
    """

    law: dict[str, Any]
    rest: Mapping[str, float]
    rest_factor: float
    paces: Mapping[str, float]
    hosts: dict[str, Host]
    interval: Interval
    fitted_from: tuple[FittedFrom, ...]


@cache
def generic() -> SharedCoefficients:
    """Return the shipped coefficients, as ``joulecast fit`` wrote them."""
    document = json.loads(files("joulecast.energy").joinpath("profiles", "generic.json").read_text("utf-8"))
    return SharedCoefficients(
        law=document["law"],
        rest=document["rest"],
        rest_factor=document["rest_factor"],
        paces=document["paces"],
        hosts={name: read(Host, host) for name, host in document["hosts"].items()},
        interval=read(Interval, document["interval"]),
        fitted_from=tuple(read(FittedFrom, entry) for entry in document["fitted_from"]),
    )


def chip_of_sheet(sheet: DataSheet) -> Chip:
    """Return the hardware limits of a data sheet that lacks none."""
    if not (sheet.bandwidth_bytes_per_second and sheet.power_limit_watts):
        raise ValueError(f"{sheet.key} lacks {', '.join(sheet.missing)}")
    multiprocessors = sheet.multiprocessors.value if sheet.multiprocessors else TYPICAL_MULTIPROCESSORS
    return Chip(
        peak_flops=np.array([sheet.peaks[name].value if name in sheet.peaks else 0.0 for name in ARITHMETIC]),
        bandwidth_bytes_per_second=sheet.bandwidth_bytes_per_second.value,
        multiprocessors=multiprocessors,
        instructions_per_second=instructions_per_second(multiprocessors, sheet.boost_mhz),
        power_limit_watts=sheet.power_limit_watts.value,
    )


_STACKED = ("Pascal GP100", "Volta", "Ampere GA100", "Hopper", "Blackwell GB100", "Blackwell Ultra", "CDNA")
"""Architectures whose memory is stacked beside the chip (HBM), by the beginning of their names."""
BESIDE_THE_PACKAGE = 1.7
"""Energy of a byte from memory on the board (GDDR) relative to stacked memory: DRAM and interface take 7.3 pJ a bit in
place of 3.9 (Micron on GDDR6X; O'Connor et al. 2017 on HBM2), and half of a byte's energy is spent on the way through
the chip, which is the same."""


def energy_limit_watts(sheet: DataSheet) -> float:
    """Return the power that energies of operations are shares of: half way, as a logarithm, from the card's limit to
    the highest one that its chip is sold with.

    An operation costs what the chip takes for it, whose voltage a lower limit reduces only in part.
    """
    own = chip_of_sheet(sheet).power_limit_watts
    limits = [other.power_limit_watts for other in datasheets() if other.architecture == sheet.architecture]
    return math.sqrt(own * max([own, *(limit.value for limit in limits if limit)]))


def law_of(shares: Mapping[str, Any], sheet: DataSheet) -> Law:
    """Scale ``shares`` to the limits of ``sheet``.

    Power at rest is a share of the power limit; static power of a busy chip and energies of operations are shares of
    ``energy_limit_watts``, over peak rates; energies of bytes are joules in stacked memory.
    """
    chip, limit_watts = chip_of_sheet(sheet), energy_limit_watts(sheet)
    stacked = sheet.architecture.startswith(_STACKED)
    peaks = {name: fact.value for name, fact in sheet.peaks.items()}
    absolute = {
        "static_watts": shares["static_watts"] * limit_watts,
        "clock_watts": shares["clock_watts"] * chip.power_limit_watts,
        "gap_watts": shares["gap_watts"] * chip.power_limit_watts,
        "byte_joules": shares["byte_joules"] * (1.0 if stacked else BESIDE_THE_PACKAGE),
        "instruction_joules": shares["instruction_joules"] * limit_watts / chip.instructions_per_second,
        "flop_joules": {name: shares["flop_joules"][name] * limit_watts / peak for name, peak in peaks.items()},
        "compute_efficiency": {name: shares["compute_efficiency"][name] for name in peaks},
    }
    return Law(**{**shares, **absolute})


_GENERATIONS = (("Maxwell", 3), ("Pascal", 3), ("Volta", 3), ("Turing", 3), ("Ampere", 4), ("Ada", 4), ("CDNA2", 4))
_NEWEST = 5
"""PCI Express of Hopper, Blackwell, CDNA3 and later."""
GENERATIONS = (3, 4, _NEWEST)


def generation_of(sheet: DataSheet) -> int:
    """Return the PCI Express generation of the card, as its architecture has it."""
    return next((bus for name, bus in _GENERATIONS if sheet.architecture.startswith(name)), _NEWEST)


_USUAL_REST = 0.18
_REST_SPREADS = {"all": 1.0, "limit": 0.3, "chip": 0.2, "card": 0.08}
"""Standard deviations of the logarithm of a card's power at rest over its limit: of the mean of all cards about
``_USUAL_REST``, of its change with each factor e of the limit, of chips, and of cards with the same chip."""


def rest_share(sheet: DataSheet, measured: Mapping[str, float]) -> float:
    """Return the expected power at rest of ``sheet`` over its limit, from cards with ``measured`` shares by product.

    It is the mean of a Gaussian process: cards of the same chip and of similar limits tell most (ADR 0166).
    """
    known = {label: other for other in datasheets() for label in other.labels if label in measured}
    if not known:
        return _USUAL_REST
    own = next((measured[label] for label in sheet.labels if label in measured), None)
    if own is not None:
        return own
    others = list(known.values())
    off = np.log([measured[label] for label in known]) - math.log(_USUAL_REST)
    between = np.array([[_rest_covariance(one, other) for other in others] for one in others])
    towards = np.array([_rest_covariance(sheet, other) for other in others])
    return float(_USUAL_REST * np.exp(towards @ np.linalg.solve(between, off)))


def _rest_covariance(one: DataSheet, other: DataSheet) -> float:
    spread = _REST_SPREADS
    sizes = [math.log(chip_of_sheet(sheet).power_limit_watts / 400) for sheet in (one, other)]
    found = spread["all"] ** 2 + spread["limit"] ** 2 * sizes[0] * sizes[1]
    found += spread["chip"] ** 2 * (one.architecture == other.architecture)
    return found + spread["card"] ** 2 * (one.key == other.key)


def at_rest(law: Law, sheet: DataSheet, measured: Mapping[str, float], factor: float = 1.0) -> Law:
    """Scale all power of ``law`` that no operation causes so that the card rests at ``rest_share`` of its limit.

    ``factor``: of that power, where networks were seen to take more or less.
    """
    watts = factor * rest_share(sheet, measured) * chip_of_sheet(sheet).power_limit_watts
    scale = watts / (law.gap_watts + law.clock_watts)
    return replace(
        law,
        gap_watts=law.gap_watts * scale,
        static_watts=law.static_watts * scale,
        clock_watts=law.clock_watts * scale,
    )


def datasheet_profile(sheet: DataSheet) -> AcceleratorProfile:
    """Return the profile of ``sheet``, which must lack nothing; its origin is ``datasheet``."""
    chip, shared = chip_of_sheet(sheet), generic()
    return AcceleratorProfile(
        product=sheet.labels[0],
        origin="datasheet",
        architecture=sheet.architecture,
        peak_flops={name: sheet.peaks[name].value for name in ARITHMETIC if name in sheet.peaks},
        lacks=sheet.lacks,
        bandwidth_bytes_per_second=chip.bandwidth_bytes_per_second,
        power_limit_watts=chip.power_limit_watts,
        boost_clock_mhz=sheet.boost_mhz,
        multiprocessors=chip.multiprocessors,
        law=at_rest(law_of(shared.law, sheet), sheet, shared.rest, shared.rest_factor),
        hosts={name: host.paced(shared.paces[str(generation_of(sheet))]) for name, host in shared.hosts.items()},
        interval=shared.interval,
        fitted_from=shared.fitted_from,
        unverified=sheet.unverified,
    )
