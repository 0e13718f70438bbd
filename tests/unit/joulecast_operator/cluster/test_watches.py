"""Test that the index is filled by one listing and by events, and that watches survive a server's errors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from joulecast_operator.api.kinds import ESTIMATES, STATEFUL_SETS
from joulecast_operator.api.objects import Key, Scope
from joulecast_operator.cluster import watches
from joulecast_operator.cluster.client import ApiError
from joulecast_operator.cluster.watches import Watches
from joulecast_operator.index.index import Index
from tests.unit.joulecast_operator.samples import many
from tests.unit.joulecast_operator.samples.workloads import workload
from tests.waiting import PATIENCE_SECONDS

VERSION = "1000"
SCOPE = Scope(kind=ESTIMATES)


class Server:
    """Lists ``held`` in pages of two objects, and sends each connection of a watch the events that a test has set."""

    def __init__(self, *held: dict[str, Any]) -> None:
        self.held = list(held)
        self.connections: list[list[dict[str, Any] | Exception]] = []
        self.asked: list[str] = []
        self.listed = 0

    async def pages(self, path: str, *, metadata_only: bool = False, **_: Any) -> AsyncIterator[dict[str, Any]]:
        self.listed += path == ESTIMATES.path()
        for start in range(0, len(self.held), 2):
            yield {"metadata": {"resourceVersion": VERSION}, "items": self.held[start : start + 2]}
        if not self.held:
            yield {"metadata": {"resourceVersion": VERSION}}

    async def watch(self, _: str, version: str, **__: Any) -> AsyncIterator[dict[str, Any]]:
        self.asked.append(version)
        for event in self.connections.pop(0) if self.connections else ():
            if isinstance(event, Exception):
                raise event
            yield event
        if not self.connections:
            await asyncio.Event().wait()

    async def version(self, _: str, **__: Any) -> str:
        return "1005"

    async def close(self) -> None:
        pass


def follow(server: Server, index: Index, done: Callable[[], bool], news: list[Any] | None = None) -> None:
    seen = [] if news is None else news

    async def run() -> None:
        watching = Watches(
            index=index,
            cluster=server,
            scopes=(SCOPE,),
            on_change=lambda *change: seen.append(change),  # type: ignore[arg-type]
        )
        await watching.load()
        assert seen == [], "what is listed at the start is no change"
        task = asyncio.create_task(watching._follow(SCOPE))
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not done():
                await asyncio.sleep(0.01)
        task.cancel()

    asyncio.run(run())


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watches, "RETRY_SECONDS", 0.01)


def event(kind: str, number: int, version: str) -> dict[str, Any]:
    resource = many.estimate(number)
    resource["metadata"]["resourceVersion"] = version
    return {"type": kind, "object": resource}


def bookmark(version: str) -> dict[str, Any]:
    return {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": version}}}


def names(index: Index) -> set[str]:
    return {key.name for key in index.keys(ESTIMATES)}


def test_a_watch_goes_on_where_it_ended() -> None:
    server, index = Server(many.estimate(0), many.estimate(1), many.estimate(2)), Index()
    server.connections = [
        [event("ADDED", 3, "1001"), event("DELETED", 0, "1002"), bookmark("1010")],
        [TimeoutError("silent")],
        [event("ADDED", 4, "1011")],
    ]
    news: list[Any] = []
    follow(server, index, lambda: "small-00004" in names(index), news)
    assert names(index) == {f"small-0000{number}" for number in (1, 2, 3, 4)}
    assert server.asked == [VERSION, "1010", "1010"]
    assert server.listed == 1
    assert [key.name for key, _, _ in news] == ["small-00003", "small-00000", "small-00004"]


def test_what_went_while_the_server_forgot_goes() -> None:
    server, index = Server(many.estimate(0), many.estimate(1)), Index()
    server.connections = [[event("ADDED", 2, "999"), ApiError(410, "Expired", "too old")], [bookmark("1001")]]
    news: list[Any] = []

    def forgotten() -> bool:
        server.held = [many.estimate(1), many.estimate(5)]
        return server.listed == 2 and "small-00000" not in names(index)

    follow(server, index, forgotten, news)
    assert names(index) == {"small-00001", "small-00005"}
    assert ("small-00000", None) in [(key.name, after) for key, _, after in news]


def test_an_object_that_breaks_what_takes_it_costs_only_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    server, index = Server(), Index()
    server.connections = [[event("ADDED", 1, "1001"), event("ADDED", 2, "1002")]]
    genuine = Index.apply

    def apply(index: Index, kind: Any, event_type: str | None, resource: Any) -> bool:
        if resource["metadata"]["name"] == "small-00001":
            raise ZeroDivisionError("an injected bug")
        return genuine(index, kind, event_type, resource)

    monkeypatch.setattr(Index, "apply", apply)
    follow(server, index, lambda: names(index) == {"small-00002"})
    assert server.asked == [VERSION]


def test_the_echo_of_our_own_write_is_no_change_and_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    server, index, news = Server(many.estimate(1)), Index(), []
    server.connections = [[event("MODIFIED", 1, "2"), event("ADDED", 2, "1002")]]
    follow(server, index, lambda: len(index.keys(ESTIMATES)) == 2, news)
    assert [key.name for key, _, _ in news] == ["small-00002"]


def test_a_comparison_takes_versions_alone_and_drops_what_is_gone() -> None:
    server, index = Server(many.estimate(0), many.estimate(1), many.estimate(2)), Index()

    async def run() -> list[Any]:
        news: list[Any] = []
        watching = Watches(
            index=index,
            cluster=server,
            scopes=(SCOPE,),
            on_change=lambda *each: news.append(each),  # type: ignore[arg-type]
        )
        await watching.load()
        server.held = server.held[1:]
        await watching.compare()
        return news

    ((key, _, after),) = asyncio.run(run())
    assert (key, after) == (Key(kind=ESTIMATES.kind, namespace="shop", name="small-00000"), None)


@pytest.mark.parametrize(("reached", "is_compared"), [("1005", False), ("1004", True)])
def test_only_a_watch_that_stays_behind_the_servers_version_is_compared(reached: str, is_compared: bool) -> None:
    server, index = Server(many.estimate(0)), Index()
    watching = Watches(index=index, cluster=server, scopes=(SCOPE,))  # type: ignore[arg-type]

    async def run() -> None:
        await watching.load()
        server.held = []
        await watching.check()  # the first look knows nothing to hold the watch against
        watching._versions[SCOPE] = reached
        await watching.check()

    asyncio.run(run())
    assert names(index) == (set() if is_compared else {"small-00000"})


class Restricted(Server):
    """Forbids what lies in the namespaces ``closed``."""

    def __init__(self, *held: dict[str, Any], closed: set[str]) -> None:
        super().__init__(*held)
        self.closed = closed

    def _check(self, path: str) -> None:
        for namespace in self.closed:
            if f"/namespaces/{namespace}/" in path:
                raise ApiError(403, "Forbidden", f"cannot list in {namespace}")

    async def pages(self, path: str, *, metadata_only: bool = False, **_: Any) -> AsyncIterator[dict[str, Any]]:
        self._check(path)
        named = [each for each in self.held if f"/namespaces/{each['metadata']['namespace']}/" in path]
        yield {"metadata": {"resourceVersion": VERSION}, "items": named}

    async def watch(self, path: str, version: str, **_: Any) -> AsyncIterator[dict[str, Any]]:
        self._check(path)
        await asyncio.Event().wait()
        yield {}

    async def version(self, path: str, **_: Any) -> str:
        self._check(path)
        return "1005"


def test_a_namespace_without_rights_keeps_no_other_from_being_watched_and_comes_when_they_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watches, "FORBIDDEN_SECONDS", 0.01)
    open_, shut = (many.estimate(number) for number in (0, 1))
    shut["metadata"]["namespace"] = "gone"
    server, index, news = Restricted(open_, shut, closed={"gone"}), Index(), []
    scopes = tuple(Scope(kind=ESTIMATES, namespace=name) for name in ("gone", "shop"))

    async def run() -> None:
        watching = Watches(
            index=index,
            cluster=server,  # type: ignore[arg-type]
            scopes=scopes,
            on_change=lambda key, *_: news.append(key.name),
        )
        await watching.load()
        assert index.ready
        assert names(index) == {"small-00000"}
        (note,) = watching.notes()
        assert note.startswith("inferenceenergyestimates of the namespace 'gone' may not be read: ")
        await watching.check()
        await watching.compare()
        server.closed = set()
        tasks = [asyncio.create_task(watching._follow(scope)) for scope in scopes]
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(names(index)) < 2 or watching.notes():
                await asyncio.sleep(0.01)
        server.closed = {"shop"}
        await watching.compare()
        assert [note.split("'")[1] for note in watching.notes()] == ["shop"]
        for task in tasks:
            task.cancel()

    asyncio.run(run())
    assert names(index) == {"small-00000", "small-00001"}, "what may not be read now is not taken for deleted"
    assert news == ["small-00001"]


class Refusing(Server):
    """Refuses StatefulSets with an HTTP status, and lists nothing of any other kind."""

    def __init__(self, status: int) -> None:
        super().__init__()
        self.status = status
        self.refuses = True

    def _check(self, path: str) -> None:
        if self.refuses and path == STATEFUL_SETS.path():
            raise ApiError(self.status, "Refused", "statefulsets")

    async def pages(self, path: str, *, metadata_only: bool = False, **_: Any) -> AsyncIterator[dict[str, Any]]:
        self._check(path)
        yield {"metadata": {"resourceVersion": VERSION}, "items": self.held if path == STATEFUL_SETS.path() else []}

    async def version(self, path: str, **_: Any) -> str:
        self._check(path)
        return "1005"


@pytest.mark.parametrize("status", [403, 404])
def test_an_optional_kind_keeps_no_other_from_being_watched_and_comes_later(
    monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setattr(watches, "FORBIDDEN_SECONDS", 0.01)
    server, index, scopes = Refusing(status), Index(), (SCOPE, Scope(kind=STATEFUL_SETS))
    server.held = [workload("StatefulSet")]

    async def run() -> None:
        watching = Watches(index=index, cluster=server, scopes=scopes)  # type: ignore[arg-type]
        await watching.load()
        assert index.ready
        assert index.is_unreadable("StatefulSet", "shop")
        (note,) = watching.notes()
        assert note.startswith("statefulsets may not be read, so what needs them is missing: ")
        await watching.check()
        await watching.compare()
        server.refuses = False
        task = asyncio.create_task(watching._follow(scopes[1]))
        async with asyncio.timeout(PATIENCE_SECONDS):
            while index.workload("StatefulSet", "shop", "web") is None or watching.notes():
                await asyncio.sleep(0.01)
        task.cancel()

    asyncio.run(run())
    assert not index.is_unreadable("StatefulSet", "shop")
