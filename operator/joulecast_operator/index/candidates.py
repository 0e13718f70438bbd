"""Keep the estimates of one image or workload in groups, so that a choice among thousands of them reads only a few.

A choice depends on what an estimate requests and contains; between two estimates that are equal in that, it depends on
their names and ages. So estimates that are equal form a group, of which only the first by name and the newest are read.
"""

from __future__ import annotations

import hashlib
import heapq
import json
from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping
from typing import Any, Final

from joulecast_operator.api.annotations import ready_condition
from joulecast_operator.api.objects import Key, Resource, mapping
from joulecast_operator.workloads.dimensions import DIMENSIONS
from joulecast_operator.workloads.discovery import is_made

GROUPS: Final = 32
"""Number of groups of an image that are examined, the newest ones: each takes an admission 0.1 ms."""

_DIGEST_BYTES: Final = 8  # with thousands of estimates, two digests are equal by chance in one of 10^12 clusters

Traits = tuple[bytes, str]
"""A digest of what an estimate requests and contains, and the time of its creation."""


def summary(estimate: Resource) -> Traits:
    """Return all that a choice may depend on, except the name."""
    created = str(mapping(estimate.get("metadata")).get("creationTimestamp") or "")
    text = json.dumps(_traits(estimate), sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=_DIGEST_BYTES).digest(), created


class Candidates:
    """The estimates of one image or workload, in groups. Adding, removing and choosing read few of them."""

    __slots__ = ("_alike",)

    def __init__(self) -> None:
        self._alike: dict[bytes, _Alike] = {}

    def __bool__(self) -> bool:
        return bool(self._alike)

    def add(self, key: Key, traits: Traits) -> None:
        """Add an estimate."""
        digest, created = traits
        self._alike.setdefault(digest, _Alike()).add(created, key)

    def remove(self, key: Key, traits: Traits) -> None:
        """Remove an estimate that was added with these ``traits``."""
        digest, created = traits
        alike = self._alike.get(digest)
        if alike is not None and not alike.remove(created, key):
            del self._alike[digest]

    def keys(self) -> Iterable[Key]:
        """Return the keys of all estimates."""
        return [key for alike in self._alike.values() for key in alike.members()]

    def chosen(self) -> list[Key]:
        """Return the keys of the estimates that a choice has to read, from the newest ``GROUPS`` groups."""
        groups: Iterable[_Alike] = self._alike.values()
        if len(self._alike) > GROUPS:
            groups = heapq.nlargest(GROUPS, groups, key=_Alike.age)
        return list(dict.fromkeys(key for alike in groups for key in alike.ends()))


class _Alike:
    """A group of estimates that differ only in name and age."""

    __slots__ = ("_by_age", "_by_name")

    def __init__(self) -> None:
        self._by_name: list[str] = []
        self._by_age: list[tuple[str, str, Key]] = []

    def add(self, created: str, key: Key) -> None:
        insort(self._by_age, (created, key.name, key), key=lambda each: each[:2])
        insort(self._by_name, key.name)

    def remove(self, created: str, key: Key) -> bool:
        """Remove ``key``; tells whether any estimate is left."""
        place = bisect_left(self._by_age, (created, key.name), key=lambda each: each[:2])
        if place < len(self._by_age) and self._by_age[place][2] == key:
            del self._by_age[place]
            del self._by_name[bisect_left(self._by_name, key.name)]
        return bool(self._by_age)

    def members(self) -> Iterable[Key]:
        return (key for _, _, key in self._by_age)

    def age(self) -> tuple[str, str]:
        return self._by_age[-1][:2]

    def ends(self) -> Iterable[Key]:
        """Return the first estimate by name, and the first and the last by name of the newest ones."""
        _, _, last = self._by_age[-1]
        first_of_newest = self._by_age[bisect_left(self._by_age, self._by_age[-1][0], key=lambda each: each[0])][2]
        return Key(kind=last.kind, namespace=last.namespace, name=self._by_name[0]), first_of_newest, last


def _traits(estimate: Resource) -> list[Any]:
    """Return the estimate's owners, what it requests, and what its results contain."""
    metadata, spec, status = (mapping(estimate.get(part)) for part in ("metadata", "spec", "status"))
    owners = [owner.get("uid") for owner in metadata.get("ownerReferences") or () if isinstance(owner, Mapping)]
    ready = ready_condition(estimate)
    rows = [row for row in status.get("results") or () if isinstance(row, Mapping)]
    held = sorted({str([row.get(name) for name in _HELD]) for row in rows})
    asked = [spec.get("workload"), spec.get("runtime"), spec.get("accelerators")]
    return [is_made(estimate), owners, asked, ready.get("status") if ready else None, status.get("image"), held]


_HELD: Final = tuple(each.field for each in DIMENSIONS)
