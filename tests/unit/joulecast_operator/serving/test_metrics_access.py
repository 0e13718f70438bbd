"""Test who may read /metrics; tests/cluster/test_metrics_access.py does so with a real API server."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from joulecast_operator.cluster.client import ApiError
from joulecast_operator.serving.metrics_access import ALLOWED_SECONDS, REFUSED_SECONDS, MetricsAccess, Refusal

SCRAPER = {"username": "system:serviceaccount:monitoring:prometheus", "groups": ["system:authenticated"], "uid": "7"}


class Server:
    """An API server with ``users`` by their tokens, of whom ``readers`` may get /metrics."""

    def __init__(self, users: Mapping[str, Any], readers: tuple[str, ...] = ()) -> None:
        self.users, self.readers = users, readers
        self.asked: list[Mapping[str, Any]] = []
        self.error: Exception | None = None

    async def create(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        if self.error is not None:
            raise self.error
        spec = body["spec"]
        self.asked.append(spec)
        if body["kind"] == "TokenReview":
            user = self.users.get(spec["token"])
            return {"status": {"authenticated": True, "user": user} if user else {"error": "invalid bearer token"}}
        assert path.endswith("/subjectaccessreviews")
        return {"status": {"allowed": spec["user"] in self.readers}}


class World:
    def __init__(self, server: Server) -> None:
        self.server, self.now = server, 0.0
        self.access = MetricsAccess(server, now=lambda: self.now)  # type: ignore[arg-type]

    def ask(self, authorization: str, address: str = "10.0.0.1") -> Refusal | None:
        return asyncio.run(self.access.refusal(authorization, address))

    def status(self, authorization: str, address: str = "10.0.0.1") -> int:
        refusal = self.ask(authorization, address)
        return refusal.status if refusal else 200


@pytest.fixture
def world() -> World:
    guest = {"username": "system:serviceaccount:shop:guest"}
    return World(Server({"good": SCRAPER, "guest": guest}, readers=(SCRAPER["username"],)))  # type: ignore[arg-type]


def test_a_reader_passes_and_is_asked_about_by_name_and_groups(world: World) -> None:
    assert world.ask("Bearer good") is None
    _, asked = world.server.asked
    attributes = {"path": "/metrics", "verb": "get"}
    assert asked == {
        "user": SCRAPER["username"],
        "groups": SCRAPER["groups"],
        "uid": "7",
        "nonResourceAttributes": attributes,
    }


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic Z29vZA==", "good"])
def test_who_brings_no_token_is_told_to_and_costs_no_question(world: World, header: str) -> None:
    refusal = world.ask(header)
    assert refusal is not None
    assert (refusal.status, "Bearer TOKEN" in refusal.text) == (401, True)
    assert world.server.asked == []


def test_unknown_tokens_and_accounts_without_the_right(world: World) -> None:
    assert world.status("Bearer forged") == 401
    refusal = world.ask("bearer guest")
    assert refusal is not None
    assert refusal.status == 403
    assert "system:serviceaccount:shop:guest may not get /metrics" in refusal.text


def test_an_answer_stands_for_a_while_and_no_longer(world: World) -> None:
    assert [world.status("Bearer good") for _ in range(5)] == [200] * 5
    assert len(world.server.asked) == 2
    world.server.readers = ()
    world.now = ALLOWED_SECONDS - 1
    assert world.status("Bearer good") == 200
    world.now = ALLOWED_SECONDS + 1
    assert world.status("Bearer good") == 403
    world.server.readers = (SCRAPER["username"],)  # type: ignore[assignment]
    world.now += REFUSED_SECONDS + 1
    assert world.status("Bearer good") == 200


def test_guesses_are_bounded_by_address_and_leave_others_alone(world: World) -> None:
    found = [world.status(f"Bearer guess-{number}") for number in range(100)]
    assert found.count(429) >= 75
    assert len(world.server.asked) == found.count(401) <= 25
    assert world.status("Bearer good", "10.0.0.2") == 200
    assert world.status("Bearer good") == 200, "a token that is known costs nothing"


def test_what_is_kept_is_bounded_and_holds_no_token(world: World) -> None:
    for number in range(3000):
        world.ask(f"Bearer guess-{number}", f"10.{number % 200}.{number // 200}.1")
    assert len(world.access._known) == 1024
    assert all(b"guess" not in key for key in world.access._known)


@pytest.mark.parametrize("error", [ApiError(403, "Forbidden", "may not create"), OSError("away"), TimeoutError("late")])
def test_an_api_server_that_cannot_be_asked_lets_nobody_in(world: World, error: Exception) -> None:
    import aiohttp

    world.server.error = aiohttp.ClientOSError() if type(error) is OSError else error
    assert world.status("Bearer good") == 503
    world.server.error = None
    assert world.status("Bearer good") == 200
