"""A profile from a data sheet alone: the law with coefficients that several calibrated accelerators share, as shares
of published limits."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from joulecast.energy.datasheets import DataSheet
from joulecast.energy.features import ARITHMETIC
from joulecast.energy.physical import instructions_per_second
from joulecast.energy.profile import AcceleratorProfile, FittedFrom, Host, Interval, Law

TYPICAL_MULTIPROCESSORS = 108.0
"""Where no source states them: those of an A100. It enters only how large a product must be to fill the machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Generic:
    """``law``: shape coefficients as in ``Law``; powers are shares of the power limit and energies shares of limit /
    peak or bandwidth."""

    law: dict[str, Any]
    hosts: dict[str, Host]
    interval: Interval
    fitted_from: tuple[FittedFrom, ...]


@cache
def generic() -> Generic:
    """The shipped coefficients, as ``joulecast fit`` wrote them."""
    document = json.loads(files("joulecast.energy").joinpath("profiles", "generic.json").read_text("utf-8"))
    return Generic(
        law=document["law"],
        hosts={name: Host(**host) for name, host in document["hosts"].items()},
        interval=Interval(**document["interval"]),
        fitted_from=tuple(FittedFrom(**entry) for entry in document["fitted_from"]),
    )


def scaled_law(
    shares: dict[str, Any], peaks: dict[str, float], bandwidth: float, instructions: float, limit_watts: float
) -> Law:
    """The law of an accelerator with these limits: FLOP/s by arithmetic, bytes/s, instructions/s, W."""
    absolute = {
        "static_watts": shares["static_watts"] * limit_watts,
        "clock_watts": shares["clock_watts"] * limit_watts,
        "gap_watts": shares["gap_watts"] * limit_watts,
        "byte_joules": shares["byte_joules"] * limit_watts / bandwidth,
        "instruction_joules": shares["instruction_joules"] * limit_watts / instructions,
        "flop_joules": {name: shares["flop_joules"][name] * limit_watts / peak for name, peak in peaks.items()},
        "compute_efficiency": {name: shares["compute_efficiency"][name] for name in peaks},
    }
    return Law(**(shares | absolute))


def datasheet_profile(sheet: DataSheet) -> AcceleratorProfile:
    """The profile of ``sheet``, which misses nothing; its origin is ``datasheet``."""
    if not (sheet.bandwidth_bytes_per_second and sheet.power_limit_watts):
        raise ValueError(f"{sheet.key} lacks {', '.join(sheet.missing)}")
    shared = generic()
    peaks = {name: sheet.peaks[name].value for name in ARITHMETIC if name in sheet.peaks}
    multiprocessors = sheet.multiprocessors.value if sheet.multiprocessors else TYPICAL_MULTIPROCESSORS
    boost = sheet.boost_clock_mhz.value if sheet.boost_clock_mhz else None
    instructions = instructions_per_second(multiprocessors, boost)
    bandwidth, limit_watts = sheet.bandwidth_bytes_per_second.value, sheet.power_limit_watts.value
    return AcceleratorProfile(
        product=sheet.labels[0],
        origin="datasheet",
        architecture=sheet.architecture,
        peak_flops=peaks,
        lacks=sheet.lacks,
        bandwidth_bytes_per_second=bandwidth,
        power_limit_watts=limit_watts,
        boost_clock_mhz=boost,
        multiprocessors=multiprocessors,
        law=scaled_law(shared.law, peaks, bandwidth, instructions, limit_watts),
        hosts=shared.hosts,
        interval=shared.interval,
        fitted_from=shared.fitted_from,
        unverified=sheet.unverified,
    )
