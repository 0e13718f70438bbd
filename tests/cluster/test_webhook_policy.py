"""Test that the chart's tokens may change only annotations under joulecast.dev/ of workloads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from joulecast_operator.api import annotations as notes
from joulecast_operator.api.kinds import ANNOTATED
from tests.cluster.release import Release, deployment, workload
from tests.harness.control_plane import ControlPlane
from tests.waiting import eventually

WRITERS = ("controller", "uninstall")
PATH = "/apis/apps/v1/namespaces/shop/deployments/web"
POLICY = "joulecast-annotations-only"
ANOTHER_IMAGE = {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "evil.invalid/x:1"}]}}}}


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Release]:
    """Install the chart, and wait until the API server enforces its policy."""
    with ControlPlane.start(tmp_path_factory.mktemp("policy"), controller_manager=False) as plane:
        found = Release(plane)
        found.install("--set", "uninstall.enabled=true")
        plane.kubectl("create", "namespace", "shop")
        own = {"team": "vision", notes.MODEL: "r.invalid/m:1"}
        plane.apply(*(workload(kind, "web", "shop", annotations=own) for kind in ANNOTATED))
        # dry, for what once went through is no change any more, and no policy refuses it
        probe = ("controller", "PATCH", f"{PATH}?dryRun=All", {"spec": {"replicas": 2}})
        assert eventually(lambda: POLICY in found.send(*probe)[1]), "the policy is not in force"
        yield found


def metadata(**fields: Any) -> dict[str, Any]:
    return {"metadata": fields}


@pytest.mark.parametrize("part", WRITERS)
def test_annotations_of_joulecast_may_be_set_and_taken_away(release: Release, part: str) -> None:
    for value in ("0.5", None):
        status, answer = release.send(part, "PATCH", PATH, metadata(annotations={notes.JOULES: value}))
        assert status == 200, answer
        assert release.annotations("web", "shop").get("joules-per-batch") == value


@pytest.mark.parametrize("part", WRITERS)
@pytest.mark.parametrize("kind", tuple(ANNOTATED))
def test_of_every_kind_only_annotations_of_joulecast_may_be_changed(release: Release, part: str, kind: str) -> None:
    path = ANNOTATED[kind].path("shop", "web")
    for value in ("0.5", None):
        status, answer = release.send(part, "PATCH", path, metadata(annotations={notes.JOULES: value}))
        assert status == 200, answer
    before = release.plane.get(kind.lower(), "web", "shop")
    other_spec = {"spec": {"suspend": True} if kind in ("Job", "CronJob") else {"minReadySeconds": 5}}
    for change in (other_spec, metadata(annotations={"team": "other"}), metadata(labels={"a": "b"})):
        status, answer = release.send(part, "PATCH", path, change)
        assert (status, POLICY in answer) == (422, True), answer
    status, answer = release.send(part, "PATCH", f"{path}/status", {"status": {}})
    assert status == 403, answer
    for method, place, body in (("DELETE", path, {}), ("POST", path.removesuffix("/web"), workload(kind, "n", "shop"))):
        assert release.send(part, method, place, body)[0] == 403
    assert release.plane.get(kind.lower(), "web", "shop") == before


@pytest.mark.parametrize("part", WRITERS)
@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (ANOTHER_IMAGE, "spec"),
        ({"spec": {"replicas": 0}}, "spec"),
        ({"spec": {"template": {"metadata": {"annotations": {notes.JOULES: "1"}}}}}, "spec"),
        (metadata(annotations={"team": "other"}), "annotations"),
        (metadata(annotations={"team": None}), "annotations"),
        (metadata(annotations={"kubectl.kubernetes.io/restartedAt": "now"}), "annotations"),
        (metadata(annotations={"joulecast.developer": "x"}), "annotations"),
        (metadata(annotations=None), "annotations"),
        (metadata(labels={"a": "b"}), "labels"),
        (metadata(finalizers=["a.example/b"]), "finalizers"),
        (metadata(ownerReferences=[{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u"}]), "owners"),
    ],
)
def test_nothing_else_of_a_deployment_may_be_changed(
    release: Release, part: str, change: dict[str, Any], rule: str
) -> None:
    before = release.plane.get("deployment", "web", "shop")
    status, answer = release.send(part, "PATCH", PATH, change)
    assert status == 422
    assert POLICY in answer
    assert rule in answer
    assert release.plane.get("deployment", "web", "shop") == before


@pytest.mark.parametrize("part", WRITERS)
def test_a_forced_apply_cannot_change_the_template_either(release: Release, part: str) -> None:
    body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}} | ANOTHER_IMAGE
    status, answer = release.send(part, "PATCH", f"{PATH}?fieldManager=x&force=true", body, kind="apply-patch+yaml")
    assert status == 422
    assert POLICY in answer


@pytest.mark.parametrize("part", WRITERS)
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/apis/apps/v1/namespaces/shop/deployments", deployment("new", "shop")),
        ("PUT", PATH, deployment("web", "shop")),
        ("DELETE", PATH, {}),
        ("PATCH", f"{PATH}/scale", {"spec": {"replicas": 0}}),
        ("PATCH", f"{PATH}/status", {"status": {"replicas": 9}}),
        ("GET", "/api/v1/namespaces/shop/secrets", None),
        ("POST", "/api/v1/namespaces/shop/pods", {}),
        ("GET", "/api/v1/namespaces/kube-system/configmaps/x", None),
    ],
)
def test_what_is_in_no_role_is_forbidden(release: Release, part: str, method: str, path: str, body: Any) -> None:
    assert release.send(part, method, path, body)[0] == 403


def test_the_webhooks_token_writes_nothing(release: Release) -> None:
    estimates = "/apis/joulecast.dev/v1alpha1/namespaces/shop/inferenceenergyestimates"
    assert release.send("webhook", "GET", estimates, None)[0] == 200
    for method, path in (("POST", estimates), ("PATCH", f"{estimates}/x/status"), ("DELETE", f"{estimates}/x")):
        assert release.send("webhook", method, path, {})[0] == 403
    assert release.send("webhook", "GET", "/apis/apps/v1/deployments", None)[0] == 403
    assert release.send("webhook", "PATCH", PATH, metadata(annotations={notes.JOULES: "1"}))[0] == 403


def test_other_users_are_not_concerned(release: Release) -> None:
    release.plane.kubectl("scale", "deployment/web", "-n", "shop", "--replicas=3")
    release.plane.kubectl("set", "image", "deployment/web", "main=registry.invalid/other:1", "-n", "shop")
