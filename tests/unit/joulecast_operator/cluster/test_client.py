"""Test which refused requests are sent again and which only once, and test listings and watches."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import kopf
import pytest
from aiohttp import web

from joulecast_operator.cluster.client import FIRST_PAGE_OBJECTS, PAGE_BYTES, PAGE_OBJECTS, ApiError, Cluster, login
from tests.waiting import PATIENCE_SECONDS

T = TypeVar("T")

TOO_LARGE = "etcdserver: request is too large"
TERMINATING = "unable to create new content in namespace shop because it is being terminated"


@pytest.mark.parametrize("status", [400, 403, 405, 413, 415, 422])
def test_what_somebody_must_change_first_lasts(status: int) -> None:
    assert ApiError(status, "", "no").lasting


@pytest.mark.parametrize("status", [401, 404, 408, 409, 410, 429, 500, 502, 503, 504])
def test_what_passes_by_itself_does_not_last(status: int) -> None:
    assert not ApiError(status, "", "no").lasting


@pytest.mark.parametrize(
    "message",
    [TOO_LARGE, "rpc error: code = ResourceExhausted desc = trying to send message larger than max (3 vs. 2)"],
)
def test_an_object_beyond_the_stores_limit_lasts_whatever_the_status(message: str) -> None:
    assert ApiError(500, "InternalError", message).lasting


def test_a_namespace_that_goes_is_told_apart_from_a_lack_of_rights() -> None:
    assert ApiError(403, "Forbidden", TERMINATING).of_going_namespace
    assert not ApiError(403, "Forbidden", "no").of_going_namespace


@pytest.mark.parametrize(
    ("environ", "server"),
    [
        ({"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "6443"}, "https://10.96.0.1:6443"),
        ({"KUBERNETES_SERVICE_HOST": "fd00::1"}, "https://[fd00::1]:443"),
        ({}, "https://kubernetes.default.svc"),
    ],
)
def test_a_pod_reaches_the_api_server_by_its_address_without_dns(
    environ: dict[str, str], server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = kopf.ConnectionInfo(server="https://kubernetes.default.svc", token="secret")  # as kopf makes it
    monkeypatch.setattr(kopf, "login_with_service_account", lambda *, settings: account)
    for name in ("KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert (login().server, login().token) == (server, "secret")


@pytest.mark.parametrize(("status", "message", "requests"), [(500, TOO_LARGE, 1), (422, "Invalid value", 1)])
def test_a_lasting_refusal_is_asked_for_once(status: int, message: str, requests: int) -> None:
    asked = 0

    async def refuse(_: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        return web.Response(status=status, text=json.dumps({"reason": "", "message": message}))

    async def create(cluster: Cluster) -> None:
        with pytest.raises(ApiError, match=message):
            await cluster.create("/api/v1/pods", {})

    serve(web.post("/api/v1/pods", refuse), create)
    assert asked == requests


@pytest.mark.slow
@pytest.mark.parametrize(
    ("object_bytes", "largest"), [(100, PAGE_OBJECTS), (PAGE_BYTES // 20, 20), (2 * PAGE_BYTES, 1)]
)
def test_a_page_holds_as_many_objects_as_are_read_in_one_go(object_bytes: int, largest: int) -> None:
    held, limits = 700 if object_bytes == 100 else 70, []

    async def listing(request: web.Request) -> web.Response:
        limit, start = int(request.query["limit"]), int(request.query.get("continue", "0"))
        limits.append(limit)
        end = min(held, start + limit)
        items = [{"metadata": {"name": str(number)}, "spec": "x" * object_bytes} for number in range(start, end)]
        following = {"continue": str(end)} if end < held else {}
        return web.json_response({"metadata": following, "items": items})

    async def read(cluster: Cluster) -> list[str]:
        return [each["metadata"]["name"] async for page in cluster.pages("/api/v1/pods") for each in page["items"]]

    assert serve(web.get("/api/v1/pods", listing), read) == [str(number) for number in range(held)]
    assert limits[0] == FIRST_PAGE_OBJECTS
    assert max(limits[1:]) <= largest


def test_a_watch_gives_lines_of_any_length_and_ends_with_the_connection() -> None:
    events = [{"type": "ADDED", "object": {"spec": "x" * size}} for size in (1, 3_000_000, 2)]

    async def stream(request: web.Request) -> web.StreamResponse:
        assert (request.query["resourceVersion"], request.query["allowWatchBookmarks"]) == ("7", "true")
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"".join(json.dumps(event).encode() + b"\n" for event in events))
        return response

    async def follow(cluster: Cluster) -> list[object]:
        return [event async for event in cluster.watch("/api/v1/pods", "7")]

    assert serve(web.get("/api/v1/pods", stream), follow) == events


@pytest.mark.parametrize("late", [True, False])
def test_a_watch_says_that_its_version_is_forgotten(*, late: bool) -> None:
    status = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"}

    async def refuse(_: web.Request) -> web.Response:
        if late:
            return web.Response(text=json.dumps({"type": "ERROR", "object": status}) + "\n")
        return web.json_response(status, status=410)

    async def follow(cluster: Cluster) -> ApiError:
        with pytest.raises(ApiError, match="too old") as caught:
            async for _ in cluster.watch("/api/v1/pods", "7"):
                pass
        return caught.value

    assert serve(web.get("/api/v1/pods", refuse), follow).status == 410


def test_watches_of_many_namespaces_leave_connections_to_other_requests() -> None:
    watching: list[str] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        if "watch" not in request.query:
            return web.json_response({"selected": request.query.get("fieldSelector")})
        response = web.StreamResponse()
        await response.prepare(request)
        watching.append(request.path)
        await asyncio.Event().wait()
        return response

    async def follow(cluster: Cluster, number: int) -> None:
        async for _ in cluster.watch(f"/namespaces/{number}/things", "1"):
            pass

    async def ask(cluster: Cluster) -> list[Any]:
        tasks = [asyncio.create_task(follow(cluster, number)) for number in range(150)]
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(watching) < len(tasks):
                await asyncio.sleep(0.01)
            found = await cluster.request("GET", "/things", parameters={"fieldSelector": "metadata.name=a"})
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return [found]

    assert serve(web.get("/{path:.*}", answer), ask) == [{"selected": "metadata.name=a"}]


def serve(route: web.RouteDef, ask: Callable[[Cluster], Coroutine[Any, Any, T]]) -> T:
    """Return what ``ask`` gets from a server with one route."""

    async def run() -> T:
        application = web.Application()
        application.add_routes([route])
        runner = web.AppRunner(application, shutdown_timeout=0.1)  # silent watches never end
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        address = f"http://127.0.0.1:{runner.addresses[0][1]}"
        cluster = Cluster(lambda: kopf.ConnectionInfo(server=address))
        try:
            return await ask(cluster)
        finally:
            await cluster.close()
            await runner.cleanup()

    return asyncio.run(run())
