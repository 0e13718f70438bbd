"""kopf fills the index: log in, LIST before anything is served, then watch events; nothing is kept on objects."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import aiohttp
import kopf

from joulecast_operator.index import Index, Key, Resource, key_of
from joulecast_operator.kinds import Kind
from joulecast_operator.kube import ApiError, Cluster, login

log = logging.getLogger(__name__)

COMPARE_SECONDS: Final = 60.0  # a listing of 5,000 objects' metadata is 2 MB from the server's cache
FIRST_COMPARE_SECONDS: Final = 5.0  # kopf's own first listing is over by then
RETRY_SECONDS: Final = 2.0
STALE_SECONDS: Final = 150.0  # two comparisons and a half

OnChange = Callable[[Key, Resource | None, Resource | None], None]
"""Called with the key, what the index held and what it holds now; None where there is nothing."""

Work = Callable[[], Coroutine[Any, Any, None]]


class Watches:
    """kopf's registry and settings for a process that only reads ``kinds`` into ``index``."""

    def __init__(
        self, *, index: Index, cluster: Cluster, kinds: Sequence[Kind], on_change: OnChange | None = None
    ) -> None:
        self.registry = kopf.OperatorRegistry()
        self.settings = settings()
        self._index = index
        self._cluster = cluster
        self._kinds = kinds
        self._on_change = on_change or (lambda *_: None)
        self._works: list[Work] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._unreadable: dict[Key, str] = {}
        kopf.on.login(registry=self.registry)(self._login)
        kopf.on.startup(registry=self.registry)(self._startup)
        kopf.on.cleanup(registry=self.registry)(self._cleanup)
        for kind in kinds:
            kopf.on.event(kind.group, kind.version, kind.plural, registry=self.registry, id=kind.plural)(
                self._handler(kind)
            )

    def then(self, work: Work) -> None:
        """Have ``work`` run from when the index is filled until the process ends; if it fails, so does the process."""
        self._works.append(work)

    async def load(self) -> None:
        """Fill the index; waits for the kinds to exist."""
        gc.disable()  # nothing of thousands of fresh objects is garbage, and each collection would walk them all
        try:
            for kind in self._kinds:
                while not await self._listed(kind):
                    await asyncio.sleep(RETRY_SECONDS)
        finally:
            gc.enable()
        self._index.ready = True

    async def compare(self) -> None:
        """Look whether the index still follows the server; drop what is gone, fetch what the watch did not bring."""
        stale: set[Key] = set()
        for kind in self._kinds:
            stale |= await self._compare(kind)
        if stale:
            log.warning("the watch is behind the server", extra={"objects": len(stale)})

    # -- kopf's handlers

    async def _login(self, settings: kopf.OperatorSettings, **_: Any) -> kopf.ConnectionInfo:
        return login(settings)

    async def _startup(self, **_: Any) -> None:
        await self.load()
        for work in (self._comparing, *self._works):
            self._spawn(work())

    async def _cleanup(self, **_: Any) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._cluster.close()

    def _handler(self, kind: Kind) -> Callable[..., Coroutine[Any, Any, None]]:
        async def on_event(event: Any, **_: Any) -> None:
            self._index.heard(kind)
            self._take(kind, event["type"], event["object"])

        return on_event

    # -- the index

    def _take(self, kind: Kind, event_type: str | None, resource: Resource) -> None:
        key = key_of(kind, resource)
        with self._passing_over(kind, resource):
            before = self._index.resource(key)
            if self._index.apply(kind, event_type, resource):
                self._on_change(key, before, self._index.resource(key))

    @contextmanager
    def _passing_over(self, kind: Kind, resource: Resource) -> Iterator[None]:
        """Log an object that cannot be taken, so that it stops no LIST and no watch of the others."""
        key = key_of(kind, resource)
        try:
            yield
            self._unreadable.pop(key, None)
        except Exception as error:
            self._unreadable[key] = _version(resource)
            told = {"kind": kind.kind, "namespace": key.namespace, "object": key.name}
            log.error("an object cannot be read and is passed over", exc_info=error, extra=told)

    def _is_readable(self, kind: Kind, listed: Resource) -> bool:
        """Whether the listed version was not passed over: the index lacks that one, and is not behind for it."""
        return self._unreadable.get(key_of(kind, listed)) != _version(listed)

    async def _listed(self, kind: Kind) -> bool:
        try:
            async for page in self._cluster.pages(kind.path()):
                for resource in page.get("items") or ():
                    with self._passing_over(kind, resource):
                        self._index.put(kind, resource)
        except ApiError as error:
            log.warning("cannot list %s yet: %s", kind.plural, error)
            return False
        except (aiohttp.ClientError, TimeoutError) as error:
            log.warning("cannot reach the API server yet: %s", error)
            return False
        return True

    async def _compare(self, kind: Kind) -> set[Key]:
        listed: list[Resource] = []
        version = ""
        async for page in self._cluster.pages(kind.path(), metadata_only=True, resource_version="0"):
            listed += [each for each in page.get("items") or () if self._is_readable(kind, each)]
            version = str(page["metadata"].get("resourceVersion") or version)
        gone, stale = self._index.compare(kind, listed, version)
        for key in gone:
            before = self._index.drop(key)
            self._on_change(key, before, None)
        for key in stale:
            await self._fetch(kind, key)
        return stale

    async def _fetch(self, kind: Kind, key: Key) -> None:
        """Take an object as it is now; one that went since the listing is no reason to leave the others."""
        try:
            found = await self._cluster.get(kind.path(key.namespace or None, key.name))
        except ApiError as error:
            if error.status != 404:
                raise
        else:
            self._take(kind, "MODIFIED", found)

    async def _comparing(self) -> None:
        await asyncio.sleep(FIRST_COMPARE_SECONDS)
        while True:
            try:
                await self.compare()
            except (ApiError, aiohttp.ClientError, TimeoutError) as error:
                log.info("cannot compare the index with the server now: %s", error)
            await asyncio.sleep(COMPARE_SECONDS)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        task.add_done_callback(_stop_on_failure)
        self._tasks.append(task)


def settings() -> kopf.OperatorSettings:
    """kopf watches and serves; it keeps no state, scans nothing and has no peers."""
    chosen = kopf.OperatorSettings()
    chosen.queueing.worker_limit = 20
    chosen.queueing.idle_timeout = 0.05  # an idle worker holds its slot this long; 5 s, the default, starves the rest
    chosen.scanning.disabled = True
    chosen.peering.standalone = True
    chosen.posting.enabled = False
    chosen.watching.chunk_size = 500
    chosen.watching.server_timeout = 5 * 60
    chosen.watching.client_timeout = 6 * 60
    chosen.watching.connect_timeout = 10
    chosen.watching.inactivity_timeout = 70  # the server sends a bookmark every minute
    chosen.networking.request_timeout = 30
    chosen.networking.connect_timeout = 10
    return chosen


def _version(resource: Resource) -> str:
    return str((resource.get("metadata") or {}).get("resourceVersion") or "")


def _stop_on_failure(task: asyncio.Task[None]) -> None:
    """A background task that ends by an error ends the process: a fresh one starts from what the server holds."""
    if not task.cancelled() and task.exception() is not None:
        log.critical("a background task failed; stopping", exc_info=task.exception())
        signal.raise_signal(signal.SIGTERM)
