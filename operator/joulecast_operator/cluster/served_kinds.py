"""Find out which optional kinds the cluster serves, and watch them while it does.

The API server tells every account which groups, versions and kinds it serves, so that no right on
CustomResourceDefinitions is needed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from http import HTTPStatus

import aiohttp

from joulecast_operator.api.kinds import Kind
from joulecast_operator.api.objects import mapping, mappings
from joulecast_operator.cluster.client import ApiError, Cluster
from joulecast_operator.cluster.scopes import watched
from joulecast_operator.cluster.watches import Watches
from joulecast_operator.index.index import Index

log = logging.getLogger(__name__)


class ServedKinds:
    """Watches those of ``kinds`` that the cluster serves.

    ``namespaces``: those whose objects are watched; all when empty. ``seconds``: between two looks, each of one small
    request, and one more for each group that is there. ``on_change`` is called when a kind came or went.
    """

    def __init__(
        self,
        *,
        kinds: Iterable[Kind],
        cluster: Cluster,
        index: Index,
        watches: Watches,
        namespaces: Collection[str] = (),
        seconds: float = 10.0,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self._kinds = tuple(kinds)
        self._cluster = cluster
        self._index = index
        self._watches = watches
        self._namespaces = namespaces
        self._seconds = seconds
        self._on_change = on_change
        self._watched: dict[str, Kind] = {}

    async def watch(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            await asyncio.sleep(self._seconds)
            await self.look()

    async def look(self) -> None:
        """Begin to watch the kinds that came, and cease to watch those that went; nothing if the server is busy."""
        try:
            served = await self._served()
        except (ApiError, aiohttp.ClientError, TimeoutError) as error:
            log.warning("cannot find out which kinds the cluster serves: %s", error)
            return
        for kind in self._kinds:
            await self._follow(kind, served.get(kind.kind))

    async def _follow(self, kind: Kind, now: Kind | None) -> None:
        before = self._watched.pop(kind.kind, None)
        if now is not None:
            self._watched[kind.kind] = now
        if before == now:
            return
        self._index.note_served(kind, served=now is not None)
        if before is not None:
            await self._watches.leave(watched((before,), self._namespaces))
        if now is not None:
            await self._watches.join(watched((now,), self._namespaces))
        log.info("%s", f"{kind.plural}.{kind.group} are " + (f"watched in {now.version}" if now else "gone"))
        self._on_change()

    async def _served(self) -> dict[str, Kind]:
        """Return those of the kinds that the cluster serves, in the version that joulecast knows if it is one of them,
        else in the one that the cluster prefers."""
        listed = mappings((await self._cluster.get("/apis")).get("groups"))
        groups = {str(group.get("name")): group for group in listed}
        found: dict[str, Kind] = {}
        for group in {kind.group for kind in self._kinds} & groups.keys():
            preferred = mapping(groups[group].get("preferredVersion")).get("version")
            versions = [each.get("version") for each in mappings(groups[group].get("versions"))]
            for version in sorted(map(str, versions), key=lambda each: each == preferred):
                found |= await self._of(group, version, found)
        return found

    async def _of(self, group: str, version: str, found: dict[str, Kind]) -> dict[str, Kind]:
        """Return the kinds of a group's version, without those that ``found`` has in the version that is known."""
        try:
            listed = mappings((await self._cluster.get(f"/apis/{group}/{version}")).get("resources"))
        except ApiError as error:
            if error.status not in (HTTPStatus.NOT_FOUND, HTTPStatus.FORBIDDEN):
                raise
            return {}  # it went since the groups were listed
        plurals = {each.get("name") for each in listed}
        known = {kind.kind: kind for kind in self._kinds if kind.group == group and kind.plural in plurals}
        return {
            name: replace(kind, version=version)
            for name, kind in known.items()
            if name not in found or found[name].version != kind.version
        }
