"""Test that an object of unexpected shape stops neither a listing nor a watch nor a comparison."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from joulecast_operator.api.kinds import ESTIMATES, Kind
from joulecast_operator.api.objects import Key, Resource, Scope, key_of
from joulecast_operator.cluster.client import ApiError
from joulecast_operator.cluster.watches import Watches
from joulecast_operator.index.index import Index


class Unexpected(Index):
    """An index that cannot read the estimate ``odd``."""

    def put(self, kind: Kind, resource: Resource) -> bool:
        if resource["metadata"]["name"] == "odd":
            raise TypeError("injected: a list where a text was expected")
        return super().put(kind, resource)


class Server:
    """Answers LISTs with ``objects``."""

    def __init__(self, *names: str) -> None:
        self.objects = [item(name) for name in names]

    async def pages(self, *_: Any, **__: Any) -> AsyncIterator[dict[str, Any]]:
        yield {"metadata": {"resourceVersion": "9"}, "items": self.objects}

    async def get(self, path: str) -> dict[str, Any]:
        return item(path.rpartition("/")[2])


def item(name: str, version: str = "1") -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "shop", "resourceVersion": version}, "spec": {}}


def test_an_object_that_cannot_be_read_is_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    index, changed = Unexpected(), []
    watches = Watches(
        index=index,
        cluster=Server("a", "odd", "z"),  # type: ignore[arg-type]
        scopes=(Scope(kind=ESTIMATES),),
        on_change=lambda key, *_: changed.append(key.name),
    )

    async def run() -> None:
        await watches.load()
        for _ in range(3):
            await watches.compare()

    asyncio.run(run())
    assert index.ready
    assert [key.name for key in index.keys(ESTIMATES)] == ["a", "z"]
    assert index.behind_seconds() == 0.0, "the process would be restarted for it, again and again"
    (told,) = [record for record in caplog.records if record.exc_info]
    assert (told.object, told.namespace) == ("odd", "shop")  # type: ignore[attr-defined]
    for name in ("odd", "new"):
        watches._take(ESTIMATES, "ADDED", item(name, "2"))
    assert changed == ["new"]


def test_an_object_that_goes_between_listing_and_look_keeps_no_other_from_being_fetched() -> None:
    class Hasty(Server):
        async def get(self, path: str) -> dict[str, Any]:
            if path.endswith("/gone"):
                raise ApiError(404, "NotFound", path)
            return await super().get(path)

    index = Index()
    watches = Watches(index=index, cluster=Hasty("a", "gone", "z"), scopes=(Scope(kind=ESTIMATES),))  # type: ignore[arg-type]

    async def run() -> None:
        for _ in range(2):  # what lacks twice is stale
            await watches.compare()

    asyncio.run(run())
    assert sorted(key.name for key in index.keys(ESTIMATES)) == ["a", "z"]


def test_a_change_that_fails_stops_no_watch() -> None:
    index = Index()

    def on_change(key: Key, *_: Any) -> None:
        raise KeyError(key.name)

    watches = Watches(index=index, cluster=Server(), scopes=(Scope(kind=ESTIMATES),), on_change=on_change)  # type: ignore[arg-type]
    watches._take(ESTIMATES, "ADDED", item("a"))
    assert index.resource(key_of(ESTIMATES, item("a")))
