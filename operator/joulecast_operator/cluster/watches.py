"""Fill the index by one listing before anything is served, and keep it current by watching; kopf runs the process.

kopf's own watches are not used, because they list everything a second time, keep every object as a dict until it is
handled, and take 1 ms for each event.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any, Final

import aiohttp
import kopf

from joulecast_operator.api.kinds import Kind
from joulecast_operator.api.objects import Key, Resource, Scope, key_of, version_of
from joulecast_operator.cluster.client import ApiError, Cluster, login
from joulecast_operator.index.index import Index
from joulecast_operator.index.stores import later

log = logging.getLogger(__name__)

CHECK_SECONDS: Final = 75.0  # between two looks at the server's version: it sends a bookmark every minute or so
COMPARE_SECONDS: Final = 600.0  # between two comparisons, each of which costs the server seconds for 10,000 objects
RETRY_SECONDS: Final = 2.0
LIST_SECONDS: Final = 5.0  # for which the first listing of an optional kind is awaited
FORBIDDEN_SECONDS: Final = 30.0  # before a namespace is tried again that may not be read: its rights come by Helm
_TURN_SECONDS: Final = 0.002  # for which events are handled in a row, before other tasks may run
STALE_SECONDS: Final = 150.0  # two times CHECK_SECONDS

OnChange = Callable[[Key, Resource | None, Resource | None], None]
"""Called with the key of an object, and the object in the index before and after the change; None for no object."""

BackgroundWork = Callable[[], Coroutine[Any, Any, None]]
"""Starts work that lasts as long as the process."""


class Watches:
    """Keeps the objects of ``scopes`` in ``index``; holds kopf's registry and settings for such a process.

    ``on_change`` is called for each change of the index. A namespace that may not be read, because it was deleted
    together with the rights in it, keeps no other from being watched, and an optional kind no other kind.
    """

    def __init__(
        self, *, index: Index, cluster: Cluster, scopes: Sequence[Scope], on_change: OnChange | None = None
    ) -> None:
        self.registry = kopf.OperatorRegistry()
        self.settings = settings()
        self._index = index
        self._cluster = cluster
        self._scopes = list(scopes)
        self._on_change = on_change or (lambda *_: None)
        self._works: list[BackgroundWork] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._following: dict[Scope, asyncio.Task[None]] = {}
        self._unreadable: dict[Key, str] = {}
        kopf.on.login(registry=self.registry)(self._login)
        kopf.on.startup(registry=self.registry)(self._startup)
        kopf.on.cleanup(registry=self.registry)(self._cleanup)
        self._versions: dict[Scope, str] = {}
        self._asked: dict[Scope, str] = {}
        self._forbidden: dict[Scope, str] = {}

    def then(self, work: BackgroundWork) -> None:
        """Run ``work`` from when the index is filled until the process ends. If it fails, the process ends."""
        self._works.append(work)

    async def load(self) -> None:
        """Fill the index. If a kind does not exist yet, wait for it, unless it is optional; do not wait for rights."""
        gc.disable()  # none of the thousands of new objects is garbage, and each collection would visit all of them
        try:
            for scope in self._scopes:
                await self._listed(scope, self._put)
        finally:
            gc.enable()
        self._index.ready = True

    async def compare(self, scopes: Iterable[Scope] | None = None) -> None:
        """Compare the index with the server, for ``scopes`` or for all that may be read.

        Objects that were deleted are dropped from the index, and those whose change the watch has missed are read.
        """
        stale: set[Key] = set()
        for scope in self._readable() if scopes is None else scopes:
            with self._tolerating(scope):
                stale |= await self._compare(scope)
        if stale:
            log.warning("the watch is behind the server", extra={"objects": len(stale)})

    async def check(self) -> None:
        """Compare those scopes whose watch has not reached the version that the server had at the last check."""
        await self.compare(
            [scope for scope in self._readable() if later(self._asked.get(scope, "0"), self._versions[scope])]
        )
        for scope in self._readable():
            with self._tolerating(scope):
                self._asked[scope] = await self._cluster.version(scope.path, selector=scope.selector)

    async def join(self, scopes: Iterable[Scope]) -> None:
        """Watch the objects of ``scopes`` as well, from now until ``leave``; those that exist count as changes.

        Return when they are listed, or after some seconds: a kind whose conversion fails must not stop the process.
        """
        for scope in scopes:
            listed = asyncio.Event()
            self._following[scope] = self._spawn(self._joined(scope, listed))
            self._scopes.append(scope)
            try:
                await asyncio.wait_for(listed.wait(), LIST_SECONDS)
            except TimeoutError:
                self._forbidden[scope] = f"{scope} cannot be listed, so their forecasts are missing: the log says why"
                self._index.note_unreadable(scope, unreadable=True)

    async def _joined(self, scope: Scope, listed: asyncio.Event) -> None:
        await self._relist(scope)
        listed.set()
        await self._follow(scope)

    async def leave(self, scopes: Iterable[Scope]) -> None:
        """End the watches of ``scopes``, which ``join`` began, and drop their objects from the index."""
        for scope in scopes:
            task = self._following.pop(scope)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            self._tasks.remove(task)
            self._scopes.remove(scope)
            for known in (self._versions, self._asked, self._forbidden):
                known.pop(scope, None)
            self._index.note_unreadable(scope, unreadable=False)
            self._drop([key for key in self._index.keys(scope.kind, scope.namespace) if scope.covers(key)])

    def notes(self) -> list[str]:
        """Return a sentence for each namespace and kind that may not be read."""
        return list(self._forbidden.values())

    def _readable(self) -> list[Scope]:
        unlisted = self._following.keys() - self._versions.keys()
        return [scope for scope in self._scopes if scope not in self._forbidden and scope not in unlisted]

    # -- kopf's handlers

    async def _login(self, settings: kopf.OperatorSettings, **_: Any) -> kopf.ConnectionInfo:
        return login(settings)

    async def _startup(self, **_: Any) -> None:
        await self.load()
        for scope in self._scopes:
            self._spawn(self._follow(scope))
        for work in (self._comparing, *self._works):
            self._spawn(work())

    async def _cleanup(self, **_: Any) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._cluster.close()

    # -- watching

    async def _follow(self, scope: Scope) -> None:
        """Handle the events of ``scope`` after the version of its listing, until cancelled."""
        kind = scope.kind
        while True:
            if scope in self._forbidden:
                await asyncio.sleep(FORBIDDEN_SECONDS)
                await self._relist(scope)
                continue
            try:
                since = time.perf_counter()
                async for event in self._cluster.watch(scope.path, self._versions[scope], selector=scope.selector):
                    self._versions[scope] = version_of(event["object"])
                    if event["type"] != "BOOKMARK":
                        self._index.heard(scope)
                        self._take(kind, event["type"], event["object"])
                    if time.perf_counter() - since > _TURN_SECONDS:
                        await asyncio.sleep(0)
                        since = time.perf_counter()
            except ApiError as error:
                await self._refused(scope, error)
            except (aiohttp.ClientError, TimeoutError, ValueError) as error:
                log.info("the watch of %s ended: %s", scope, error)
                await asyncio.sleep(RETRY_SECONDS)

    async def _refused(self, scope: Scope, error: ApiError) -> None:
        """List the objects again if the server no longer knows our version; else wait before the next try."""
        if error.status == HTTPStatus.GONE:
            await self._relist(scope)
            return
        if not self._note_forbidden(scope, error):
            log.warning("cannot watch %s now: %s", scope, error)
            await asyncio.sleep(RETRY_SECONDS)

    async def _relist(self, scope: Scope) -> None:
        await self._listed(scope, lambda kind, resource: self._take(kind, "MODIFIED", resource))

    @contextmanager
    def _noting(self, scope: Scope) -> Iterator[None]:
        """Pass over an error inside by which the API server says that ``scope`` may not be read."""
        try:
            yield
        except ApiError as error:
            if not self._note_forbidden(scope, error):
                raise

    @contextmanager
    def _tolerating(self, scope: Scope) -> Iterator[None]:
        """Pass over an error as ``_noting`` does, and any error about a scope that ``join`` added."""
        try:
            with self._noting(scope):
                yield
        except ApiError as error:
            if scope not in self._following:
                raise
            log.info("cannot compare %s with the server now: %s", scope, error)

    def _note_forbidden(self, scope: Scope, error: ApiError) -> bool:
        """Note that ``scope`` may not be read, if ``error`` says so and the process can do without it; tells whether.

        It can do without a namespace, and without an optional kind, which the cluster may not even serve.
        """
        refused = error.status == HTTPStatus.FORBIDDEN and (scope.namespace is not None or scope.kind.optional)
        if not refused and not (error.status == HTTPStatus.NOT_FOUND and scope.kind.optional):
            return False
        went = not refused and scope in self._following  # which whoever called ``join`` finds out soon
        sentence = f"{scope} are not served by the cluster any more" if went else _unreadable(scope)
        if scope not in self._forbidden:
            log.warning("%s (%s)", sentence, error)
        self._forbidden[scope] = sentence
        self._index.note_unreadable(scope, unreadable=True)
        return True

    # -- the index

    def _take(self, kind: Kind, event_type: str | None, resource: Resource) -> None:
        key = key_of(kind, resource)
        with self._passing_over(kind, resource):
            if event_type != "DELETED" and not self._index.is_news(kind, resource):
                return  # mostly the event of our own write
            before = self._index.resource(key)
            if self._index.apply(kind, event_type, resource):
                self._on_change(key, before, self._index.resource(key))

    @contextmanager
    def _passing_over(self, kind: Kind, resource: Resource) -> Iterator[None]:
        """Log an error about one object inside, so that the listing or watch goes on with the others."""
        key = key_of(kind, resource)
        try:
            yield
            self._unreadable.pop(key, None)
        except Exception as error:
            self._unreadable[key] = version_of(resource)
            told = {"kind": kind.kind, "namespace": key.namespace, "object": key.name}
            log.error("an object cannot be read and is passed over", exc_info=error, extra=told)

    def _put(self, kind: Kind, resource: Resource) -> None:
        with self._passing_over(kind, resource):
            self._index.put(kind, resource)

    async def _listed(self, scope: Scope, take: Callable[[Kind, Resource], object]) -> None:
        """Call ``take`` for every object of ``scope`` and drop those that are gone.

        Tries until this succeeds, or until the API server says that they may not be read.
        """
        while True:
            try:
                with self._noting(scope):
                    listed, version = await self._read(scope, take, metadata_only=False)
                    self._forbidden.pop(scope, None)
                    self._index.note_unreadable(scope, unreadable=False)
                    self._drop(self._index.gone(scope, listed, version))
                    self._versions[scope] = version
                return
            except ApiError as error:
                log.warning("cannot list %s yet: %s", scope, error)
            except (aiohttp.ClientError, TimeoutError) as error:
                log.warning("cannot reach the API server yet: %s", error)
            await asyncio.sleep(RETRY_SECONDS)

    async def _read(
        self, scope: Scope, take: Callable[[Kind, Resource], object], *, metadata_only: bool
    ) -> tuple[dict[Key, str], str]:
        """Call ``take`` for each object, a page at a time; return the version of each object and of the listing."""
        listed: dict[Key, str] = {}
        version = ""
        pages = self._cluster.pages(scope.path, metadata_only=metadata_only, selector=scope.selector)
        async for page in pages:
            version = str(page["metadata"].get("resourceVersion") or version)
            for resource in page.get("items") or ():
                listed[key_of(scope.kind, resource)] = version_of(resource)
                take(scope.kind, resource)
        return listed, version

    async def _compare(self, scope: Scope) -> set[Key]:
        listed, version = await self._read(scope, lambda *_: None, metadata_only=True)
        # an object that could not be read is missing in the index on purpose, so the index is not behind for it
        listed = {key: found for key, found in listed.items() if self._unreadable.get(key) != found}
        gone, stale = self._index.compare(scope, listed, version)
        self._drop(gone)
        for key in stale:
            await self._fetch(scope.kind, key)
        return stale

    async def _fetch(self, kind: Kind, key: Key) -> None:
        """Read an object from the server into the index, unless it was deleted since the listing."""
        try:
            found = await self._cluster.get(kind.path(key.namespace or None, key.name))
        except ApiError as error:
            if error.status != 404:
                raise
        else:
            self._take(kind, "MODIFIED", found)

    def _drop(self, gone: Iterable[Key]) -> None:
        for key in gone:
            before = self._index.drop(key)
            self._on_change(key, before, None)

    async def _comparing(self) -> None:
        compared = time.monotonic()
        while True:
            await asyncio.sleep(min(CHECK_SECONDS, COMPARE_SECONDS))
            is_due = time.monotonic() - compared >= COMPARE_SECONDS
            try:
                await (self.compare() if is_due else self.check())
            except (ApiError, aiohttp.ClientError, TimeoutError) as error:
                log.info("cannot compare the index with the server now: %s", error)
            else:
                compared = time.monotonic() if is_due else compared

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        task.add_done_callback(_stop_on_failure)
        self._tasks.append(task)
        return task


def settings() -> kopf.OperatorSettings:
    """Return kopf's settings for a process in which kopf logs in, but neither watches, scans, posts nor has peers."""
    chosen = kopf.OperatorSettings()
    chosen.scanning.disabled = True
    chosen.peering.standalone = True
    chosen.posting.enabled = False
    chosen.networking.request_timeout = 30
    chosen.networking.connect_timeout = 10
    return chosen


def _unreadable(scope: Scope) -> str:
    if scope.namespace is None:
        return f"{scope} may not be read, so what needs them is missing: upgrade the release, which gives the right"
    return (
        f"{scope} may not be read: if the namespace was deleted, take it off the chart's watchNamespaces, else"
        " upgrade the release, which gives the rights again"
    )


def _stop_on_failure(task: asyncio.Task[None]) -> None:
    """End the process if a background task fails, because a new process reads everything from the API server again."""
    if not task.cancelled() and task.exception() is not None:
        log.critical("a background task failed; the process ends", exc_info=task.exception())
        signal.raise_signal(signal.SIGTERM)
