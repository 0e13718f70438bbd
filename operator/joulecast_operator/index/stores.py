"""Hold the newest known version of each object of a kind, in few bytes.

An estimate with 20 results takes 54 kB as dicts. Packed it takes 3 kB, and 0.2 ms to unpack.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from joulecast_operator.api.kinds import Kind
from joulecast_operator.api.objects import Key, Resource, version_of

_LEVEL: Final = 6  # of zlib; level 1 takes 20 % more bytes and half the time

Link = tuple[str, str, str]
"""What an object can be found by: the kind of link ("model", "target Deployment", …), the namespace, the name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    """An object as a store holds it.

    - ``version``: its resource version.
    - ``content``: the object, packed or not.
    - ``links``: what it is found by.
    - ``summary``: what the store's policy keeps of it unpacked.
    """

    version: str
    content: bytes | Resource
    links: tuple[Link, ...]
    summary: Any

    @property
    def resource(self) -> Resource:
        """Return the object, unpacked anew at each call."""
        return unpacked(self.content) if isinstance(self.content, bytes) else self.content


@dataclass(frozen=True, slots=True, kw_only=True)
class StoragePolicy:
    """What a store keeps of its objects, and in which form.

    - ``slim``: returns an object without the fields that are not read.
    - ``packed``: whether objects are kept as bytes, for kinds of which thousands are read one at a time.
    - ``links``: returns what an object is found by.
    - ``summary``: returns what is kept of an object unpacked.
    """

    slim: Callable[[Resource], Resource]
    packed: bool = False
    links: Callable[[Resource], Iterable[Link]] = lambda _: ()
    summary: Callable[[Resource], Any] = lambda _: None

    def entry(self, resource: Resource) -> StoredObject:
        """Return an object as the store holds it."""
        kept = self.slim(resource)
        return StoredObject(
            version=version_of(resource),
            content=packed(kept) if self.packed else kept,
            links=tuple(dict.fromkeys(self.links(kept))),
            summary=self.summary(kept),
        )


class KindStore:
    """Holds all objects of one kind, each in its newest known version."""

    def __init__(self, kind: Kind, keeping: StoragePolicy) -> None:
        self.kind = kind
        self._keeping = keeping
        self._entries: dict[Key, StoredObject] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Key]:
        return iter(self._entries)

    def entry(self, key: Key) -> StoredObject | None:
        """Return the stored form of an object; None if there is none."""
        return self._entries.get(key)

    def get(self, key: Key) -> Resource | None:
        """Return an object; None if there is none."""
        entry = self._entries.get(key)
        return None if entry is None else entry.resource

    def keys(self) -> list[Key]:
        """Return the keys of all objects."""
        return list(self._entries)

    def resources(self) -> Iterator[Resource]:
        """Yield objects one by one, because all at once would take the memory that packing saves."""
        for entry in list(self._entries.values()):
            yield entry.resource

    def summaries(self) -> list[Any]:
        """Return the summaries of all objects."""
        return [entry.summary for entry in self._entries.values()]

    def is_news(self, key: Key, version: str) -> bool:
        """Tell whether ``version`` is later than the stored version of ``key``."""
        known = self._entries.get(key)
        return known is None or later(version, known.version)

    def is_newer(self, key: Key, version: str) -> bool:
        """Tell whether the stored version of ``key`` is later than ``version``."""
        return later(self._entries[key].version, version)

    def put(self, key: Key, resource: Resource) -> StoredObject:
        """Store an object in place of an older version, and return its stored form."""
        entry = self._entries[key] = self._keeping.entry(resource)
        return entry

    def drop(self, key: Key) -> StoredObject | None:
        """Remove an object and return its stored form; None if there is none."""
        return self._entries.pop(key, None)


def packed(resource: Resource) -> bytes:
    """Pack an object, which consists of JSON values. As text its numbers take fewer bytes than in binary form."""
    return zlib.compress(json.dumps(resource, separators=(",", ":")).encode(), _LEVEL)


def unpacked(content: bytes) -> Resource:
    """Return the object that ``packed`` made ``content`` from."""
    found: Resource = json.loads(zlib.decompress(content))
    return found


def later(version: str, than: str) -> bool:
    """Tell whether ``version`` is later than ``than``. Kubernetes allows to compare them as numbers since 1.35."""
    if version.isdigit() and than.isdigit():
        return int(version) > int(than)
    return version != than
