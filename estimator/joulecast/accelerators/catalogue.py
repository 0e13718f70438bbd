"""Accelerators that can be priced: product names, shipped profiles, and the rest by their data sheet."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType

from joulecast.accelerators.product_names import normalise_product
from joulecast.energy.datasheets import DataSheet, datasheets
from joulecast.energy.generic import datasheet_profile
from joulecast.energy.model import ORIGINS
from joulecast.energy.names import could_be, label_of
from joulecast.energy.profile import AcceleratorProfile, refuse_simulated
from joulecast.errors import NotCalibratedError, UnknownAcceleratorError
from joulecast.workloads import DEFAULT_RUNTIME

_NEAR_NAMES = 5  # suggestions in an error: as many as fit a line


@cache
def installed() -> Mapping[str, AcceleratorProfile]:
    """Return every accelerator that can be priced, by product name, from shipped profiles and data sheets."""
    shipped = _shipped()
    derived = {
        profile.product: profile
        for sheet in datasheets()
        if not _shared_labels(sheet) and not sheet.missing
        for profile in [_of_same_card(sheet, shipped) or datasheet_profile(sheet)]
        if profile.product not in shipped
    }
    return MappingProxyType(shipped | derived)


def find(product: str, runtime: str = DEFAULT_RUNTIME) -> AcceleratorProfile:
    """Return the profile of ``product``, which is a node label's value or the name that an older driver gives.

    Raises UnknownAcceleratorError with the nearest names, or with the names that a shorter name may mean. Raises
    NotCalibratedError, which names what is missing, for an accelerator that is known but cannot be priced, for a label
    that two accelerators share, and for a runtime that the profile does not cover.
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


def accelerator_named(name: str, runtime: str = DEFAULT_RUNTIME) -> AcceleratorProfile:
    """Return the profile that a user names: by product name, by an unambiguous short name (``L4``), or by a JSON file.

    Raises UnknownAcceleratorError, NotCalibratedError.
    """
    if name.endswith(".json"):
        return refuse_simulated(AcceleratorProfile.from_json(profile_text(Path(name)), called=name))
    return find(label_of(name), runtime)


def profile_text(path: Path) -> str:
    """Return the text of the file ``path``. Raises UnknownAcceleratorError where it cannot be read."""
    try:
        return path.read_text("utf-8")
    except FileNotFoundError:
        raise UnknownAcceleratorError(f"{path} does not exist: check the path") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UnknownAcceleratorError(
            f"{path} cannot be read as an accelerator profile ({error}): give a file that `joulecast fit` wrote"
        ) from None


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
    return UnknownAcceleratorError(f"unknown accelerator {wanted!r}; {hint}")


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


def _of_same_card(sheet: DataSheet, shipped: Mapping[str, AcceleratorProfile]) -> AcceleratorProfile | None:
    """Return the profile of the card that an export version is alike, under the version's name; None without one."""
    labels = next((other.labels for other in datasheets() if other.key == sheet.same_card), ())
    known = next((shipped[label] for label in labels if label in shipped), None)
    if known is None:
        return None
    origin = max(known.origin, "transferred", key=ORIGINS.index)
    return replace(known, product=sheet.labels[0], origin=origin)


def _shared_labels(sheet: DataSheet) -> bool:
    return any(label in other.labels for other in datasheets() if other is not sheet for label in sheet.labels)
