"""Test with a real API server that no Deployment is annotated where that is off, and that what was written goes."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from uuid import uuid4

import pytest

from tests.cluster.controlled import Cluster, controlled, estimate, metrics
from tests.cluster.patience import be_patient
from tests.cluster.release import deployment, text
from tests.cluster.test_restricted import may
from tests.harness.control_plane import COMMAND_SECONDS
from tests.harness.installation import CHART, NAMESPACE, Installation
from tests.waiting import eventually

LABEL = "joulecast.dev/annotations"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with controlled(tmp_path_factory.mktemp("status-only")) as started:
        be_patient(started.plane)
        started.push("model")
        yield started


@pytest.fixture
def namespace(cluster: Cluster) -> str:
    return cluster.plane.create_namespace(f"test-{uuid4().hex[:8]}")


def applied(cluster: Cluster, name: str, namespace: str) -> None:
    """Apply an estimate and a Deployment of its image."""
    image = cluster.image("model")
    cluster.plane.apply(estimate(name, namespace, image), deployment(name, namespace, image=image))


def annotated(cluster: Cluster, name: str, namespace: str) -> bool:
    return cluster.annotations(name, namespace).get("state") == "Ready"


def probed(cluster: Cluster, namespace: str) -> tuple[dict[str, str], str]:
    """Return joulecast's annotations of a Deployment under admission, and what `kubectl apply` prints."""
    probe = text(deployment("probe", namespace, image=cluster.image("model")))
    done = cluster.plane.kubectl("apply", "--dry-run=server", "-o", "json", "-f", "-", stdin=probe)
    notes = json.loads(done.stdout)["metadata"]["annotations"]
    return {key: value for key, value in notes.items() if key.startswith("joulecast.dev/")}, done.stderr


def test_a_label_takes_the_annotations_of_a_namespace_and_leaves_warnings_and_statuses(
    cluster: Cluster, namespace: str
) -> None:
    applied(cluster, "labelled", namespace)
    cluster.until(lambda: annotated(cluster, "labelled", namespace), "annotated")
    assert eventually(lambda: probed(cluster, namespace)[0]), "the webhook annotates as well"

    cluster.plane.kubectl("label", "namespace", namespace, f"{LABEL}=none")
    cluster.until(lambda: cluster.annotations("labelled", namespace) == {}, "what was written went")
    assert eventually(lambda: not probed(cluster, namespace)[0]), "the webhook still annotates"
    found, warnings = probed(cluster, namespace)
    assert found == {}
    assert "J per batch" in warnings, "the webhook is asked for warnings"
    applied(cluster, "later", namespace)
    cluster.until_ready("later", namespace)
    cluster.until(lambda: 'estimate="later"' in metrics(cluster.installation.controller_url), "it is in the metrics")
    assert cluster.annotations("later", namespace) == {}
    assert version_after_writes(cluster, namespace) == 1, "nobody has written the Deployment but its author"

    cluster.plane.kubectl("label", "namespace", namespace, f"{LABEL}-")
    cluster.until(lambda: annotated(cluster, "later", namespace), "annotated again")
    assert cluster.forbidden() == []


def version_after_writes(cluster: Cluster, namespace: str) -> int:
    """Return how many field managers own metadata or spec of the Deployment ``later``."""
    shown = ("get", "deployment", "later", "-n", namespace, "-o", "json", "--show-managed-fields")
    managers = json.loads(cluster.plane.kubectl(*shown).stdout)["metadata"]["managedFields"]
    return len({each["manager"] for each in managers if each.get("subresource") != "status"} - CONTROLLERS)


CONTROLLERS = {"kube-controller-manager"}
"""Writes a Deployment's revision as an annotation."""


def test_a_deployment_of_a_namespace_that_had_the_label_first_is_never_written(cluster: Cluster) -> None:
    name = f"test-{uuid4().hex[:8]}"
    cluster.plane.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {LABEL: "none"}}}
    )
    applied(cluster, "later", name)
    cluster.until_ready("later", name)
    # one that follows in another namespace is annotated after the controller has looked at both
    other = cluster.plane.create_namespace(f"test-{uuid4().hex[:8]}")
    applied(cluster, "other", other)
    cluster.until(lambda: annotated(cluster, "other", other), "annotated")
    writes = [
        event["requestURI"]
        for event in cluster.plane.audit_events()
        if event["verb"] == "patch"
        and f"/namespaces/{name}/deployments/" in event["requestURI"]
        and "joulecast" in event["user"]["username"]
    ]
    assert writes == []


def test_status_only_cleans_up_at_the_upgrade_and_takes_the_rights_away(cluster: Cluster, namespace: str) -> None:
    """The last test of the file: the release stays in this mode."""
    applied(cluster, "whole", namespace)
    cluster.until(lambda: annotated(cluster, "whole", namespace), "annotated")
    installation, plane = cluster.installation, cluster.plane
    controller = installation.account("controller")
    assert may(plane, controller, "patch", "deployments.apps")

    upgrade = threading.Thread(target=upgraded, args=(cluster,))
    upgrade.start()
    run_hook(installation)
    upgrade.join(COMMAND_SECONDS)
    assert cluster.annotations("whole", namespace) == {}
    assert not may(plane, controller, "patch", "deployments.apps")
    assert may(plane, controller, "list", "deployments.apps")
    left = plane.kubectl("get", "clusterroles,clusterrolebindings", "-o", "name").stdout
    assert "joulecast-uninstall" not in left, "no account is left that may change Deployments"

    be_patient(plane)
    installation.stop()
    before = len(cluster.forbidden())  # of the old controller, which tried to write until it was stopped
    installation._environment["JOULECAST_STATUS_ONLY"] = "true"
    installation.start_processes()
    applied(cluster, "quiet", namespace)
    cluster.until_ready("quiet", namespace)
    assert cluster.annotations("quiet", namespace) == {}
    found, warnings = probed(cluster, namespace)
    assert found == {}
    assert "J per batch" in warnings
    assert cluster.forbidden()[before:] == [], "the controller does not try to write"


def upgraded(cluster: Cluster) -> None:
    """Upgrade with hooks to a release that annotates nothing."""
    values = ("--reset-then-reuse-values", "--set", "statusOnly=true", "--force-conflicts")  # see ``be_patient``
    cluster.plane.helm("upgrade", "joulecast", CHART, "-n", NAMESPACE, *values)


def run_hook(installation: Installation) -> None:
    """Run the Job of the upgrade as a node would, under its account."""
    plane = installation.plane
    pods = ("get", "pods", "-n", NAMESPACE, "-l", "batch.kubernetes.io/job-name=joulecast-uninstall", "-o", "json")
    assert eventually(lambda: json.loads(plane.kubectl(*pods).stdout)["items"]), "the upgrade started no Job"
    (pod,) = json.loads(plane.kubectl(*pods).stdout)["items"]
    (container,) = pod["spec"]["containers"]
    job = installation._command("clean-up", "uninstall", *container["args"])
    given = {each["name"]: each["value"] for each in container["env"] if "value" in each}
    own = {key: value for key, value in job.environment.items() if key != "JOULECAST_DEPLOYMENT"}
    subprocess.run(job.argv, env={**own, **given}, check=True, capture_output=True, timeout=COMMAND_SECONDS)
    ended = json.dumps({"status": {"phase": "Succeeded"}})
    plane.kubectl(
        "patch", "pod", pod["metadata"]["name"], "-n", NAMESPACE, "--subresource=status", "--type=merge", "-p", ended
    )
