"""Test when a tag is looked up again, and at which rate over all estimates."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from joulecast_operator.api.kinds import DEPLOYMENTS, ESTIMATES
from joulecast_operator.api.objects import Key
from joulecast_operator.cluster.access import PullCredentials, PullSecrets
from joulecast_operator.cluster.workqueue import WorkQueue
from joulecast_operator.controllers.asking import Rate
from joulecast_operator.controllers.estimates import Estimates
from joulecast_operator.estimates.outcomes import Failure, Forecast, Outcome
from joulecast_operator.estimates.request import ForecastRequest
from joulecast_operator.index.index import Index
from joulecast_operator.workers.fair_queue import Requester
from tests.unit.joulecast_operator.samples.estimates import REQUEST, estimate, forecast
from tests.unit.joulecast_operator.samples.workloads import workload

KEY = Key(kind=ESTIMATES.kind, namespace="shop", name="detector")
AWAY = Failure(stage="resolve", reason="RegistryUnavailable", message="away", transient=True)
MALFORMED = Failure(stage="resolve", reason="InvalidModelReference", message="no reference", transient=False)
BROKEN = Failure(stage="profile", reason="InvalidModelFormat", message="no model", transient=False)
BEYOND = Failure(stage="resolve", reason="FetchBudgetExceeded", message="too much", transient=False)
MISSING = Failure(stage="resolve", reason="NotFound", message="no such tag", transient=False)


class World:
    """An index with an estimate, a writer that keeps what it writes, prepared forecasts, and a clock."""

    def __init__(self, outcome: Outcome) -> None:
        self.now = 1000.0
        self.outcome = outcome
        self.asked: list[ForecastRequest] = []
        self.statuses: list[dict[str, Any]] = []
        self.version = 1
        self.failing_writes = 0
        self.index = Index()
        self.queue: WorkQueue[Key] = WorkQueue(first_pause_seconds=5, now=lambda: self.now)
        self.restart()
        self.put(estimate(model={"image": REQUEST.image}, accelerators={"names": ["NVIDIA-H200"]}))

    def restart(self) -> None:
        self.estimates = Estimates(
            index=self.index,
            cluster=None,  # type: ignore[arg-type]  # no pull secrets here
            writer=self,  # type: ignore[arg-type]
            forecasts=self,  # type: ignore[arg-type]
            queue=self.queue,
            overrides=list,
            rate=Rate(1000, lambda: self.now),
            patience=asyncio.Semaphore(16),
            now=lambda: self.now,
        )

    def put(self, resource: dict[str, Any]) -> None:
        self.version += 1
        resource["metadata"]["resourceVersion"] = str(self.version)
        self.index.put(ESTIMATES, resource)

    async def forecast(self, request: ForecastRequest, *, fresh: bool, requester: Requester) -> Outcome:
        self.asked.append(request)
        return self.outcome

    async def broken(self, request: ForecastRequest, *, fresh: bool, requester: object) -> Outcome:
        raise OSError("no space left")

    async def status(self, _: object, resource: dict[str, Any], desired: dict[str, Any]) -> bool:
        if self.failing_writes:
            self.failing_writes -= 1
            raise OSError("injected: the API server is away")
        if resource.get("status") == desired:
            return False
        self.statuses.append(desired)
        self.put({**resource, "metadata": dict(resource["metadata"]), "status": desired})
        return True

    def reconcile(self) -> None:
        asyncio.run(self.estimates.reconcile(KEY))

    def attempt(self) -> float:
        """Reconcile like the queue, and return the pause before the next try after an error."""
        try:
            self.reconcile()
        except OSError:
            self.queue.add_later(KEY, self.queue.pause_seconds(KEY))
        return self.pause()

    def pause(self) -> float:
        """Return in how many seconds the key is queued."""
        return self.queue._due[KEY] - self.now


def test_settled_estimates_are_asked_again_after_their_interval_only() -> None:
    world = World(forecast())
    world.reconcile()
    assert len(world.asked) == 1
    assert 0.9 * 900 <= world.pause() <= 900
    world.now += 600
    world.reconcile()
    assert len(world.asked) == 1
    world.now += 400
    world.reconcile()
    assert len(world.asked) == 2
    assert len(world.statuses) == 1, "nothing changed, so nothing was written"


def test_after_a_restart_what_is_settled_is_spread_over_its_interval() -> None:
    world = World(forecast())
    world.reconcile()
    world.restart()
    world.reconcile()
    assert len(world.asked) == 1
    assert 0 <= world.pause() <= 900


@pytest.mark.parametrize("outcome", [AWAY, MISSING])
def test_what_may_heal_is_tried_again_with_growing_pauses(outcome: Failure) -> None:
    world = World(outcome)
    pauses = []
    for _ in range(4):
        world.reconcile()
        pauses.append(world.pause())
    assert pauses == [5, 10, 20, 40]
    world.outcome = forecast()
    world.reconcile()
    assert isinstance(world.outcome, Forecast)
    assert world.pause() > 800


def test_a_status_that_cannot_be_written_is_tried_again_with_growing_pauses() -> None:
    world = World(forecast())
    world.failing_writes = 4
    assert [world.attempt() for _ in range(4)] == [5, 10, 20, 40]
    assert world.statuses == []
    assert world.attempt() > 800
    assert len(world.statuses) == 1
    assert world.queue.pause_seconds(KEY) == 5, "it went well: the next failure is a first one"


@pytest.mark.parametrize("spec", [{"suspend": True}, {"resolveInterval": 7}])
def test_what_asks_for_no_forecast_goes_well_too(spec: dict[str, Any]) -> None:
    world = World(forecast())
    world.put(estimate(model={"image": REQUEST.image}, accelerators={"names": ["NVIDIA-H200"]}, **spec))
    world.failing_writes = 2
    assert [world.attempt() for _ in range(2)] == [5, 10]
    world.reconcile()
    assert len(world.statuses) == 1
    assert world.queue.pause_seconds(KEY) == 5


@pytest.mark.parametrize("outcome", [MALFORMED, BROKEN, BEYOND])
def test_what_must_change_first_waits_for_the_interval(outcome: Failure) -> None:
    world = World(outcome)
    world.reconcile()
    assert world.pause() > 800


def test_a_new_question_is_asked_at_once() -> None:
    world = World(forecast())
    world.reconcile()
    changed = {**(world.index.get("shop", "detector") or {})}
    changed["spec"] = {"model": {"image": "another:1"}, "accelerators": {"names": ["NVIDIA-H200"]}}
    changed["metadata"] = {**changed["metadata"], "generation": 2}
    world.put(changed)
    world.reconcile()
    assert [request.image for request in world.asked] == [REQUEST.image, "another:1"]
    assert world.statuses[-1]["observedGeneration"] == 2


def test_looking_up_again_is_evenly_spaced() -> None:
    async def run() -> float:
        rate, loop = Rate(100), asyncio.get_running_loop()
        start = loop.time()
        await asyncio.gather(*(rate.wait() for _ in range(21)))
        return loop.time() - start

    assert asyncio.run(run()) >= 0.19


def test_a_defect_of_a_forecast_is_a_status_and_leaves_the_numbers() -> None:
    world = World(forecast())
    world.forecast = world.broken  # type: ignore[method-assign]
    world.reconcile()
    (said,) = [each for each in world.statuses[-1]["conditions"] if each["type"] == "Ready"]
    assert (said["status"], said["reason"]) == ("Unknown", "InternalError")
    assert "OSError: no space left" in said["message"]


def test_a_reconcile_reads_its_target_once_for_the_request_and_once_for_the_status(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def nothing(*_: Any) -> PullCredentials:
        return PullCredentials()

    monkeypatch.setattr(PullSecrets, "credentials", nothing)
    world = World(forecast())
    world.index.put(DEPLOYMENTS, workload("Deployment", image=REQUEST.image))
    world.put(estimate(targetRef={"name": "web"}, accelerators={"names": ["NVIDIA-H200"]}))
    world.reconcile()
    read: list[str] = []
    world.index.workload = lambda *key: read.append(key[2]) or Index.workload(world.index, *key)  # type: ignore[method-assign]
    world.reconcile()
    assert read == ["web", "web"]
    assert world.statuses[-1]["target"]["name"] == "web"
