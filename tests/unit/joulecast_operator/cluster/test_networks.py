"""Test that fetchers may not connect to addresses that belong to the cluster at that time."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest

from joulecast_operator.api.kinds import NODES
from joulecast_operator.cluster.client import ApiError
from joulecast_operator.cluster.networks import ClusterNetworks
from joulecast_operator.controller import Controller
from joulecast_operator.estimates.request import ForecastRequest
from joulecast_operator.settings import Settings
from joulecast_operator.workers.fetcher import access_of


def node(name: str, version: int, *addresses: str, pods: tuple[str, ...] = ()) -> dict[str, Any]:
    found = [{"type": "InternalIP", "address": address} for address in addresses]
    return {
        "metadata": {"name": name, "resourceVersion": str(version)},
        "spec": {"podCIDRs": list(pods)},
        "status": {"addresses": [*found, {"type": "Hostname", "address": name}]},
    }


class Server:
    """An API server's answer to one listing: ServiceCIDRs, or an error."""

    def __init__(self, *answers: list[str] | Exception) -> None:
        self.answers = list(answers)

    async def get(self, _: str) -> dict[str, Any]:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return {"items": [{"spec": {"cidrs": answer}}]}


def networks(server: Server, *nodes: dict[str, Any], environ: dict[str, str] | None = None) -> ClusterNetworks:
    return ClusterNetworks(server, lambda: nodes, environ or {})  # type: ignore[arg-type]


def test_services_nodes_and_pods_are_denied() -> None:
    nodes = (
        node("a", 1, "192.0.2.10", "2001:db8::10", pods=("10.244.0.0/24", "fd00:1::/64")),
        node("b", 1, "192.0.2.11", pods=("10.244.1.0/24",)),
    )
    found = networks(Server(["172.20.0.0/16", "fd00:2::/108"]), *nodes, environ={"KUBERNETES_SERVICE_HOST": "10.7.0.1"})
    asyncio.run(found.look())
    assert set(found.denied()) == {
        "10.7.0.1/32",
        "172.20.0.0/16",
        "192.0.2.10/31",
        "10.244.0.0/23",
        "2001:db8::10/128",
        "fd00:1::/64",
        "fd00:2::/108",
    }


def test_what_was_known_stands_while_it_cannot_be_read(caplog: pytest.LogCaptureFixture) -> None:
    gone = ApiError(404, "NotFound", "no such kind")
    found = networks(Server(["172.20.0.0/16"], gone, gone, TimeoutError("no answer")))

    async def look(times: int) -> None:
        for _ in range(times):
            await found.look()

    with caplog.at_level(logging.WARNING):
        asyncio.run(look(4))
    assert found.denied() == ("172.20.0.0/16",)
    assert [record.levelname for record in caplog.records].count("WARNING") == 2, "each trouble is said once"


def test_nodes_that_come_and_go_count_at_once(tmp_path: Path) -> None:
    controller = Controller(Settings(cache_dir=tmp_path, permitted_hosts=("registry.lab:5000",)))
    request = ForecastRequest(image="registry.example/x:1", accelerators=())

    def admits(host: str, port: int) -> bool:
        policy = access_of(controller.forecasts._access(request)).address_policy
        return policy.admits(host, port, "192.0.2.10")

    async def event(kind: str, resource: dict[str, Any]) -> None:
        controller.watches._take(NODES, kind, resource)

    assert admits("registry.example", 443)
    asyncio.run(event("ADDED", node("a", 1, "192.0.2.10")))
    assert not admits("registry.example", 443)
    assert admits("registry.lab", 5000), "an administrator permitted it"
    asyncio.run(event("MODIFIED", node("a", 2, "192.0.2.77")))
    assert admits("registry.example", 443)
    asyncio.run(event("MODIFIED", node("a", 3, "192.0.2.10")))
    asyncio.run(event("DELETED", node("a", 4, "192.0.2.10")))
    assert admits("registry.example", 443)
