"""Test that a write that the API server refuses for good is reported by condition, event and log, and not repeated."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from joulecast_operator.api.conditions import condition
from joulecast_operator.api.kinds import DEPLOYMENTS, ESTIMATES
from joulecast_operator.cluster.client import ApiError
from joulecast_operator.cluster.writer import Writer
from joulecast_operator.controllers.workloads import made_for
from joulecast_operator.estimates.status import desired_status
from joulecast_operator.index.index import Index
from tests.unit.joulecast_operator.samples.estimates import REQUEST, estimate, forecast

Refuse = Callable[[str, Mapping[str, Any]], ApiError | None]

STATE = {"joulecast.dev/state": "Ready"}
DEPLOYMENT = {"metadata": {"name": "server", "namespace": "shop", "uid": "u", "annotations": {}}}
INVALID = ApiError(422, "Invalid", "denied by policy tenants")


class Server:
    """Accepts writes, unless ``refuse`` returns an error for their path and body; keeps the events."""

    def __init__(self, refuse: Refuse) -> None:
        self.refuse = refuse
        self.statuses: list[Mapping[str, Any]] = []
        self.events: list[Mapping[str, Any]] = []
        self.writes = 0
        self.stored: dict[str, Any] = {}
        self.index = Index()
        self.counted: list[str] = []
        self.writer = Writer(self, self.index, count=self.counted.append)  # type: ignore[arg-type]

    async def merge_patch(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        self._take(path, body)
        self.statuses.append(body.get("status") or {})
        return {"metadata": {"name": "detector", "namespace": "shop", "resourceVersion": str(self.writes)}}

    async def apply(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        self._take(path, body)
        return dict(body)

    async def get(self, path: str) -> dict[str, Any]:
        self._take(path, {})
        return self.stored

    async def create(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        if path.endswith("/events"):
            self.events.append(body)
            return {}
        self._take(path, body)
        return dict(body)

    async def delete(self, path: str, *, uid: str) -> None:
        self._take(path, {"uid": uid})

    def _take(self, path: str, body: Mapping[str, Any]) -> None:
        self.writes += 1
        error = self.refuse(path, body)
        if error is not None:
            raise error

    @property
    def reasons(self) -> list[str]:
        return [event["reason"] for event in self.events]


def with_results(_: str, body: Mapping[str, Any]) -> ApiError | None:
    return INVALID if "results" in (body.get("status") or {}) else None


def always(*_: object) -> ApiError:
    return INVALID


def write(server: Server, before: dict[str, Any] | None = None) -> bool:
    resource = estimate(status=before)
    desired = desired_status(resource, forecast(), request=REQUEST, now=datetime.now(UTC))
    return asyncio.run(server.writer.status(ESTIMATES, resource, desired))


def test_a_refused_status_becomes_a_condition_that_says_why(caplog: pytest.LogCaptureFixture) -> None:
    server = Server(with_results)
    assert write(server)
    ready = condition(server.statuses[-1], "Ready")
    assert ready is not None
    assert (ready["status"], ready["reason"]) == ("False", "StatusRefused")
    assert "denied by policy tenants" in ready["message"]
    assert server.reasons == ["StatusRefused"]
    assert server.counted == ["InferenceEnergyEstimate"]
    assert "denied by policy tenants" in caplog.text


def test_a_status_that_is_still_refused_is_not_told_again() -> None:
    server = Server(with_results)
    write(server)
    assert not write(server, dict(server.statuses[-1]))
    assert server.writes == 3, "the status, the condition, and the status once more"
    assert server.reasons == ["StatusRefused"]


def test_where_not_even_the_condition_is_taken_one_event_says_why() -> None:
    server = Server(always)
    for _ in range(3):
        assert not write(server)
    assert server.reasons == ["StatusRefused"]
    assert server.events[0]["involvedObject"]["kind"] == "InferenceEnergyEstimate"


@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_passes_is_left_to_the_queue(status: int) -> None:
    server = Server(lambda *_: ApiError(status, "", "busy"))
    with pytest.raises(ApiError, match="busy"):
        write(server)
    assert server.events == []


def test_refused_annotations_are_told_once_for_each_reason() -> None:
    server = Server(always)
    for _ in range(3):
        asyncio.run(server.writer.annotations(DEPLOYMENTS, DEPLOYMENT, STATE, dict(STATE)))
    assert server.reasons == ["AnnotationsRefused"]
    assert server.counted == ["Deployment"] * 3
    assert "denied by policy tenants" in server.events[0]["message"]
    server.refuse = lambda *_: ApiError(403, "Forbidden", "no right")
    asyncio.run(server.writer.annotations(DEPLOYMENTS, DEPLOYMENT, STATE, dict(STATE)))
    assert server.reasons == ["AnnotationsRefused", "AnnotationsRefused"]


def test_an_estimate_that_may_not_be_made_is_told_on_its_deployment() -> None:
    server = Server(lambda *_: ApiError(403, "Forbidden", "exceeded quota: estimates"))
    asyncio.run(server.writer.create_estimate(made_for(DEPLOYMENTS, DEPLOYMENT)))
    assert server.reasons == ["EstimateRefused"]
    involved = server.events[0]["involvedObject"]
    assert (involved["kind"], involved["name"], involved["namespace"]) == ("Deployment", "server", "shop")


def test_an_estimate_that_may_not_be_deleted_is_told_on_itself() -> None:
    server = Server(always)
    asyncio.run(server.writer.delete_estimate(estimate()))
    assert server.reasons == ["DeletionRefused"]


def test_an_object_whose_namespace_goes_is_no_refusal() -> None:
    message = "unable to create new content in namespace shop because it is being terminated"
    server = Server(lambda *_: ApiError(403, "Forbidden", message))
    asyncio.run(server.writer.create_estimate(made_for(DEPLOYMENTS, DEPLOYMENT)))
    assert server.events == []


def test_a_write_of_annotations_returns_what_the_server_has_stored() -> None:
    server = Server(lambda *_: None)
    ready = {"joulecast.dev/state": "Ready"}
    assert asyncio.run(server.writer.annotations(DEPLOYMENTS, DEPLOYMENT, ready, dict(ready))) == ready
    refusing = Server(lambda *_: INVALID)
    assert asyncio.run(refusing.writer.annotations(DEPLOYMENTS, DEPLOYMENT, ready, dict(ready))) is None


def test_the_last_other_writer_is_neither_joulecast_nor_who_writes_the_status() -> None:
    entries = [
        {"manager": "helm", "operation": "Update", "time": "2026-01-01T00:00:00Z"},
        {"manager": "argocd-controller", "operation": "Apply", "time": "2026-01-02T00:00:00Z"},
        {"manager": "joulecast-controller", "operation": "Apply", "time": "2026-01-03T00:00:00Z"},
        {"manager": "kube", "operation": "Update", "time": "2026-01-04T00:00:00Z", "subresource": "status"},
    ]
    server = Server(lambda *_: None)
    server.stored = {"metadata": {"managedFields": entries}}
    assert asyncio.run(server.writer.last_other_writer(DEPLOYMENTS, DEPLOYMENT)) == "argocd-controller"
    server.stored = {"metadata": {}}
    assert asyncio.run(server.writer.last_other_writer(DEPLOYMENTS, DEPLOYMENT)) is None
    server.refuse = lambda *_: ApiError(403, "Forbidden", "no")
    assert asyncio.run(server.writer.last_other_writer(DEPLOYMENTS, DEPLOYMENT)) is None
