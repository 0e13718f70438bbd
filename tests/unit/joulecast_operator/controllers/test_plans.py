"""Test that plans are made once, again after a change alone, and that another choice is told by an event."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from joulecast.site import Site
from joulecast_operator.api.conditions import EventToPost, Status
from joulecast_operator.api.kinds import PLANS
from joulecast_operator.api.objects import Key, Resource
from joulecast_operator.cluster.workqueue import WorkQueue
from joulecast_operator.controllers.asking import Rate
from joulecast_operator.controllers.plans import Plans
from joulecast_operator.estimates.outcomes import Outcome
from joulecast_operator.estimates.request import ForecastRequest
from joulecast_operator.index.index import Index
from joulecast_operator.sites.costed import Pricing, with_cost
from joulecast_operator.workers.fair_queue import Requester
from tests.unit.joulecast_operator.samples.costs import HERE
from tests.unit.joulecast_operator.samples.plans import H200, L40S, plan, planned, setting

KEY = Key(kind=PLANS.kind, namespace="shop", name="detector")
SPEC = {
    "model": {"image": "registry.example/models/detector:1"},
    "candidates": {"accelerators": {"names": [H200, L40S]}},
}


class World:
    """An index with a plan, a writer that keeps what it writes, and prepared answers."""

    def __init__(self) -> None:
        self.outcome: Outcome = planned()
        self.asked: list[ForecastRequest] = []
        self.statuses: list[dict[str, Any]] = []
        self.events: list[EventToPost] = []
        self.site: Site | None = None
        self.version = 1
        self.index = Index()
        self.plans = Plans(
            index=self.index,
            cluster=None,  # type: ignore[arg-type]  # no pull secrets here
            writer=self,  # type: ignore[arg-type]
            forecasts=self,  # type: ignore[arg-type]
            queue=WorkQueue[Key](first_pause_seconds=5, now=lambda: 1000.0),
            overrides=list,
            rate=Rate(1000, lambda: 1000.0),
            patience=asyncio.Semaphore(16),
            costed=self.costed,
            now=lambda: 1000.0,
        )

    def costed(self, resource: Resource, desired: Status, pricing: Pricing) -> Status:
        return with_cost(resource, desired, self.site, pricing=pricing, now=datetime.now(UTC))

    def put(self, resource: dict[str, Any]) -> None:
        self.version += 1
        resource["metadata"]["resourceVersion"] = str(self.version)
        self.index.put(PLANS, resource)

    async def forecast(self, request: ForecastRequest, *, fresh: bool, requester: Requester) -> Outcome:
        self.asked.append(request)
        return self.outcome

    async def status(self, _: object, resource: dict[str, Any], desired: dict[str, Any]) -> bool:
        if resource.get("status") == desired:
            return False
        self.statuses.append(desired)
        self.put({**resource, "metadata": dict(resource["metadata"]), "status": desired})
        return True

    async def event(self, _: object, __: object, event: EventToPost) -> None:
        self.events.append(event)

    def reconcile(self) -> bool:
        return asyncio.run(self.plans.reconcile(KEY))


def test_an_unchanged_plan_is_made_and_written_once() -> None:
    world = World()
    world.put(plan(**SPEC))
    assert world.reconcile()
    assert world.statuses[0]["summary"]["choice"] == "NVIDIA-H200, batch size 8"
    assert not world.reconcile()
    assert (len(world.asked), len(world.statuses), world.events) == (1, 1, [])


def test_another_spec_plans_again_and_another_choice_is_an_event() -> None:
    world = World()
    world.put(plan(**SPEC))
    world.reconcile()
    world.outcome = planned(choice=setting(L40S))
    changed = plan(generation=2, **SPEC | {"slo": {"latencyMilliseconds": 9}})
    world.put(changed | {"status": world.statuses[0]})
    assert world.reconcile()
    assert len(world.asked) == 2
    assert [event.reason for event in world.events] == ["ChoiceChanged"]


def test_a_suspended_plan_asks_nothing() -> None:
    world = World()
    world.put(plan(**SPEC | {"suspend": True}))
    assert world.reconcile()
    assert world.asked == []
    assert world.statuses[0]["conditions"][-1]["reason"] == "Suspended"


def test_another_price_is_written_without_another_plan() -> None:
    world = World()
    world.put(plan(**SPEC))
    world.reconcile()
    planned_at = world.statuses[0]["plannedAt"]
    for price in (0.25, 0.5):
        world.site = replace(HERE, price_per_kilowatt_hour=(price,))
        assert world.reconcile()
        assert not world.reconcile(), "the same figures are not written again"
    before, now = world.statuses[1:]
    assert now["cost"]["choice"]["money"]["mean"] == pytest.approx(2 * before["cost"]["choice"]["money"]["mean"])
    assert (len(world.asked), now["plannedAt"], world.events) == (1, planned_at, [])


def test_a_deleted_plan_is_forgotten() -> None:
    world = World()
    assert not world.reconcile()
    assert world.statuses == []
