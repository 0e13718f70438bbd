"""A profile from a data sheet alone.

The law's coefficients are those that several calibrated accelerators share, as shares of published limits.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np

from joulecast.energy.datasheets import DataSheet
from joulecast.energy.features import ARITHMETIC
from joulecast.energy.physical import Chip, instructions_per_second
from joulecast.energy.profile import AcceleratorProfile, FittedFrom, Host, Interval, Law
from joulecast.schema import read

TYPICAL_MULTIPROCESSORS = 108.0
"""Where no source states them: those of an A100. It enters only how large a product must be to fill the machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedCoefficients:
    """The shared coefficients.

    - ``law``: shape coefficients as in ``Law``; powers are shares of the power limit and energies shares of limit /
      peak or bandwidth.
    """

    law: dict[str, Any]
    hosts: dict[str, Host]
    interval: Interval
    fitted_from: tuple[FittedFrom, ...]


@cache
def generic() -> SharedCoefficients:
    """Return the shipped coefficients, as ``joulecast fit`` wrote them."""
    document = json.loads(files("joulecast.energy").joinpath("profiles", "generic.json").read_text("utf-8"))
    return SharedCoefficients(
        law=document["law"],
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


def law_of(shares: Mapping[str, Any], sheet: DataSheet) -> Law:
    """Scale ``shares`` to the limits of ``sheet``."""
    chip = chip_of_sheet(sheet)
    limit_watts = chip.power_limit_watts
    peaks = {name: fact.value for name, fact in sheet.peaks.items()}
    absolute = {
        "static_watts": shares["static_watts"] * limit_watts,
        "clock_watts": shares["clock_watts"] * limit_watts,
        "gap_watts": shares["gap_watts"] * limit_watts,
        "byte_joules": shares["byte_joules"] * limit_watts / chip.bandwidth_bytes_per_second,
        "instruction_joules": shares["instruction_joules"] * limit_watts / chip.instructions_per_second,
        "flop_joules": {name: shares["flop_joules"][name] * limit_watts / peak for name, peak in peaks.items()},
        "compute_efficiency": {name: shares["compute_efficiency"][name] for name in peaks},
    }
    return Law(**{**shares, **absolute})


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
        law=law_of(shared.law, sheet),
        hosts=shared.hosts,
        interval=shared.interval,
        fitted_from=shared.fitted_from,
        unverified=sheet.unverified,
    )
