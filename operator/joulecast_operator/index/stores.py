"""Hold the newest known version of each object of a kind, in few bytes.

As dicts an estimate of 20 results takes 34 kB; packed it takes 1.6 kB, and 50 µs to be read again.
"""

from __future__ import annotations

import marshal
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from joulecast_operator.api.kinds import Kind
from joulecast_operator.api.objects import Key, Resource, version_of

_LEVEL: Final = 1  # of zlib: level 6 saves a twentieth of the bytes and takes twice the time

Link = tuple[str, str, str]
"""What an object can be found by: what it is ("image", "target Deployment", …), the namespace, the name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    """An object as it is held. ``summary``: whatever the store was told to keep readable of it."""

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
    """What a store keeps of its objects.

    ``slim`` drops the fields that are not read. ``packed``: as bytes, for kinds with thousands of objects that are read
    one at a time. ``links`` says what an object is found by.
    """

    slim: Callable[[Resource], Resource]
    packed: bool = False
    links: Callable[[Resource], Iterable[Link]] = lambda _: ()
    summary: Callable[[Resource], Any] = lambda _: None

    def entry(self, resource: Resource) -> StoredObject:
        kept = self.slim(resource)
        return StoredObject(
            version=version_of(resource),
            content=packed(kept) if self.packed else kept,
            links=tuple(dict.fromkeys(self.links(kept))),
            summary=self.summary(kept),
        )


class KindStore:
    """All objects of one kind, newest known version each."""

    def __init__(self, kind: Kind, keeping: StoragePolicy) -> None:
        self.kind = kind
        self._keeping = keeping
        self._entries: dict[Key, StoredObject] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Key]:
        return iter(self._entries)

    def entry(self, key: Key) -> StoredObject | None:
        return self._entries.get(key)

    def get(self, key: Key) -> Resource | None:
        entry = self._entries.get(key)
        return None if entry is None else entry.resource

    def keys(self) -> list[Key]:
        return list(self._entries)

    def resources(self) -> Iterator[Resource]:
        """Yield objects one by one: all at once would take the memory that packing saves."""
        for entry in list(self._entries.values()):
            yield entry.resource

    def summaries(self) -> list[Any]:
        return [entry.summary for entry in self._entries.values()]

    def is_news(self, key: Key, version: str) -> bool:
        """Tell whether ``version`` is later than what is held of ``key``."""
        known = self._entries.get(key)
        return known is None or later(version, known.version)

    def is_newer(self, key: Key, version: str) -> bool:
        """Tell whether what is held of ``key`` is later than ``version``."""
        return later(self._entries[key].version, version)

    def put(self, key: Key, resource: Resource) -> StoredObject:
        entry = self._entries[key] = self._keeping.entry(resource)
        return entry

    def drop(self, key: Key) -> StoredObject | None:
        return self._entries.pop(key, None)


def packed(resource: Resource) -> bytes:
    """Pack a resource, which consists of JSON values, into bytes for this process alone."""
    return zlib.compress(marshal.dumps(dict(resource)), _LEVEL)


def unpacked(content: bytes) -> Resource:
    found: Resource = marshal.loads(zlib.decompress(content))  # noqa: S302  # written by ``packed``, never received
    return found


def later(version: str, than: str) -> bool:
    """Tell which version is later; comparing them as numbers is allowed since Kubernetes 1.35."""
    if version.isdigit() and than.isdigit():
        return int(version) > int(than)
    return version != than
