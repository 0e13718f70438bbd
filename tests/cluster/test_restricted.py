"""Test with a real API server that a release restricted to namespaces works there, and has no rights elsewhere."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from joulecast_operator.api.crds import definitions
from joulecast_operator.api.kinds import ANNOTATED
from tests import small_models
from tests.cluster.controlled import Cluster, estimate
from tests.cluster.patience import be_patient
from tests.cluster.release import deployment, text
from tests.harness import http
from tests.harness.control_plane import CommandError, ControlPlane
from tests.harness.installation import CHART, NAMESPACE, Installation
from tests.harness.registry import Registry
from tests.waiting import eventually

WATCHED, FLEETING, OUTSIDE, SECOND = "team-a", "team-b", "elsewhere", "second"
WORKLOADS = [f"{kind.plural}.{kind.group}" for kind in ANNOTATED.values()]
RETRY = ("--retry-seconds=0.5", "--sweep-seconds=5")
ONCE = ("crds.enabled=false", "profiles.writeStatus=false", "calibration.enabled=false")
"""What a second release of a cluster leaves to the first."""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Run joulecast restricted to two namespaces of three."""
    directory = tmp_path_factory.mktemp("restricted")
    with ControlPlane.start(directory / "plane") as plane, Registry.start(directory / "registry") as registry:
        for name in (WATCHED, FLEETING, OUTSIDE):
            plane.create_namespace(name)
        namespaces = f"{WATCHED},{FLEETING}"
        with Installation.start(
            plane,
            directory / "joulecast",
            insecure_registries=[registry.host],
            values=[f"watchNamespaces={{{namespaces}}}"],
            options=RETRY,
            environment={"JOULECAST_NAMESPACES": namespaces},
        ) as installation:
            be_patient(plane)
            model = small_models.classifier(directory / "classifier.onnx").read_bytes()
            found = Cluster(plane=plane, registry=registry, installation=installation, model=model)
            found.push("model")
            yield found


def applied(cluster: Cluster, name: str, namespace: str) -> None:
    """Apply an estimate and a Deployment of its image."""
    image = cluster.image("model")
    cluster.plane.apply(estimate(name, namespace, image), deployment(name, namespace, image=image))


def may(plane: ControlPlane, account: Path, verb: str, resource: str, namespace: str = "", *, name: str = "") -> bool:
    """Tell whether the API server lets the token do that; in all namespaces if none is given."""
    resource, _, subresource = resource.partition("/")
    more = [f"--subresource={subresource}"] if subresource else []
    where = ["-n", namespace] if namespace else ["-A"]
    asked = ("auth", "can-i", verb, f"{resource}/{name}" if name else resource, *more, *where)
    return plane.kubectl(*asked, kubeconfig=account, check=False).stdout.strip() == "yes"


def test_it_works_in_its_namespace_and_leaves_the_others_alone(cluster: Cluster) -> None:
    applied(cluster, "outside", OUTSIDE)
    applied(cluster, "inside", WATCHED)
    cluster.until_ready("inside", WATCHED)
    cluster.until(lambda: cluster.annotations("inside", WATCHED).get("state") == "Ready", "annotated")
    probe = text(deployment("probe", WATCHED, image=cluster.image("model")))

    def warned(probe: str) -> str:
        return cluster.plane.kubectl("apply", "--dry-run=server", "-f", "-", stdin=probe).stderr

    assert eventually(lambda: "J per batch" in warned(probe)), "the webhook was not asked"
    assert warned(probe.replace(WATCHED, OUTSIDE)) == ""
    assert cluster.status("outside", OUTSIDE) == {}
    assert cluster.annotations("outside", OUTSIDE) == {}
    assert cluster.forbidden() == [], "the controller asks for nothing that it may not have"


def test_the_tokens_have_rights_there_and_nowhere_else(cluster: Cluster) -> None:
    plane = cluster.plane
    rights = {
        "controller": [
            *((verb, "inferenceenergyestimates.joulecast.dev") for verb in ("list", "watch", "create", "delete")),
            ("patch", "inferenceenergyestimates.joulecast.dev/status"),
            *((verb, "energyplans.joulecast.dev") for verb in ("list", "watch")),
            ("patch", "energyplans.joulecast.dev/status"),
            *((verb, kind) for verb in ("list", "watch", "patch") for kind in WORKLOADS),
            ("create", "events"),
            ("list", "energycalibrations.joulecast.dev"),
        ],
        "webhook": [
            (verb, f"{kind}.joulecast.dev")
            for verb in ("list", "watch")
            for kind in ("inferenceenergyestimates", "energyplans")
        ],
        "uninstall": [(verb, kind) for verb in ("list", "patch") for kind in WORKLOADS],
    }
    for part, expected in rights.items():
        account = cluster.installation.account(part)
        for verb, resource in expected:
            assert may(plane, account, verb, resource, WATCHED), (part, verb, resource)
            assert not may(plane, account, verb, resource, OUTSIDE), (part, verb, resource)
            assert not may(plane, account, verb, resource), (part, verb, resource)
    controller = cluster.installation.account("controller")
    assert may(plane, controller, "patch", "deployments.apps", NAMESPACE, name="joulecast-controller")
    assert not may(plane, controller, "patch", "deployments.apps", NAMESPACE, name="joulecast-webhook")
    assert not may(plane, controller, "list", "namespaces")
    assert may(plane, controller, "list", "nodes")
    assert may(plane, controller, "watch", "energysites.joulecast.dev")
    assert may(plane, controller, "patch", "energysites.joulecast.dev/status")
    assert not may(plane, controller, "patch", "energysites.joulecast.dev")


def test_an_uninstall_is_answered_from_a_namespace_that_is_not_watched(cluster: Cluster) -> None:
    applied(cluster, "leaving", WATCHED)
    cluster.until(lambda: cluster.annotations("leaving", WATCHED).get("state") == "Ready", "annotated")
    cluster.installation.null_outputs()
    assert cluster.annotations("leaving", WATCHED) == {}
    own = cluster.annotations("joulecast-controller", NAMESPACE)
    assert own["resting-until"] == own["rest-until"], "the controller answered"
    cluster.plane.kubectl(
        "annotate", "deployment", "joulecast-controller", "-n", NAMESPACE, "joulecast.dev/rest-until-"
    )
    cluster.until(lambda: cluster.annotations("leaving", WATCHED).get("state") == "Ready", "annotated again")


def notes(cluster: Cluster) -> str:
    with http.send(urllib.request.Request(f"{cluster.installation.controller_url}/readyz")) as page:
        answer: str = page.read().decode()
    return answer


def test_a_namespace_that_was_deleted_stops_nothing_and_comes_back_with_its_rights(cluster: Cluster) -> None:
    cluster.plane.kubectl("delete", "namespace", FLEETING)
    cluster.installation.controller.kill()
    cluster.installation.controller.start()  # and waits until it is ready
    assert f"deployments of the namespace '{FLEETING}' may not be read" in notes(cluster)
    applied(cluster, "without", WATCHED)
    cluster.until_ready("without", WATCHED)
    with pytest.raises(CommandError) as refused:
        cluster.installation.install()
    assert f'watchNamespaces names the namespace "{FLEETING}", which does not exist: create it first' in str(
        refused.value
    )
    cluster.plane.create_namespace(FLEETING)
    cluster.installation.install("--force-conflicts")  # the webhooks' patience is the test's field
    be_patient(cluster.plane)
    applied(cluster, "again", FLEETING)
    cluster.until_ready("again", FLEETING)
    cluster.until(lambda: cluster.annotations("again", FLEETING).get("state") == "Ready", "annotated")
    assert FLEETING not in notes(cluster)


def rendered(plane: ControlPlane, *values: str) -> str:
    """Return the sentence by which Helm refuses to install a second release; "" if it does not."""
    sets = [part for value in values for part in ("--set", value)]
    where = ("-n", SECOND, "--create-namespace", "--no-hooks", "--dry-run=server")
    done = plane.helm("install", "second", CHART, *where, "--set", "webhook.enabled=false", *sets, check=False)
    return done.stderr if done.returncode else ""


def test_what_a_second_release_must_leave_to_the_first_is_said(cluster: Cluster) -> None:
    first = f'the release "joulecast" of the namespace "{NAMESPACE}"'
    plane = cluster.plane
    assert f"{first} watches {WATCHED},{FLEETING}, and this one would watch all namespaces" in rendered(plane, *ONCE)
    overlapping = rendered(plane, f"watchNamespaces={{{OUTSIDE},{WATCHED}}}", *ONCE)
    assert f'{first} watches the namespace "{WATCHED}" already' in overlapping
    own = f"watchNamespaces={{{OUTSIDE}}}"
    assert f"{first} writes the status of AcceleratorEnergyProfiles and EnergySites already" in rendered(
        plane, own, ONCE[0]
    )
    assert f"{first} keeps the CustomResourceDefinitions" in rendered(plane, own, ONCE[1])
    missing = rendered(plane, "watchNamespaces={nowhere}", *ONCE)
    assert 'watchNamespaces names the namespace "nowhere", which does not exist' in missing
    assert rendered(plane, own, *ONCE) == ""


def test_a_second_release_lives_beside_the_first(cluster: Cluster, tmp_path: Path) -> None:
    plane = cluster.plane
    second = Installation(
        plane,
        tmp_path,
        release="second",
        namespace=SECOND,
        insecure_registries=[cluster.registry.host],
        values=[f"watchNamespaces={{{OUTSIDE}}}", *ONCE],
        options=RETRY,
        environment={
            "JOULECAST_NAMESPACES": OUTSIDE,
            "JOULECAST_PROFILE_STATUS": "false",
            "JOULECAST_CALIBRATION": "false",
        },
    )
    second.install()
    with second:
        be_patient(plane, "second-joulecast-webhook")
        second.start_processes()
        applied(cluster, "neighbour", OUTSIDE)
        cluster.until_ready("neighbour", OUTSIDE)
        cluster.until(lambda: cluster.annotations("neighbour", OUTSIDE).get("state") == "Ready", "annotated")
        forbidden = [
            event["requestURI"]
            for event in plane.audit_events()
            if event["user"]["username"].startswith(f"system:serviceaccount:{SECOND}:")
            and event.get("responseStatus", {}).get("code") == 403
        ]
        assert forbidden == []
        assert not may(plane, second.account("controller"), "patch", "deployments.apps", WATCHED)
    second.uninstall()
    assert crds(plane) == len(definitions()), "they are the first release's"
    applied(cluster, "alone-again", WATCHED)
    cluster.until_ready("alone-again", WATCHED)
    left = plane.kubectl("get", "clusterroles,mutatingwebhookconfigurations", "-o", "name").stdout
    assert "second-joulecast" not in left


def crds(plane: ControlPlane) -> int:
    found: list[Any] = json.loads(plane.kubectl("get", "crds", "-o", "json").stdout)["items"]
    return sum(each["spec"]["group"] == "joulecast.dev" for each in found)
