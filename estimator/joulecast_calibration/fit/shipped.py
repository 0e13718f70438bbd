"""The profiles that are shipped: fitted from published sets, and from this project's own rows where a card has some."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from joulecast.accelerators import find
from joulecast.energy.profile import AcceleratorProfile
from joulecast_calibration.files import write_together
from joulecast_calibration.fit.measured.card import PRIORS
from joulecast_calibration.fit.measured.profile import fit_measured
from joulecast_calibration.fit.profiles import as_shipped, fit


def fit_own(texts: Mapping[str, str], measured: Path) -> Mapping[str, str]:
    """As ``texts`` of ``fit``, but cards that have rows in a subfolder of ``measured`` are fitted on those.

    What was known of such a card before stands under ``priors/``: a fit begins there, so that no row is used twice.

    Raises MeasurementError for rows that cannot be fitted.
    """
    found = dict(texts)
    for folder in sorted(path for path in measured.iterdir() if any(path.glob("*.jsonl"))):
        product = folder.name
        known = AcceleratorProfile.from_json(texts[product]) if product in texts else find(product)
        profile = fit_measured([folder], known=known).profile
        found[product] = as_shipped(profile).to_json()
        found[f"{PRIORS}/{product}"] = known.to_json()
    return found


def write(folder: Path, target: Path, measured: Path | None = None) -> tuple[Path, ...]:
    """Write every file of ``fit(folder)`` and ``fit_own`` into ``target``; nothing is written before all are made."""
    texts = fit(folder)
    texts = texts if measured is None else fit_own(texts, measured)
    contents = {target / f"{name}.json": text for name, text in sorted(texts.items())}
    write_together(contents)
    return tuple(contents)
