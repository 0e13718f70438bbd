"""Accelerators that can be priced: product names, shipped profiles, and the rest by their data sheet."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType

from joulecast.energy.datasheets import DataSheet, datasheets
from joulecast.energy.generic import datasheet_profile
from joulecast.energy.names import could_be
from joulecast.energy.profile import AcceleratorProfile
from joulecast.errors import NotCalibratedError, UnknownAcceleratorError
from joulecast.product_names import normalise_product

__all__ = ["AcceleratorProfile", "find", "installed", "normalise_product", "refuse_simulated"]

SIMULATED_ALLOWED = "JOULECAST_ALLOW_SIMULATED_PROFILES"
"""Environment variable: 1 where tests make and price profiles of a simulated device."""

_NEAR_NAMES = 5  # suggestions in an error: as many as fit a line


def refuse_simulated(profile: AcceleratorProfile) -> AcceleratorProfile:
    """``profile``, which was measured. Raises NotCalibratedError (SimulatedProfile) for one fitted on rows of a
    simulated device, which say nothing of any hardware."""
    if profile.simulated and os.environ.get(SIMULATED_ALLOWED) != "1":
        raise NotCalibratedError(
            f"the profile of {profile.product} was fitted on rows of a simulated device, so nothing may be priced with"
            " it: give one that was measured",
            reason="SimulatedProfile",
        )
    return profile


@cache
def installed() -> Mapping[str, AcceleratorProfile]:
    """Every accelerator that can be priced, by product name: shipped profiles first, then those by data sheet alone."""
    shipped = _shipped()
    derived = {
        profile.product: profile
        for sheet in datasheets()
        if not _shared_labels(sheet) and not sheet.missing
        for profile in [datasheet_profile(sheet)]
        if profile.product not in shipped
    }
    return MappingProxyType(shipped | derived)


def find(product: str, runtime: str = "torch-eager") -> AcceleratorProfile:
    """The profile of ``product``, a node label's value or an older driver's name of it.

    Raises UnknownAcceleratorError with the nearest names, or with those that a shorter name may mean;
    NotCalibratedError, naming what is missing, for one that is known but cannot be priced, for a label that two
    accelerators share, and for a runtime that the profile does not know.
    """
    wanted = normalise_product(product)
    sheets = [sheet for sheet in datasheets() if wanted in sheet.labels]
    if len(sheets) > 1:
        names = " and ".join(sheet.key for sheet in sheets)
        raise NotCalibratedError(
            f"the label {wanted!r} is shared by {names}, so it does not say which one to price:"
            " give a profile of your own",
            reason="AmbiguousAccelerator",
        )
    profile = installed().get(sheets[0].labels[0] if sheets else wanted)
    if profile is None:
        raise _cannot_price(wanted, sheets[0] if sheets else None)
    if runtime not in profile.hosts:
        raise NotCalibratedError(
            f"{profile.product} is not calibrated for runtime {runtime!r}: choose one of {', '.join(profile.runtimes)}"
        )
    return profile


def _cannot_price(wanted: str, sheet: DataSheet | None) -> NotCalibratedError | UnknownAcceleratorError:
    if sheet is not None:
        return NotCalibratedError(
            f"{wanted} is known, but no trusted source states {' or '.join(sheet.missing)} of it:"
            " calibrate it by measurement"
        )
    if several := could_be(wanted):
        return UnknownAcceleratorError(f"{several}: write its name in full", reason="AmbiguousAccelerator")
    known = sorted({*installed(), *(label for entry in datasheets() for label in entry.labels)})
    by_lower = {name.lower(): name for name in known}
    near = [by_lower[name] for name in difflib.get_close_matches(wanted.lower(), by_lower, _NEAR_NAMES, 0.3)]
    hint = f"nearest names: {', '.join(near)}" if near else "`joulecast accelerators` lists the known ones"
    return UnknownAcceleratorError(f"no accelerator is named {wanted!r}; {hint}")


@cache
def _shipped() -> dict[str, AcceleratorProfile]:
    folder = files("joulecast.energy").joinpath("profiles")
    texts = sorted((entry.name, entry) for entry in folder.iterdir() if entry.name.endswith(".json"))
    profiles = [
        AcceleratorProfile.from_json(entry.read_text("utf-8"), called=name)
        for name, entry in texts
        if name != "generic.json"
    ]
    return {profile.product: profile for profile in profiles}


def _shared_labels(sheet: DataSheet) -> bool:
    return any(label in other.labels for other in datasheets() if other is not sheet for label in sheet.labels)
