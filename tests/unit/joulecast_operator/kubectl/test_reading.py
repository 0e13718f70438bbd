"""What a command reads from the API server, and goes on without."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from joulecast.errors import JoulecastError
from joulecast_operator.api.kinds import ANNOTATED, DEPLOYMENTS, ESTIMATES, JOBS, PLANS, STATEFUL_SETS
from joulecast_operator.kubectl.names import Named
from joulecast_operator.kubectl.reading import explanation_at, plans_at, ranking_at
from joulecast_operator.kubectl.server import Place, RequestError, Server
from tests.unit.joulecast_operator.kubectl.test_plans import plan
from tests.unit.joulecast_operator.samples.api_server import ApiServer, api_server
from tests.unit.joulecast_operator.samples.workloads import estimate, workload


@pytest.fixture
def there(tmp_path: Path) -> Iterator[ApiServer]:
    with api_server(tmp_path) as server:
        server.hold_nothing()
        yield server


@pytest.fixture
def server(there: ApiServer) -> Server:
    return Server.at(Place(kubeconfig=str(there.kubeconfig)))


def test_workloads_of_every_kind_are_ranked_without_those_that_a_controller_owns(
    there: ApiServer, server: Server
) -> None:
    owner = {"apiVersion": "batch/v1", "kind": "CronJob", "name": "nightly", "uid": "u", "controller": True}
    there.hold(ESTIMATES, estimate())
    for kind in ANNOTATED.values():
        there.hold(kind, workload(kind.kind))
    there.hold(JOBS, workload("Job", "own"), workload("Job", "run", ownerReferences=[owner]))
    found = ranking_at(server, "shop")
    assert sorted(each.title for each in found.forecast) == [
        "cronjob/web", "daemonset/web", "deployment/web", "job/own", "statefulset/web",
    ]  # fmt: skip
    assert ranking_at(server, None).total == found.total


def test_a_kind_that_the_user_may_not_read_is_told_and_the_others_are_shown(there: ApiServer, server: Server) -> None:
    there.hold(ESTIMATES, estimate())
    there.hold(DEPLOYMENTS, workload("Deployment"))
    there.refuse(STATEFUL_SETS.path("shop"), 403, "Forbidden", "no statefulsets for you")
    found = ranking_at(server, "shop")
    assert [each.name for each in found.forecast] == ["web"]
    assert found.unread == {
        "StatefulSet": "no statefulsets for you: ask for a role that allows it (joulecast adds its kinds to Kubernetes'"
        " role view)"
    }


def test_who_may_read_nothing_gets_an_error(there: ApiServer, server: Server) -> None:
    for kind in ANNOTATED.values():
        there.refuse(kind.path("shop"), 403, "Forbidden", f"no {kind.plural} for you")
    with pytest.raises(RequestError, match="for you"):
        ranking_at(server, "shop")
    there.refuse(ESTIMATES.path("shop"), 403, "Forbidden", "no estimates for you")
    with pytest.raises(RequestError, match="no estimates for you"):
        ranking_at(server, "shop")


def test_an_estimate_is_explained_by_itself_and_a_workload_by_its_estimate(there: ApiServer, server: Server) -> None:
    there.hold(ESTIMATES, estimate())
    there.hold(JOBS, workload("Job"))
    itself, none = explanation_at(server, "shop", Named(kind=ESTIMATES, name="detector"))
    assert (itself.standing.kind, none) == ("InferenceEnergyEstimate", None)
    job, found = explanation_at(server, "shop", Named(kind=JOBS, name="web"))
    assert (job.standing.kind, job.estimate is not None) == ("Job", True)
    assert found is not None


def test_an_estimate_that_nobody_looked_at_says_so(there: ApiServer, server: Server) -> None:
    fresh = estimate()
    del fresh["status"]
    there.hold(ESTIMATES, fresh)
    found, _ = explanation_at(server, "shop", Named(kind=ESTIMATES, name="detector"))
    assert (found.standing.state, found.row) == ("Pending", None)
    assert "the controller has not looked at it yet" in found.standing.sentence


def test_an_object_that_is_not_there_is_named_with_its_namespace(server: Server) -> None:
    with pytest.raises(JoulecastError, match="there is no Job 'web' in the namespace 'shop'") as raised:
        explanation_at(server, "shop", Named(kind=JOBS, name="web"))
    assert raised.value.reason == "NotFound"


def test_plans_are_listed_found_by_name_and_by_the_workload_that_they_are_about(
    there: ApiServer, server: Server
) -> None:
    there.hold(PLANS, plan("web"), plan("once", targetRef={"kind": "Job", "name": "once"}))
    assert [each.name for each in plans_at(server, "shop", None)] == ["web", "once"]
    assert [each.about for each in plans_at(server, "shop", Named(kind=PLANS, name="once"))] == ["job/once"]
    assert [each.name for each in plans_at(server, "shop", Named(kind=DEPLOYMENTS, name="web"))] == ["web"]
    with pytest.raises(JoulecastError, match="there is no EnergyPlan 'absent' in the namespace 'shop'"):
        plans_at(server, "shop", Named(kind=PLANS, name="absent"))
    with pytest.raises(JoulecastError, match="is about job/web: apply one, which `kubectl joulecast plan job/web"):
        plans_at(server, "shop", Named(kind=JOBS, name="web"))
