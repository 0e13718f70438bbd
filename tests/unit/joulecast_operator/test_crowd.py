"""Test that the cost of an event of an estimate does not depend on the number of other objects."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from joulecast_operator.api.kinds import DEPLOYMENTS, ESTIMATES, NAMESPACES
from joulecast_operator.api.objects import Key
from joulecast_operator.controller import Controller
from joulecast_operator.index.index import Index
from joulecast_operator.settings import Settings
from tests.unit.joulecast_operator.samples import many

COUNT = 400


class Reads:
    """Counts the objects that are read from an index."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.keys: list[Key] = []
        genuine = Index.resource

        def resource(index: Index, key: Key) -> object:
            self.keys.append(key)
            return genuine(index, key)

        monkeypatch.setattr(Index, "resource", resource)

    def of(self, kind: str) -> int:
        return sum(key.kind == kind for key in self.keys)


@pytest.fixture
def controller(tmp_path: Path) -> Controller:
    return Controller(Settings(cache_dir=tmp_path))


def test_an_estimates_event_reads_no_deployment_that_it_does_not_concern(
    controller: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(COUNT):
        controller.index.put(DEPLOYMENTS, many.deployment(number, f"registry.example/models/m:{number}"))
    reads = Reads(monkeypatch)
    estimate = many.estimate(1, image="registry.example/models/m:7")
    controller.changed(Key(kind=ESTIMATES.kind, namespace="shop", name="small-00001"), None, estimate)
    assert len(controller.queue) == 2, "the estimate, and the one Deployment of its image"
    assert reads.of(DEPLOYMENTS.kind) <= 1


def test_deployments_are_found_by_image_by_target_and_by_the_name_they_give(controller: Controller) -> None:
    index, concerned = controller.index, controller.workloads.affected_by
    index.put(DEPLOYMENTS, many.deployment(1, "registry.example/other:1"))
    index.put(DEPLOYMENTS, many.deployment(2, "registry.example/other:1", estimate="small-00001"))
    index.put(DEPLOYMENTS, many.deployment(3, many.IMAGE))
    found = concerned(many.estimate(1, targetRef={"name": "web-00001"}))
    assert {key.name for key in found.named} == {"web-00001", "web-00002"}
    assert {key.name for key in found.of_model} == {"web-00003"}
    index.put(DEPLOYMENTS, many.deployment(3, "registry.example/other:1") | {"metadata": renewed(3)})
    assert concerned(many.estimate(1)).of_model == set()


def test_estimates_of_one_image_queue_its_deployments_together(controller: Controller) -> None:
    for number in range(COUNT):
        controller.index.put(DEPLOYMENTS, many.deployment(number))
    for number in range(COUNT):
        key = Key(kind=ESTIMATES.kind, namespace="shop", name=f"small-{number:05}")
        controller.changed(key, None, many.estimate(number))
    assert len(controller.queue) == COUNT, "the estimates alone"
    assert len(controller.queue._due) == 1, "one key for all Deployments of the image, when changes have gathered"
    asyncio.run(controller.reconcile(Key(kind="WorkloadsOfModel", namespace="shop", name=many.IMAGE)))
    assert len(controller.queue) == 2 * COUNT


def test_a_deployments_reconcile_reads_few_of_the_estimates_of_its_image(
    controller: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(COUNT):
        controller.index.put(ESTIMATES, many.estimate(number))
    controller.index.put(DEPLOYMENTS, many.deployment(1))
    controller.index.put(NAMESPACES, {"metadata": {"name": "shop", "resourceVersion": "1"}})
    written: list[object] = []

    async def annotations(*given: object) -> None:
        written.append(given[1])

    monkeypatch.setattr(controller.workloads._writer, "annotations", annotations)
    reads = Reads(monkeypatch)
    asyncio.run(controller.reconcile(Key(kind=DEPLOYMENTS.kind, namespace="shop", name="web-00001")))
    assert len(written) == 1
    assert reads.of(ESTIMATES.kind) <= 3


def renewed(number: int) -> dict[str, object]:
    metadata: dict[str, object] = many.deployment(number)["metadata"]
    return metadata | {"resourceVersion": "9999"}
