"""Decide which of several usable profiles of a product and runtime is used: the one calibrated last, then by name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from joulecast_operator.api.annotations import PREFIX, annotations_of
from joulecast_operator.api.conditions import timestamp
from joulecast_operator.api.objects import Key, Resource

CALIBRATED_AT: Final = PREFIX + "calibrated-at"
"""Annotation of a profile with the time of its calibration (RFC 3339). Without it, the time of its creation is used."""

SUPERSEDED: Final = "Superseded"
"""Reason of the condition of a usable profile while another one of its product and runtime is in use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """An accelerator profile of the cluster, which is used instead of a shipped one.

    - ``product``: product name of the accelerator.
    - ``runtime``: the runtime that it is for.
    - ``digest``: sha256:… of ``document``.
    - ``document``: the profile as JSON.
    """

    product: str
    runtime: str
    digest: str
    document: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A usable profile, which may be put in use.

    - ``key``: the object that holds it.
    - ``override``: the profile.
    - ``calibrated_at``: when it was calibrated, RFC 3339 in UTC, which sorts as text; "" if it is not known.
    """

    key: Key
    override: Override
    calibrated_at: str

    @property
    def place(self) -> tuple[str, str]:
        """Return the product and the runtime that the profile is for."""
        return self.override.product, self.override.runtime


class UsableProfiles:
    """Holds all usable profiles, and tells which of them are in use."""

    def __init__(self) -> None:
        self._candidates: dict[Key, Candidate] = {}

    def get(self, key: Key) -> Candidate | None:
        """Return the usable profile of an object; None if it has none."""
        return self._candidates.get(key)

    def hold(self, key: Key, candidate: Candidate | None) -> bool:
        """Make ``candidate`` the usable profile of ``key``, or remove that if it is None; tells whether it changed."""
        if self._candidates.get(key) == candidate:
            return False
        if candidate is None:
            del self._candidates[key]
        else:
            self._candidates[key] = candidate
        return True

    def in_use(self, product: str, runtime: str) -> Candidate | None:
        """Return the profile that is used for a product and runtime; None if there is none."""
        found = [each for each in self._candidates.values() if each.place == (product, runtime)]
        return _first(found) if found else None

    def all_in_use(self) -> list[Candidate]:
        """Return the profile that is used for each product and runtime."""
        places: dict[tuple[str, str], list[Candidate]] = {}
        for candidate in self._candidates.values():
            places.setdefault(candidate.place, []).append(candidate)
        return [_first(places[place]) for place in sorted(places)]


def calibrated_at(profile: Resource) -> str:
    """Return when the profile was calibrated, or else created; "" if the object tells neither."""
    said = (annotations_of(profile).get(CALIBRATED_AT), profile["metadata"].get("creationTimestamp"))
    return next((time for text in said if (time := _time(text))), "")


def _time(text: object) -> str:
    try:
        return timestamp(datetime.fromisoformat(str(text)).astimezone(UTC))
    except (ValueError, OverflowError):
        return ""


def _first(candidates: Iterable[Candidate]) -> Candidate:
    by_name = sorted(candidates, key=lambda each: each.key.name)
    return max(by_name, key=lambda each: each.calibrated_at)  # of several calibrated at the same time, the first
