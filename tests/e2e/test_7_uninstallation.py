"""Test that an uninstallation leaves nothing of joulecast but its definitions and the objects of users."""

from __future__ import annotations

import json

from tests.e2e.cluster import NAMESPACE, Cluster, Manifest

DEFINITIONS = {
    "inferenceenergyestimates.joulecast.dev",
    "acceleratorenergyprofiles.joulecast.dev",
    "energycalibrations.joulecast.dev",
    "energysites.joulecast.dev",
    "energyplans.joulecast.dev",
    "v1alpha1.joulecast.dev",  # the APIService that the API server makes of them
}
PASSING = {"events", "events.events.k8s.io", "namespaces"}  # events go after an hour; Helm leaves the namespace


def test_nothing_is_left_but_the_definitions(cluster: Cluster) -> None:
    cluster.plane.helm("uninstall", "joulecast", "-n", NAMESPACE, "--wait", "--timeout=600s")
    assert cluster.annotations("ocr").keys() <= {"model", "batch-size"}
    deployments = json.loads(cluster.plane.kubectl("get", "deployments", "-o", "json").stdout)["items"]
    outputs = {
        f"{each['metadata']['name']} {key}"
        for each in deployments
        for key in each["metadata"].get("annotations") or {}
        if key.startswith("joulecast.dev/") and key not in ("joulecast.dev/model", "joulecast.dev/batch-size")
    }
    assert outputs == set(), "annotations are left"
    cluster.until(lambda: _left(cluster) == DEFINITIONS, "all of it is deleted")


def _left(cluster: Cluster) -> set[str]:
    """The names of all objects of all kinds that are joulecast's by name or label, without those of users."""
    kinds = cluster.plane.kubectl("api-resources", "--verbs=list", "-o", "name").stdout.split()
    chosen = ",".join(kind for kind in kinds if kind not in PASSING and not kind.endswith("joulecast.dev"))
    found = json.loads(cluster.plane.kubectl("get", chosen, "-A", "-o", "json").stdout)["items"]
    return {each["metadata"]["name"] for each in found if _is_ours(each["metadata"])}


def _is_ours(metadata: Manifest) -> bool:
    labels = metadata.get("labels") or {}
    return "joulecast" in metadata["name"] or labels.get("app.kubernetes.io/name") == "joulecast"
