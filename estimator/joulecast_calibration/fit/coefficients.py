"""The law's coefficients as a vector to search: logarithms, each with where it starts and how far it may stray."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from joulecast.energy.features import Array
from joulecast.energy.profile import Host, Law


@dataclass(frozen=True, slots=True, kw_only=True)
class Coefficient:
    """One unknown: ``path`` names a field of ``Law`` or ``host``, with a key after a dot where the field is a mapping.

    ``centre``: its expected value; ``spread``: standard deviation of its logarithm about that (a Gaussian prior).
    """

    path: str
    centre: float
    spread: float


_INSIDE = 0.85  # a usual share of a peak
_SHARES = ("law.compute_efficiency", "law.held_share", "law.voltage_floor")


@dataclass(frozen=True, slots=True, kw_only=True)
class Laws:
    """A law and a host with some coefficients unknown; the rest stay as in ``law`` and ``host``."""

    law: Law
    host: Host
    unknown: tuple[Coefficient, ...]

    @property
    def centre(self) -> Array:
        return np.log([unknown.centre for unknown in self.unknown])

    @property
    def spread(self) -> Array:
        return np.array([unknown.spread for unknown in self.unknown])

    def at(self, vector: Sequence[float] | Array) -> tuple[Law, Host]:
        """The law and host whose unknowns have the logarithms ``vector``."""
        values = {"law": asdict(self.law), "host": asdict(self.host)}
        for unknown, logarithm in zip(self.unknown, vector, strict=True):
            _put(values, unknown.path, float(np.exp(logarithm)))
        return Law(**values["law"]), Host(**values["host"])

    @property
    def highest(self) -> Array:
        """Upper bounds of the logarithms: shares of a peak and of boost's voltage are at most 1, the rest is free."""
        shares = [unknown.path.startswith(_SHARES) for unknown in self.unknown]
        return np.where(shares, 0.0, np.inf)

    @property
    def start(self) -> Array:
        """Where a search begins: the centre, but inside the bounds, on which it could not move."""
        inside: Array = np.minimum(self.centre, self.highest + np.log(_INSIDE))
        return inside

    def value(self, path: str) -> float | None:
        """What ``law`` or ``host`` has at ``path`` now; None where a mapping has no such key."""
        part, _, rest = path.partition(".")
        name, _, key = rest.partition(".")
        found = getattr(self.law if part == "law" else self.host, name)
        return found.get(key) if key else found  # type: ignore[no-any-return]


def _put(values: Mapping[str, dict[str, Any]], path: str, value: float) -> None:
    part, _, rest = path.partition(".")
    name, _, key = rest.partition(".")
    if key:
        values[part][name] = {**values[part][name], key: value}
    else:
        values[part][name] = value
