"""Test that the controller stops writing annotations when asked to, and confirms it after its last write has ended."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from joulecast_operator.api.annotations import Changes
from joulecast_operator.api.conditions import EventToPost, Waiting
from joulecast_operator.api.kinds import CUSTOM, DEPLOYMENTS, ESTIMATES, NAMESPACES, Kind
from joulecast_operator.api.objects import Key
from joulecast_operator.controllers.contested import FREE_REWRITES
from joulecast_operator.controllers.workloads import Workloads, made_for
from joulecast_operator.estimates.outcomes import Failure
from joulecast_operator.estimates.status import EstimateState, desired_status
from joulecast_operator.index.index import Index
from tests.unit.joulecast_operator.samples import custom
from tests.unit.joulecast_operator.samples.estimates import REQUEST, estimate, forecast
from tests.unit.joulecast_operator.samples.workloads import estimate as estimate_of
from tests.unit.joulecast_operator.samples.workloads import generation

OWN = Key(kind=DEPLOYMENTS.kind, namespace="joulecast", name="joulecast-controller")
SERVED = Key(kind=DEPLOYMENTS.kind, namespace="shop", name="server")


class World:
    """An index with a Deployment and joulecast's own, and a writer whose writes end when the test allows it."""

    def __init__(self, **options: Any) -> None:
        self.index = Index()
        self.versions = 0
        self.landing = asyncio.Event()
        self.log: list[str] = []
        self.stored: Callable[[dict[str, str]], dict[str, str] | None] = lambda desired: desired
        self.workloads = Workloads(index=self.index, writer=self, own=OWN, **options)  # type: ignore[arg-type]
        self.label("shop", "1")
        self.answer(forecast())
        self.put(SERVED, "1")
        self.put(OWN, "1")

    def put(self, key: Key, version: str, **annotations: str) -> None:
        containers = [{"image": REQUEST.image if key == SERVED else "joulecast"}]
        notes = {f"joulecast.dev/{name.replace('_', '-')}": value for name, value in annotations.items()}
        metadata = {"name": key.name, "namespace": key.namespace, "uid": key.name, "resourceVersion": version}
        spec = {"template": {"spec": {"containers": containers}}}
        self.index.put(DEPLOYMENTS, {"metadata": metadata | {"annotations": notes}, "spec": spec})

    def label(self, namespace: str, version: str, **labels: str) -> None:
        named = {f"joulecast.dev/{name}": value for name, value in labels.items()}
        self.index.put(NAMESPACES, {"metadata": {"name": namespace, "resourceVersion": version, "labels": named}})

    def answer(self, result: EstimateState) -> None:
        """Give the estimate another status."""
        self.versions += 1
        known = estimate(model={"image": REQUEST.image}, accelerators={"names": ["NVIDIA-H200"]})
        known["metadata"]["resourceVersion"] = str(self.versions)
        known["status"] = desired_status(known, result, request=REQUEST, now=datetime.now(UTC))
        self.index.put(ESTIMATES, known)

    async def annotations(
        self, kind: Kind, workload: Mapping[str, Any], desired: Mapping[str, str], changes: Changes
    ) -> dict[str, str] | None:
        self.changes = changes
        self.log.append("begun")
        await self.landing.wait()
        self.log.append("landed")
        return self.stored(dict(desired))

    async def last_other_writer(self, kind: Kind, workload: Mapping[str, Any]) -> str:
        return "argocd-controller"

    async def event(self, _: object, deployment: Mapping[str, Any], event: EventToPost) -> None:
        self.log.append(f"{event.kind} {event.reason} on {deployment['metadata']['name']}: {event.message}")

    async def acknowledge_rest(self, own: Mapping[str, Any], until: str) -> None:
        self.log.append(until)
        self.put(OWN, "3", rest_until=until, resting_until=until)


def test_rest_is_acknowledged_when_the_last_write_has_landed_and_none_begins_meanwhile() -> None:
    until = (datetime.now(UTC) + timedelta(minutes=10)).isoformat()

    async def play() -> list[str]:
        world = World()
        writing = asyncio.create_task(world.workloads.reconcile(SERVED))
        await asyncio.sleep(0)
        world.put(OWN, "2", rest_until=until)
        resting = asyncio.create_task(world.workloads.reconcile(OWN))
        await asyncio.sleep(0.2)
        assert world.log == ["begun"], "rest is acknowledged while a write is under way"
        world.landing.set()
        await asyncio.gather(writing, resting)
        await world.workloads.reconcile(SERVED)
        await world.workloads.reconcile(OWN)
        return world.log

    assert asyncio.run(play()) == ["begun", "landed", until]


class Fleet:
    """An index with an object of a custom kind, and the figures that are served of it."""

    def __init__(self) -> None:
        self.index = Index()
        self.workloads = Workloads(index=self.index, writer=None, own=None)  # type: ignore[arg-type]
        self.versions = 0

    def put(self, kind: Kind, resource: dict[str, Any]) -> None:
        self.versions += 1
        metadata = {**resource["metadata"], "resourceVersion": str(self.versions)}
        self.index.put(kind, resource | {"metadata": metadata})

    def served(self, kind: str) -> dict[str, tuple[float | None, ...]]:
        """Return the values of the workload of that kind after it was looked at, by its kind."""
        self.workloads.count(Key(kind=kind, namespace="shop", name="chat"))
        return {each.labels[1]: each.values for each in self.workloads.fleet()}


def about(kind: str, **changes: Any) -> dict[str, Any]:
    asked = {"targetRef": {"kind": kind, "name": "chat"}, "workload": {"utilizationPercent": 50}, "runtime": "vllm"}
    like = {"parallel": custom.PARALLEL[kind], "idlePowerWatts": 100.0} | changes
    return estimate_of("chat", rows=[generation("NVIDIA-L4", **like)], spec=asked)


@pytest.mark.parametrize("kind", tuple(CUSTOM))
def test_an_object_of_a_custom_kind_is_counted_by_the_estimate_that_targets_it(kind: str) -> None:
    fleet = Fleet()
    fleet.put(CUSTOM[kind], custom.ALL[kind])
    assert fleet.served(kind) == {}
    fleet.put(ESTIMATES, about(kind))
    watts = custom.REPLICAS[kind] * 600.0
    assert fleet.served(kind) == {kind: (custom.PODS[kind], 3.1, watts)}
    fleet.index.drop(Key(kind=kind, namespace="shop", name="chat"))
    assert fleet.served(kind) == {}


def test_an_object_of_a_custom_kind_that_a_controller_owns_is_counted_as_its_owner() -> None:
    fleet = Fleet()
    fleet.put(CUSTOM["LLMInferenceService"], custom.ALL["LLMInferenceService"])
    fleet.put(ESTIMATES, about("LLMInferenceService"))
    owner = {"apiVersion": "serving.kserve.io/v1alpha1", "kind": "LLMInferenceService", "name": "chat", "uid": "u"}
    child = custom.custom("LeaderWorkerSet", custom.ALL["LeaderWorkerSet"]["spec"])
    child["metadata"]["ownerReferences"] = [owner | {"controller": True}]
    fleet.put(CUSTOM["LeaderWorkerSet"], child)
    of_child = about("LeaderWorkerSet")
    of_child["metadata"]["name"] = "of-the-child"
    fleet.put(ESTIMATES, of_child)
    assert fleet.served("LeaderWorkerSet") == {}
    assert fleet.served("LLMInferenceService").keys() == {"LLMInferenceService"}


def test_work_goes_on_after_the_time() -> None:
    past = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()

    async def play() -> list[str]:
        world = World()
        world.landing.set()
        world.put(OWN, "2", rest_until=past)
        await world.workloads.reconcile(OWN)
        await world.workloads.reconcile(SERVED)
        return world.log

    assert asyncio.run(play()) == ["begun", "landed"]


def test_rest_goes_on_while_an_uninstall_has_deleted_the_controllers_own_deployment() -> None:
    until = (datetime.now(UTC) + timedelta(minutes=10)).isoformat()

    async def play() -> list[str]:
        world = World()
        world.landing.set()
        world.put(OWN, "2", rest_until=until)
        await world.workloads.reconcile(OWN)
        world.index.drop(OWN)
        await world.workloads.reconcile(OWN)
        await world.workloads.reconcile(SERVED)
        return world.log

    assert asyncio.run(play()) == [until], "annotations that the uninstall has taken off are written again"


def test_a_workload_has_figures_while_a_result_speaks_for_it() -> None:
    async def play() -> None:
        world = World(status_only=True)
        await world.workloads.reconcile(SERVED)
        (served,) = world.workloads.fleet()
        assert served.labels == ("shop", "Deployment", "server", "NVIDIA-H200")
        assert (served.per, served.values) == ("inference", (1, forecast().results[0]["joulesPerBatch"] / 32, None))
        world.answer(ABSENT)
        await world.workloads.reconcile(SERVED)
        assert world.workloads.fleet() == []
        world.answer(forecast())
        await world.workloads.reconcile(SERVED)
        world.index.drop(SERVED)
        await world.workloads.reconcile(SERVED)
        assert world.workloads.fleet() == []

    asyncio.run(play())


ABSENT = Failure(stage="resolve", reason="NotFound", message="there is no such tag", transient=False)
AWAY = Failure(stage="resolve", reason="RegistryUnavailable", message="it is away", transient=True)


def test_a_reason_is_an_event_once_and_so_is_the_forecast_after_it() -> None:
    async def play() -> list[str]:
        world = World()
        world.landing.set()
        for result in (ABSENT, ABSENT, AWAY, Waiting(reason="Estimating", message=""), AWAY, forecast(), forecast()):
            world.answer(result)
            await world.workloads.reconcile(SERVED)
        return [line for line in world.log if " on server: " in line]

    failed, away, estimated = asyncio.run(play())
    assert failed.startswith("Warning NotFound on server: no forecast: the estimate")
    assert "there is no such tag" in failed
    assert away.startswith("Normal RegistryUnavailable on server: no forecast yet")
    assert estimated.startswith("Normal Estimated on server: 0.421 J per batch of 32")


def test_a_restart_repeats_no_event() -> None:
    async def play() -> list[str]:
        world = World()
        world.landing.set()
        world.answer(ABSENT)
        world.put(SERVED, "2", state="Failed", reason="NotFound", estimated_by="detector")
        world.workloads.remember_reasons()
        await world.workloads.reconcile(SERVED)
        return world.log

    assert asyncio.run(play()) == []


def test_a_deployment_made_anew_is_told_again() -> None:
    async def play() -> int:
        world = World()
        world.landing.set()
        world.answer(ABSENT)
        await world.workloads.reconcile(SERVED)
        world.index.drop(SERVED)
        world.put(SERVED, "9")
        await world.workloads.reconcile(SERVED)
        world.index.drop(SERVED)
        await world.workloads.reconcile(SERVED)
        world.put(SERVED, "10")
        await world.workloads.reconcile(SERVED)
        return sum("NotFound on server" in line for line in world.log)

    assert asyncio.run(play()) == 2, "an object of the same uid is the same, one that was gone is another"


def test_a_refresh_of_the_deployment_keeps_the_estimate_made_for_it() -> None:
    """A new estimate would have no results until the tag has been looked up again."""
    plain = {
        "metadata": {"name": "server", "namespace": "shop", "uid": "u", "annotations": {"joulecast.dev/model": "m:1"}},
        "spec": {"template": {"spec": {"containers": [{"image": "app:1"}]}}},
    }
    refreshed = copy.deepcopy(plain)
    refreshed["metadata"]["annotations"] = {"joulecast.dev/model": "m:1", "joulecast.dev/refresh": "now"}
    assert made_for(DEPLOYMENTS, refreshed) == made_for(DEPLOYMENTS, plain)


def changes_of(world: World) -> Changes | None:
    """Reconcile the Deployment, and return what was written to its annotations; None if nothing was."""
    world.landing.set()
    asyncio.run(world.workloads.reconcile(SERVED))
    return world.changes if "begun" in world.log else None


def test_a_namespace_whose_label_says_none_loses_its_outputs_and_gets_none() -> None:
    world = World()
    world.label("shop", "2", annotations="none")
    assert changes_of(world) is None
    world.put(SERVED, "2", state="Ready", watts="120", batch_size="32")
    assert changes_of(world) == {"joulecast.dev/state": None, "joulecast.dev/watts": None}


def test_another_value_of_the_label_changes_nothing() -> None:
    world = World()
    world.label("shop", "2", annotations="all")
    assert "joulecast.dev/joules-per-batch" in (changes_of(world) or {})


def test_nothing_is_written_before_the_namespaces_label_is_known() -> None:
    world = World()
    world.index.drop(Key(kind=NAMESPACES.kind, namespace="", name="shop"))
    assert changes_of(world) is None


def test_status_only_writes_and_removes_nothing() -> None:
    world = World(status_only=True)
    world.put(SERVED, "2", state="Failed", reason="NotFound")
    assert changes_of(world) is None


def test_of_a_namespace_that_is_not_watched_only_an_uninstall_is_answered() -> None:
    until = (datetime.now(UTC) + timedelta(minutes=10)).isoformat()

    async def play() -> list[str]:
        world = World(namespaces=("shop",))
        world.put(OWN, "2", watts="1")
        await world.workloads.reconcile(OWN)
        world.put(OWN, "3", rest_until=until, watts="1")
        await world.workloads.reconcile(OWN)
        return world.log

    assert asyncio.run(play()) == [until]


def test_a_restart_repeats_no_event_where_nothing_is_annotated() -> None:
    async def play() -> list[str]:
        world = World(status_only=True)
        world.answer(ABSENT)
        world.workloads.remember_reasons()
        await world.workloads.reconcile(SERVED)
        world.answer(forecast())
        await world.workloads.reconcile(SERVED)
        return world.log

    (estimated,) = asyncio.run(play())
    assert estimated.startswith("Normal Estimated on server: ")


def test_annotations_that_somebody_undoes_are_written_a_few_times_and_then_told_once() -> None:
    async def play() -> list[str]:
        world = World()
        world.landing.set()
        for _ in range(20):  # the index never shows what was written, as if somebody undid it each time
            await world.workloads.reconcile(SERVED)
        assert len(world.workloads.contested) == 1
        return world.log

    log = asyncio.run(play())
    assert log.count("landed") == 1 + FREE_REWRITES
    (said,) = [line for line in log if "AnnotationsUndone" in line]
    assert said.startswith("Warning AnnotationsUndone on server: joulecast's annotations are undone after each write")
    assert '"argocd-controller"' in said


def test_a_write_that_a_webhook_strips_is_not_repeated_at_once() -> None:
    async def play() -> list[str]:
        world = World()
        world.landing.set()
        world.stored = lambda _: {}
        for _ in range(5):
            await world.workloads.reconcile(SERVED)
        return world.log

    assert asyncio.run(play()).count("landed") == 1


def test_a_refused_write_counts_as_none() -> None:
    async def play() -> list[str]:
        world = World()
        world.landing.set()
        world.stored = lambda _: None
        for _ in range(5):
            await world.workloads.reconcile(SERVED)
        return world.log

    log = asyncio.run(play())
    assert log.count("landed") == 5, "the API server's refusals are told and spaced elsewhere"
    assert not [line for line in log if "AnnotationsUndone" in line]
