"""Which of the usable profiles of one product and runtime prices estimates: the one calibrated last, then by name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from joulecast_operator.api.annotations import PREFIX, annotations_of
from joulecast_operator.api.conditions import timestamp
from joulecast_operator.api.objects import Key, Resource

CALIBRATED_AT: Final = PREFIX + "calibrated-at"
"""On a profile that a calibration made: when, RFC 3339. Any other counts from its creation."""

SUPERSEDED: Final = "Superseded"
"""Reason of a usable profile's condition while another one of its product and runtime is in use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """An accelerator profile of the cluster: its ``document`` as JSON text, and the digest of that."""

    product: str
    runtime: str
    digest: str
    document: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A usable profile. ``calibrated_at``: RFC 3339 in UTC, which sorts as text; "" where nothing says when."""

    key: Key
    override: Override
    calibrated_at: str

    @property
    def place(self) -> tuple[str, str]:
        """Return the product and the runtime that it prices."""
        return self.override.product, self.override.runtime


class UsableProfiles:
    """All candidates, and who of them is in use."""

    def __init__(self) -> None:
        self._candidates: dict[Key, Candidate] = {}

    def get(self, key: Key) -> Candidate | None:
        return self._candidates.get(key)

    def hold(self, key: Key, candidate: Candidate | None) -> bool:
        """Make ``candidate`` the one of ``key``, or have none; says whether anything changed."""
        if self._candidates.get(key) == candidate:
            return False
        if candidate is None:
            del self._candidates[key]
        else:
            self._candidates[key] = candidate
        return True

    def in_use(self, product: str, runtime: str) -> Candidate | None:
        """Return the candidate that prices a product under a runtime, None where there is none."""
        found = [each for each in self._candidates.values() if each.place == (product, runtime)]
        return _first(found) if found else None

    def all_in_use(self) -> list[Candidate]:
        """Return the candidate in use for each product and runtime."""
        places: dict[tuple[str, str], list[Candidate]] = {}
        for candidate in self._candidates.values():
            places.setdefault(candidate.place, []).append(candidate)
        return [_first(places[place]) for place in sorted(places)]


def calibrated_at(profile: Resource) -> str:
    """Return when the profile was calibrated, as far as the object says."""
    said = (annotations_of(profile).get(CALIBRATED_AT), profile["metadata"].get("creationTimestamp"))
    return next((time for text in said if (time := _time(text))), "")


def _time(text: object) -> str:
    try:
        return timestamp(datetime.fromisoformat(str(text)).astimezone(UTC))
    except (ValueError, OverflowError):
        return ""


def _first(candidates: Iterable[Candidate]) -> Candidate:
    by_name = sorted(candidates, key=lambda each: each.key.name)
    return max(by_name, key=lambda each: each.calibrated_at)  # the first of those calibrated at one time
