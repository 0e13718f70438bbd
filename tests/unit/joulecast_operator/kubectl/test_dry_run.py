"""What applying manifests would make of the objects, as the API server answers."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from joulecast.errors import JoulecastError
from joulecast_operator.api.kinds import DEPLOYMENTS, ESTIMATES, JOBS, LEADER_WORKER_SETS, PLANS, SITES
from joulecast_operator.kubectl.comparison import Comparison
from joulecast_operator.kubectl.dry_run import UNTRIED, DryRun
from joulecast_operator.kubectl.manifests import Manifest
from joulecast_operator.kubectl.server import Place, Server
from tests.unit.joulecast_operator.kubectl.test_plans import plan
from tests.unit.joulecast_operator.samples.api_server import ApiServer, api_server
from tests.unit.joulecast_operator.samples.sites import site
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


def without_namespace(there: ApiServer, namespace: str) -> None:
    """Answer as where ``namespace`` is not there: nothing is listed, and no object can be made."""
    there.hold_nothing(namespace)
    for kind, name in ((DEPLOYMENTS, "web"), (ESTIMATES, "detector"), (PLANS, "web")):
        message = f'namespaces "{namespace}" not found'
        there.refuse(kind.path(namespace, name), 404, "NotFound", message, kind="namespaces", name=namespace)


def moved(found: dict[str, Any], namespace: str = "fresh") -> dict[str, Any]:
    return found | {"metadata": found["metadata"] | {"namespace": namespace}}


FRESH = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "fresh"}}
AS_PLAN = {"apiVersion": PLANS.api_version, "kind": PLANS.kind}


def test_an_object_in_a_namespace_that_the_manifests_make_is_new_and_shown_as_written(there: ApiServer) -> None:
    without_namespace(there, "fresh")
    web = moved(workload("Deployment"))
    web["spec"]["replicas"] = 3
    target = moved(estimate(spec={"targetRef": {"name": "web"}}))
    assert target["status"]["results"], "a dump holds a status, which an apply does not write"
    found = compared(there, FRESH, target, web)
    asked, new = found.changes
    assert [(each.outcome, each.untried) for each in found.changes] == [("unknown", UNTRIED)] * 2
    assert (new.before, asked.before) == (None, None)
    assert new.after is not None
    assert (new.after.pods, new.after.state, new.after.row) == (3, "Pending", None)
    assert "no forecast yet" in new.after.sentence
    assert asked.after is not None
    assert asked.after.row is None
    assert found.others == {"Namespace": 1}


def test_a_namespace_that_nobody_makes_before_the_object_is_what_the_server_says(there: ApiServer) -> None:
    without_namespace(there, "fresh")
    for manifests in ([moved(workload("Deployment"))], [moved(workload("Deployment")), FRESH]):
        (only,) = compared(there, *manifests).changes
        assert (only.outcome, only.refusal, only.untried) == ("refused", 'namespaces "fresh" not found', "")


def test_another_404_in_a_namespace_that_the_manifests_make_is_told(there: ApiServer) -> None:
    there.hold_nothing("fresh")
    there.refuse(DEPLOYMENTS.path("fresh", "web"), 404, "NotFound", "the webhook is not there", name="hook")
    (only,) = compared(there, FRESH, moved(workload("Deployment"))).changes
    assert (only.outcome, only.refusal) == ("refused", "the webhook is not there")


def test_a_kind_that_the_cluster_does_not_serve_is_refused_and_the_others_go_on(there: ApiServer) -> None:
    group = {"apiVersion": LEADER_WORKER_SETS.api_version, "kind": "LeaderWorkerSet"}
    first, job = compared(there, group | {"metadata": {"name": "group"}}, workload("Job")).changes
    assert (first.outcome, job.outcome) == ("refused", "new")
    assert "the cluster does not serve leaderworkersets.leaderworkerset.x-k8s.io of v1" in first.refusal


def test_a_plan_and_a_site_say_what_applying_them_does(there: ApiServer) -> None:
    hall = site("hall", default=True) | {"status": {"estimates": 7}}
    there.hold(PLANS, plan("once"))
    cheaper = site("hall", pricePerKilowattHour=["0.1"]) | {"status": {"estimates": 7}}
    there.hold(SITES, hall)
    original = there.answer
    there.answer = lambda method, *rest: (  # type: ignore[method-assign]
        (200, cheaper) if method == "PATCH" and rest[0].endswith("/hall") else original(method, *rest)
    )
    asked = plan("web", targetRef={"name": "web"}, slo={"latencyMilliseconds": 20})
    found = compared(there, AS_PLAN | asked, AS_PLAN | plan("once"), cheaper, site("other", default=True))
    assert found.changes == ()
    assert found.others == {}
    assert [(each.title, each.outcome) for each in found.notes] == [
        ("energyplan/web in shop", "new"), ("energyplan/once in shop", "same"), ("energysite/hall", "changed"),
        ("energysite/other", "new"),
    ]  # fmt: skip
    new, same, changed, other = (each.sentence for each in found.notes)
    assert new == (
        "a plan has no forecast of its own: after the apply it says which setting needs least energy for"
        " deployment/web, with latency ≤ 20 ms"
    )
    assert same == "a plan has no forecast of its own: it asks nothing new, and what it recommends stands"
    assert changed.endswith("after the apply everything that it prices is priced anew, 7 estimates now")
    assert other.endswith("it prices the estimates and plans that name it in spec.siteName, and those that name none")


def test_a_plan_that_the_server_refuses_or_cannot_try_is_told(there: ApiServer) -> None:
    there.hold(PLANS)
    there.refuse(PLANS.path("shop", "web"), 422, "Invalid", "spec.slo is empty")
    without_namespace(there, "fresh")
    refused, untried = compared(there, AS_PLAN | plan("web"), FRESH, AS_PLAN | moved(plan("web"))).notes
    assert (refused.outcome, refused.sentence) == ("refused", "spec.slo is empty")
    assert untried.outcome == "new"
    assert untried.sentence.startswith(f"{UNTRIED}; a plan has no forecast of its own")
