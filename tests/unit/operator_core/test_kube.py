"""Which refusals of the API server pass by themselves, and that the others are not asked for again."""

from __future__ import annotations

import asyncio
import json

import kopf
import pytest
from aiohttp import web

from joulecast_operator.kube import ApiError, Cluster

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


@pytest.mark.parametrize(("status", "message", "requests"), [(500, TOO_LARGE, 1), (422, "Invalid value", 1)])
def test_a_lasting_refusal_is_asked_for_once(status: int, message: str, requests: int) -> None:
    asked = 0

    async def refuse(_: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        return web.Response(status=status, text=json.dumps({"reason": "", "message": message}))

    async def run() -> None:
        application = web.Application()
        application.add_routes([web.post("/api/v1/pods", refuse)])
        runner = web.AppRunner(application)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        address = f"http://127.0.0.1:{runner.addresses[0][1]}"
        cluster = Cluster(lambda: kopf.ConnectionInfo(server=address))
        try:
            with pytest.raises(ApiError, match=message):
                await cluster.create("/api/v1/pods", {})
        finally:
            await cluster.close()
            await runner.cleanup()

    asyncio.run(run())
    assert asked == requests
