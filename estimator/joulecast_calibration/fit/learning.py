"""Compute the errors of forecasts before any measurement, and after 15, 50 and 150 measured layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from joulecast_calibration.fit.heldout import percent_errors
from joulecast_calibration.fit.networks import Fitted
from joulecast_calibration.fit.prior import Prior, movable_coefficients
from joulecast_calibration.fit.search import forecast, search
from joulecast_calibration.fit.table import Table, layers_of_suite

SIZES = (0, 15, 50, 150)


@dataclass(frozen=True, slots=True, kw_only=True)
class LearningStep:
    """Errors, as shares, on rows that were not fitted.

    - ``layers``: number of layers that were fitted.
    - ``on``: what is forecast: networks, or layers where there are no networks.
    """

    layers: int
    on: str
    rows: int
    median_ape: float
    mean_ape: float


def learning(prior: Prior, table: Table, sizes: Sequence[int] = SIZES) -> tuple[LearningStep, ...]:
    """Compute a step for each of ``sizes`` that the rows suffice for.

    The first layers in the suite's order are fitted; the forecasts are of all networks, or of the layers that come
    after the largest size.
    """
    ordered = _in_order(table)
    possible = [size for size in sizes if size <= len(ordered)]
    networks = table.is_network
    held = networks if networks.any() else table.flags(np.array(ordered[max(possible, default=0) :], dtype=np.intp))
    if not held.any():
        return ()
    scored = table.take(held)
    steps = []
    for size in possible:
        joules = forecast(
            prior, _fitted(prior, table.take(table.flags(np.array(ordered[:size], dtype=np.intp)))), scored
        ).joules
        errors = percent_errors(joules, scored.joules)
        steps.append(
            LearningStep(
                layers=size,
                on="networks" if networks.any() else "layers",
                rows=int(held.sum()),
                median_ape=float(np.median(errors)),
                mean_ape=float(errors.mean()),
            )
        )
    return tuple(steps)


def _fitted(prior: Prior, few: Table) -> Fitted:
    """Fit ``prior`` on ``few`` layers; return it unchanged without layers."""
    if not few.size:
        return Fitted(law=prior.laws.law, host=prior.laws.host)
    own = replace(prior, laws=replace(prior.laws, unknown=movable_coefficients(prior.laws, few)))
    return search(own, few).fitted


def _in_order(table: Table) -> list[int]:
    """Return the positions of layers, each configuration once, in the order in which the suite samples them."""
    place = {digest: position for position, digest in enumerate(layers_of_suite())}
    found: dict[str, int] = {}
    for position, row in enumerate(table.rows):
        if not row.is_network:
            found.setdefault(row.configuration.split("|")[1], position)
    return [found[digest] for digest in sorted(found, key=lambda digest: place.get(digest, len(place)))]
