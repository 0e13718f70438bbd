"""Test tenants with false or slow registries: nobody gets another one's model, and deleted estimates are not read."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import onnx
import pytest

from tests import images
from tests.cluster.controlled import Cluster, controlled, estimate, metrics, silent_registry
from tests.cluster.test_controller_registries import bind_pull_secrets, pull_secret
from tests.harness.registry import Registry
from tests.small_models import CLASSIFIER_MACS
from tests.waiting import PATIENCE_SECONDS

WEIGHTS = b"\0" * 4 * 2**20
"""So large that the layer is not read to its end, because then its digest would be checked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenants:
    """A cluster with the registries of several tenants.

    ``private`` requires a password; ``lying`` serves other bytes than its digests say; answers of ``slow`` never end;
    ``silent`` are hosts that never answer.
    """

    cluster: Cluster
    private: Registry
    lying: Registry
    slow: socket.socket
    silent: tuple[str, ...]

    def model(self, name: str, *, side: int = 32) -> bytes:
        """Return the small classifier for ``side`` × ``side`` inputs, with layers named after ``name``."""
        model = onnx.load_from_string(self.cluster.model)
        for node in model.graph.node:
            node.name = f"/{name}{node.name}"
        for dimension in model.graph.input[0].type.tensor_type.shape.dim[2:]:
            dimension.dim_value = side
        return model.SerializeToString()

    def push(self, registry: Registry, model: bytes, salt: str) -> images.Image:
        """Push an image as ``team/model:SALT``; the same salt and model give the same image in every registry."""
        image = images.build([layer_of(model), {"etc/salt": salt.encode()}])
        folder = self.cluster.installation.directory / "layouts" / f"{registry.host}-{image.digest[7:]}"
        registry.push(images.write_layout(image, folder), "team/model", salt)
        return image


@pytest.fixture(scope="module")
def tenants(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tenants]:
    with ExitStack() as stack:
        private = stack.enter_context(Registry.start(tmp_path_factory.mktemp("private"), authentication="basic"))
        lying = stack.enter_context(Registry.start(tmp_path_factory.mktemp("lying")))
        slow = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        silent = tuple(stack.enter_context(silent_registry()) for _ in range(6))
        hosts = [private.host, lying.host, host_of(slow), *silent]
        folder, flags = tmp_path_factory.mktemp("tenants"), ["--fetch-seconds=600"]
        cluster = stack.enter_context(controlled(folder, insecure_registries=hosts, flags=flags))
        yield Tenants(cluster=cluster, private=private, lying=lying, slow=slow, silent=silent)


@pytest.mark.parametrize("liar_first", [False, True], ids=["liar second", "liar first"])
@pytest.mark.parametrize("claims_manifest", [False, True], ids=["claims the layer", "claims the manifest"])
def test_a_lying_registry_reads_nothing_and_poisons_nothing(
    tenants: Tenants, liar_first: bool, claims_manifest: bool
) -> None:
    own, forged = f"own-{uuid4().hex[:8]}", f"fake-{uuid4().hex[:7]}"
    model = tenants.model(own)
    victim = tenants.push(tenants.private, model, "1" + own)
    liar = tenants.push(tenants.lying, model, ("1" if claims_manifest else "2") + own)
    assert (victim.digest == liar.digest) is claims_manifest
    forge(tenants.lying, victim, tenants.model(forged, side=16))

    asking = [
        (f"{tenants.private.host}/team/model:1{own}", own, CLASSIFIER_MACS, True),
        (f"{tenants.lying.host}/team/model@{liar.digest}", forged, CLASSIFIER_MACS - 8 * 27 * (32**2 - 16**2), False),
    ]
    for image, name, macs, has_secret in asking[::-1] if liar_first else asking:
        status = forecast_of(tenants, image, has_secret=has_secret)
        assert status["totals"]["macs"] == macs
        assert {layer["name"].split("/")[1] for layer in status["topLayers"]} == {name}


def test_the_same_image_is_read_once_from_its_registry(tenants: Tenants) -> None:
    image = tenants.push(tenants.private, tenants.model("once"), "once")
    host, registry = tenants.private.host, tenants.private
    first = forecast_of(tenants, f"{host}/team/model:once", has_secret=True)
    reads = blob_reads(registry)
    again = forecast_of(tenants, f"{host}/team/model@{image.digest}", has_secret=True)
    assert again["results"] == first["results"]
    assert blob_reads(registry) == reads
    tenants.cluster.installation.controller.restart()
    forecast_of(tenants, f"{host}/team/model:once", has_secret=True)
    assert blob_reads(registry) == reads, "known after a restart"


def test_another_tenant_without_the_password_gets_nothing_of_what_is_known(tenants: Tenants) -> None:
    tenants.push(tenants.private, tenants.model("known"), "known")
    image = f"{tenants.private.host}/team/model:known"
    forecast_of(tenants, image, has_secret=True)
    namespace = tenants.cluster.plane.create_namespace(f"test-{uuid4().hex[:8]}")
    tenants.cluster.plane.apply(estimate("stranger", namespace, image))
    tenants.cluster.until_reason("stranger", namespace, "Unauthorized")
    assert "topLayers" not in tenants.cluster.status("stranger", namespace)


def test_a_deleted_estimate_ends_its_fetch(tenants: Tenants) -> None:
    plane = tenants.cluster.plane
    namespace = plane.create_namespace(f"test-{uuid4().hex[:8]}")
    plane.apply(estimate("slow", namespace, f"{host_of(tenants.slow)}/team/model:1"))
    tenants.slow.settimeout(PATIENCE_SECONDS)
    connection, _ = tenants.slow.accept()
    with connection:
        connection.sendall(b"HTTP/1.1 200 OK\r\nServer: ")
        reason = lambda: tenants.cluster.condition("slow", namespace).get("reason")  # noqa: E731
        tenants.cluster.until(lambda: trickles(connection) and reason() == "Estimating", "is being fetched")
        plane.kubectl("delete", "iee", "slow", "-n", namespace)
        tenants.cluster.until(lambda: not trickles(connection), "the fetcher is gone, long before its ten minutes")
    assert "never retrieved" not in tenants.cluster.installation.controller.log.read_text()


def test_a_tenant_on_silent_hosts_holds_up_nobody_else(tenants: Tenants) -> None:
    cluster, plane = tenants.cluster, tenants.cluster.plane
    namespace, other = (plane.create_namespace(f"test-{uuid4().hex[:8]}") for _ in range(2))
    hosts = [tenants.silent[number % len(tenants.silent)] for number in range(60)]
    plane.apply(*(estimate(f"slow-{n}", namespace, f"{host}/team/model:{n}") for n, host in enumerate(hosts)))
    cluster.until(lambda: reasons(cluster, namespace).count("Queued") >= 30, "most of them wait for their turn")
    assert re.search(
        r"at most \d+ jobs of this namespace and \d+ of others are before it in the queue", said(cluster, namespace)
    )

    cluster.push("lively", salt=namespace)
    plane.apply(estimate("lively", other, cluster.image("lively")))
    cluster.until_ready("lively", other)
    assert "Queued" in reasons(cluster, namespace), "they are far from done"
    assert "Estimated" not in reasons(cluster, namespace)
    assert jobs(cluster, "queued") > 0

    plane.kubectl("delete", "iee", "--all", "-n", namespace)
    cluster.until(lambda: jobs(cluster, "queued") == jobs(cluster, "running") == 0, "nothing is fetched for them")


def reasons(cluster: Cluster, namespace: str) -> list[str]:
    """Return the reason of the condition Ready of each estimate that has one."""
    return ready_field(cluster, namespace, "reason").split("\n")[:-1]


def said(cluster: Cluster, namespace: str) -> str:
    return ready_field(cluster, namespace, "message")


def ready_field(cluster: Cluster, namespace: str, field: str) -> str:
    jsonpath = f'jsonpath={{range .items[*]}}{{.status.conditions[?(@.type=="Ready")].{field}}}{{"\\n"}}{{end}}'
    return cluster.plane.kubectl("get", "iee", "-n", namespace, "-o", jsonpath).stdout


def jobs(cluster: Cluster, state: str) -> float:
    """Return from the metrics how many jobs of fetchers are "queued" or "running"."""
    page = metrics(cluster.installation.controller_url)
    (value,) = re.findall(rf'^joulecast_{state}_jobs{{pool="fetch"}} (\S+)$', page, re.MULTILINE)
    return float(value)


def forecast_of(tenants: Tenants, image: str, *, has_secret: bool) -> dict[str, Any]:
    """Create an estimate of ``image`` in a new namespace, and return its status."""
    cluster = tenants.cluster
    namespace = cluster.plane.create_namespace(f"test-{uuid4().hex[:8]}")
    spec: dict[str, Any] = {}
    if has_secret:
        bind_pull_secrets(cluster, namespace)
        cluster.plane.apply(pull_secret(namespace, tenants.private))
        spec["imagePullSecrets"] = [{"name": "pull"}]
    cluster.plane.apply(estimate("model", namespace, image, **spec))
    return cluster.until_ready("model", namespace)


def trickles(connection: socket.socket) -> bool:
    """Send one more byte of an answer, so that the reader does not give up; tells whether there is a reader."""
    try:
        connection.sendall(b"x")
    except OSError:
        return False
    return True


def host_of(server: socket.socket) -> str:
    return f"127.0.0.1:{server.getsockname()[1]}"


def layer_of(model: bytes) -> dict[str, bytes]:
    return {"models/weights.bin": WEIGHTS, "models/classifier.onnx": model}


def forge(registry: Registry, image: images.Image, model: bytes) -> None:
    """Make ``registry`` serve a layer with ``model`` under the digest of the image's own layer, which has its size."""
    forged = images.tar_of(layer_of(model))
    digest = json.loads(image.manifest)["layers"][0]["digest"]
    path = blob_file(registry, digest)
    assert len(forged) == len(image.blobs[digest]) == path.stat().st_size, "tars end at whole records"
    path.write_bytes(forged)


def blob_file(registry: Registry, digest: str) -> Path:
    """Return where distribution's file system driver stores a blob."""
    value = digest.removeprefix("sha256:")
    return registry.directory / "data/docker/registry/v2/blobs/sha256" / value[:2] / value / "data"


def blob_reads(registry: Registry) -> int:
    return sum("GET /v2/" in line and "/blobs/" in line for line in registry.process.log.read_text().splitlines())
