"""Test a thousand estimates at once, objects that the schema refuses, and a reconciler with a defect."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from joulecast_operator.api.kinds import ESTIMATES
from joulecast_operator.cluster import client as kube
from tests.cluster.controlled import Cluster, controlled, estimate
from tests.waiting import eventually

COUNT = 1000
IMAGES = 5
SECONDS = 1200.0  # a minute on two cores

# run before the controller: estimates named "doomed" meet a bug, all others do not
BUG = """
from joulecast_operator.estimates import inputs
genuine = inputs.spec_of
def broken(estimate):
    if estimate["metadata"]["name"] == "doomed":
        raise ZeroDivisionError("an injected bug")
    return genuine(estimate)
inputs.spec_of = broken
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("bug")
    body = "".join(f"    {line}\n" for line in BUG.strip().splitlines())
    (folder / "sitecustomize.py").write_text(f"import sys\nif 'controller' in sys.orig_argv:\n{body}")
    environment = {"PYTHONPATH": str(folder)}
    with controlled(tmp_path_factory.mktemp("scale"), environment=environment) as started:
        yield started


@pytest.fixture
def namespace(cluster: Cluster) -> str:
    return cluster.plane.create_namespace(f"test-{uuid4().hex[:8]}")


def test_a_thousand_at_once(cluster: Cluster, namespace: str) -> None:
    for number in range(IMAGES):
        cluster.push(f"many-{number}", salt=str(number))
    documents = [estimate(f"many-{n}", namespace, cluster.image(f"many-{n % IMAGES}")) for n in range(COUNT)]
    asyncio.run(create(cluster, documents))
    assert eventually(lambda: ready(cluster, namespace) == COUNT, SECONDS), f"{ready(cluster, namespace)} are Ready"
    assert cluster.answers(429) == 0
    writes = [
        event
        for event in cluster.plane.audit_events()
        if event["verb"] == "patch" and f"/namespaces/{namespace}/inferenceenergyestimates/" in event["requestURI"]
    ]
    assert len(writes) <= 2 * COUNT, "pending once at most, then the forecast"


def test_a_bug_costs_only_the_object_that_meets_it(cluster: Cluster, namespace: str) -> None:
    cluster.push("spared")
    cluster.plane.apply(estimate("doomed", namespace, cluster.image("spared")))
    cluster.plane.apply(estimate("spared", namespace, cluster.image("spared")))
    cluster.until_ready("spared", namespace)
    assert "an injected bug" in cluster.until_reason("doomed", namespace, "InternalError")["message"]
    log = cluster.installation.controller.log
    cluster.until(lambda: "an injected bug" in log.read_text(), "the bug is in the log")
    assert cluster.installation.controller.is_running


def test_an_object_that_the_schema_would_refuse(cluster: Cluster, namespace: str) -> None:
    """The object is like one that was stored before the schema became stricter."""
    cluster.push("strict")
    name = "inferenceenergyestimates.joulecast.dev"
    loosened = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    path = "/spec/versions/0/schema/openAPIV3Schema/properties/spec"
    found = json.loads(cluster.plane.kubectl("get", "crd", name, "-o", "json").stdout)
    strict = found["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    replace(cluster, name, path, loosened)
    odd = estimate("odd", namespace, cluster.image("strict"))
    odd["spec"] = {"model": [1, 2], "workload": "many", "targetRef": 7}
    empty = estimate("empty", namespace) | {"spec": {}}
    try:
        # the API server takes a moment to serve a changed schema
        create = lambda: cluster.plane.kubectl("apply", "-f", "-", stdin=json.dumps(odd), check=False).returncode == 0  # noqa: E731
        assert eventually(create)
        cluster.plane.apply(empty)
        assert "model" in cluster.until_reason("odd", namespace, "InvalidSpec")["message"]
        assert cluster.until_reason("empty", namespace, "InvalidSpec")["status"] == "False"
    finally:
        replace(cluster, name, path, strict)
    cluster.plane.apply(estimate("sane", namespace, cluster.image("strict")))
    cluster.until_ready("sane", namespace)


async def create(cluster: Cluster, documents: list[dict[str, Any]]) -> None:
    """Create them all at once, which kubectl does not do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBECONFIG", str(cluster.plane.kubeconfig))
        client = kube.Cluster(concurrency=64)
        try:
            path = ESTIMATES.path(documents[0]["metadata"]["namespace"])
            await asyncio.gather(*(client.create(path, document) for document in documents))
        finally:
            await client.close()


def ready(cluster: Cluster, namespace: str) -> int:
    jsonpath = 'jsonpath={range .items[*]}{.status.conditions[?(@.type=="Ready")].status} {end}'
    return cluster.plane.kubectl("get", "iee", "-n", namespace, "-o", jsonpath).stdout.split().count("True")


def replace(cluster: Cluster, name: str, path: str, value: object) -> None:
    patch = json.dumps([{"op": "replace", "path": path, "value": value}])
    cluster.plane.kubectl("patch", "crd", name, "--type=json", "-p", patch)
