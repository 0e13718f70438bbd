"""Test that custom kinds are watched while the cluster serves them, in a version that it serves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from joulecast_operator.api.kinds import CUSTOM, LEADER_WORKER_SETS, LLM_INFERENCE_SERVICES, Kind
from joulecast_operator.api.objects import Key
from joulecast_operator.cluster import watches
from joulecast_operator.cluster.client import ApiError
from joulecast_operator.cluster.served_kinds import ServedKinds
from joulecast_operator.cluster.watches import Watches
from joulecast_operator.index.index import Index
from tests.unit.joulecast_operator.samples import custom
from tests.waiting import PATIENCE_SECONDS

LWS_KEY = Key(kind="LeaderWorkerSet", namespace="shop", name="chat")


class Cluster:
    """Serves the versions of ``served``, which names each kind by its plural, and one object of each kind."""

    def __init__(self, **served: list[str]) -> None:
        self.served = served
        self.busy = False
        self.broken = ""
        self.listed: list[str] = []

    async def get(self, path: str) -> dict[str, Any]:
        if self.busy:
            raise ApiError(503, "ServiceUnavailable", "busy")
        if path == "/apis":
            return {"groups": [self._group(kind) for kind in self._kinds()]}
        _, group, version = path.strip("/").split("/")
        return {"resources": [{"name": k.plural} for k in self._kinds() if k.group == group and version in self._of(k)]}

    async def pages(self, path: str, **_: Any) -> AsyncIterator[dict[str, Any]]:
        if path == self.broken:
            raise ApiError(500, "InternalError", "conversion webhook failed")
        self.listed.append(path)
        kind = next(kind for kind in CUSTOM.values() if path.endswith(kind.plural))
        yield {"metadata": {"resourceVersion": "10"}, "items": [custom.ALL[kind.kind]]}

    async def watch(self, *_: Any, **__: Any) -> AsyncIterator[dict[str, Any]]:
        await asyncio.Event().wait()
        yield {}

    def _kinds(self) -> list[Kind]:
        return [kind for kind in CUSTOM.values() if self._of(kind)]

    def _of(self, kind: Kind) -> list[str]:
        return self.served.get(kind.plural, [])

    def _group(self, kind: Kind) -> dict[str, Any]:
        versions = [{"version": each} for each in self._of(kind)]
        return {"name": kind.group, "versions": versions, "preferredVersion": versions[0]}


def parts(cluster: Cluster, told: list[str], news: list[Key] | None = None) -> tuple[Index, Watches, ServedKinds]:
    index, seen = Index(), [] if news is None else news
    watches = Watches(index=index, cluster=cluster, scopes=(), on_change=lambda key, *_: seen.append(key))  # type: ignore[arg-type]
    kinds = ServedKinds(
        kinds=CUSTOM.values(), cluster=cluster, index=index, watches=watches, on_change=lambda: told.append("changed")  # type: ignore[arg-type]
    )  # fmt: skip
    return index, watches, kinds


def test_a_kind_that_comes_is_watched_and_one_that_goes_is_dropped() -> None:
    cluster, told, news = Cluster(), list[str](), list[Key]()
    index, _, kinds = parts(cluster, told, news)

    async def run() -> None:
        await kinds.look()
        assert (told, cluster.listed, index.is_served("LeaderWorkerSet")) == ([], [], False)
        cluster.served = {"leaderworkersets": ["v1"]}
        for _ in range(2):
            await kinds.look()
        assert (told, news, index.is_served("LeaderWorkerSet")) == (["changed"], [LWS_KEY], True)
        assert index.workload(*_path(LWS_KEY)) is not None
        cluster.busy = True
        await kinds.look()
        cluster.busy = False
        assert index.is_served("LeaderWorkerSet"), "a busy server tells nothing"
        cluster.served = {}
        await kinds.look()
        assert (told, news, index.is_served("LeaderWorkerSet")) == (["changed"] * 2, [LWS_KEY] * 2, False)
        assert index.workload(*_path(LWS_KEY)) is None
        cluster.served = {"leaderworkersets": ["v1"]}
        await kinds.look()
        assert index.workload(*_path(LWS_KEY)) is not None

    asyncio.run(run())
    assert cluster.listed == [LEADER_WORKER_SETS.path()] * 2


def test_a_kind_that_cannot_be_listed_stops_nothing_and_comes_when_it_can(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watches, "LIST_SECONDS", 0.05)
    monkeypatch.setattr(watches, "RETRY_SECONDS", 0.01)
    cluster = Cluster(leaderworkersets=["v1"], nimservices=["v1alpha1"])
    cluster.broken = LEADER_WORKER_SETS.path()
    index, watching, kinds = parts(cluster, [])

    async def run() -> None:
        await kinds.look()
        assert index.workload("NIMService", "shop", "chat") is not None, "the other kind is watched"
        assert index.is_unreadable("LeaderWorkerSet", "shop")
        assert [note.split(",")[0] for note in watching.notes()] == ["leaderworkersets cannot be listed"]
        await watching.compare()
        cluster.broken = ""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while index.workload(*_path(LWS_KEY)) is None or watching.notes():
                await asyncio.sleep(0.01)
        assert not index.is_unreadable("LeaderWorkerSet", "shop")
        cluster.broken = LEADER_WORKER_SETS.path()
        await watching.compare()
        assert index.workload(*_path(LWS_KEY)) is not None, "what cannot be compared now is kept"

    asyncio.run(run())


def test_the_version_that_is_known_is_read_else_the_preferred_one() -> None:
    for served, version in ((["v1alpha2", "v1alpha1"], "v1alpha1"), (["v1beta1", "v1alpha2"], "v1beta1")):
        cluster = Cluster(llminferenceservices=served)
        _, _, kinds = parts(cluster, [])
        asyncio.run(kinds.look())
        assert cluster.listed == [f"/apis/{LLM_INFERENCE_SERVICES.group}/{version}/llminferenceservices"]


def _path(key: Key) -> tuple[str, str, str]:
    return key.kind, key.namespace, key.name
