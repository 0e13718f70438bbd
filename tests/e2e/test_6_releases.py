"""Test upgrade, rollback and `helm test`: objects, statuses and annotations stay, and every Deployment is admitted."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e import images
from tests.e2e.cluster import NAMESPACE, Cluster

NEXT = "next"  # the tag of the image that is upgraded to
KINDS = "iee,aep,ecal"


def test_the_installation_passes_its_own_test(cluster: Cluster) -> None:
    done = cluster.plane.helm("test", "joulecast", "-n", NAMESPACE, "--logs", "--timeout=600s")
    assert "Succeeded" in done.stdout, done.stdout


@pytest.mark.parametrize("step", ["upgrade", "rollback"])
def test_a_change_of_release_keeps_every_object_and_replaces_every_pod(cluster: Cluster, step: str) -> None:
    kept, annotated = _objects(cluster), cluster.annotations("voice-activity")
    if step == "upgrade":
        cluster.push(f"joulecast:{NEXT}", images.OPERATOR)
        cluster.helm("upgrade", image=cluster.repository | {"tag": NEXT})
    else:
        cluster.plane.helm("rollback", "joulecast", "-n", NAMESPACE, "--wait", "--timeout=600s")
    for part in ("controller", "webhook"):
        cluster.rolled_out(f"joulecast-{part}", NAMESPACE)
    tag = NEXT if step == "upgrade" else "e2e"
    cluster.until(lambda: _tags(cluster) == {tag}, "the pods of the release before are gone")
    assert _objects(cluster) == kept
    assert cluster.annotations("voice-activity") == annotated
    cluster.until(cluster.is_reviewed, f"the webhook answers after the {step}")


def _objects(cluster: Cluster) -> dict[str, Any]:
    """Spec and status of every object of joulecast's kinds, by uid."""
    found = json.loads(cluster.plane.kubectl("get", KINDS, "-A", "-o", "json").stdout)["items"]
    return {each["metadata"]["uid"]: (each["spec"], each.get("status")) for each in found}


def _tags(cluster: Cluster) -> set[str]:
    """The tags of the images that pods of both processes run, those that are being deleted included."""
    path = "jsonpath={.items[*].spec.containers[*].image}"
    chosen = ("-n", NAMESPACE, "-l", "app.kubernetes.io/component in (controller,webhook)")
    images = cluster.plane.kubectl("get", "pods", *chosen, "-o", path).stdout.split()
    return {image.rpartition(":")[2] for image in images}
