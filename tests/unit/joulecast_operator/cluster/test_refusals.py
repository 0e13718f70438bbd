"""A refused write is logged and counted each time, and told on its object once."""

from __future__ import annotations

import asyncio
import logging

import pytest

from joulecast_operator.api.conditions import EventToPost
from joulecast_operator.api.kinds import DEPLOYMENTS, Kind
from joulecast_operator.api.objects import Resource
from joulecast_operator.cluster import refusals
from joulecast_operator.cluster.client import ApiError
from joulecast_operator.cluster.refusals import Refusals
from tests.unit.joulecast_operator.samples.workloads import deployment

ERROR = ApiError(403, "Forbidden", "a policy denies it")


class World:
    """Refusals, with the events and counts that come of them."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str]] = []
        self.counted: list[str] = []
        self.refusals = Refusals(self.post, self.counted.append)

    async def post(self, kind: Kind, resource: Resource, event: EventToPost) -> None:
        self.events.append((resource["metadata"]["name"], event.message))

    def tell(self, name: str = "web", message: str = "denied") -> None:
        event = EventToPost(kind="Warning", reason="Refused", message=message)
        asyncio.run(self.refusals.tell(DEPLOYMENTS, deployment(name), event, ERROR))


def test_the_same_refusal_is_one_event_and_a_log_line_each_time(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            world.tell()
    assert world.events == [("web", "denied")]
    assert world.counted == ["Deployment"] * 3
    assert [record.getMessage().count("a policy denies it") for record in caplog.records] == [1, 1, 1]
    assert vars(caplog.records[0])["namespace"] == "shop"


def test_another_object_or_another_message_is_told_again() -> None:
    world = World()
    for name, message in (("web", "denied"), ("other", "denied"), ("web", "now otherwise"), ("web", "denied")):
        world.tell(name, message)
    assert len(world.events) == 4


def test_what_is_remembered_is_bounded_and_the_oldest_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusals, "_REMEMBERED", 2)
    world = World()
    for name in ("a", "b", "a", "c", "a", "b"):  # "b" goes when "c" comes
        world.tell(name)
    assert [name for name, _ in world.events] == ["a", "b", "c", "b"]
