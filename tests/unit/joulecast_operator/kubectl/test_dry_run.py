"""What applying manifests would make of the objects, as the API server answers."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from joulecast.errors import JoulecastError
from joulecast_operator.api.kinds import DEPLOYMENTS, ESTIMATES, JOBS
from joulecast_operator.kubectl.comparison import Comparison
from joulecast_operator.kubectl.dry_run import DryRun
from joulecast_operator.kubectl.manifests import Manifest
from joulecast_operator.kubectl.server import Place, Server
from tests.unit.joulecast_operator.samples.api_server import ApiServer, api_server
from tests.unit.joulecast_operator.samples.workloads import estimate, workload


@pytest.fixture
def there(tmp_path: Path) -> Iterator[ApiServer]:
    with api_server(tmp_path) as server:
        server.hold_nothing()
        server.hold(ESTIMATES, estimate())
        yield server


def compared(there: ApiServer, *objects: dict[str, Any], only: str | None = None) -> Comparison:
    server = Server.at(Place(kubeconfig=str(there.kubeconfig)))
    return DryRun(server, only_namespace=only, manager=None).comparison(
        [Manifest(source="all.yaml", body=each) for each in objects]
    )


def test_a_new_workload_has_the_forecast_of_an_estimate_that_is_there(there: ApiServer) -> None:
    found = compared(there, workload("Deployment"))
    (only,) = found.changes
    assert (only.outcome, only.before) == ("new", None)
    assert found.busy_watts == (0, 341.2)
    assert {query["dryRun"] for method, _, query, _ in there.requests if method != "GET"} == {"All"}


def test_an_object_without_a_namespace_is_for_the_contexts(there: ApiServer) -> None:
    job = workload("Job")
    del job["metadata"]["namespace"]
    (only,) = compared(there, job).changes
    assert (only.namespace, only.outcome) == ("shop", "new")
    (sent,) = [body for method, _, _, body in there.requests if method == "PATCH"]
    assert sent["metadata"]["namespace"] == "shop"


def test_what_an_estimate_of_the_manifests_asks_for_is_not_known_yet(there: ApiServer) -> None:
    there.hold(DEPLOYMENTS, workload("Deployment"))
    changed = copy.deepcopy(estimate()) | {"metadata": {**estimate()["metadata"], "generation": 2}}
    original = there.answer

    def answer(method: str, path: str, query: dict[str, str], body: Any) -> tuple[int, Any]:
        return (200, changed) if method == "PATCH" and "energyest" in path else original(method, path, query, body)

    there.answer = answer  # type: ignore[method-assign]
    asked, web = compared(there, estimate(), workload("Deployment")).changes
    assert (asked.outcome, web.outcome) == ("unknown", "unknown")
    assert web.before is not None
    assert web.before.state == "Ready", "it has a forecast until then"


def test_what_the_server_refuses_is_told_and_the_others_go_on(there: ApiServer) -> None:
    there.hold(JOBS, workload("Job"))
    there.refuse(DEPLOYMENTS.path("shop", "bad"), 422, "Invalid", "spec.selector is required")
    original = there.answer
    there.answer = lambda method, *rest: (  # type: ignore[method-assign]
        (404, {"reason": "NotFound", "details": {"name": "bad"}})
        if method == "GET" and rest[0].endswith("/bad")
        else original(method, *rest)
    )
    bad, job = compared(there, workload("Deployment", "bad"), workload("Job")).changes
    assert (bad.outcome, bad.refusal) == ("refused", "spec.selector is required")
    assert job.outcome == "same"


def test_kinds_without_a_forecast_are_counted_and_not_sent(there: ApiServer) -> None:
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}}
    other = {"apiVersion": "apps.example/v1", "kind": "Deployment", "metadata": {"name": "web"}}
    found = compared(there, service, service, other)
    assert (found.changes, found.others) == ((), {"Service": 2, "Deployment": 1})
    assert there.requests == []


def test_a_namespace_on_the_command_line_must_be_that_of_the_objects(there: ApiServer) -> None:
    assert len(compared(there, workload("Job"), only="shop").changes) == 1
    with pytest.raises(JoulecastError, match="is for the namespace 'shop', not 'other': leave -n out"):
        compared(there, workload("Job"), only="other")


def test_credentials_that_are_not_accepted_end_the_command(there: ApiServer) -> None:
    there.refuse(JOBS.path("shop", "web"), 401, "Unauthorized", "Unauthorized")
    with pytest.raises(JoulecastError, match="log in again"):
        compared(there, workload("Job"))
