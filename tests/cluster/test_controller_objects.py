"""Test estimates of language models in an object store that checks signatures."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests import checkpoints
from tests.cluster.controlled import Cluster, controlled, estimate, merge
from tests.cluster.test_controller_registries import bind_pull_secrets
from tests.harness.object_store import ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY, ObjectStore

H100 = {"names": ["NVIDIA-H100-80GB-HBM3"]}
TOKENS = {"inputTokens": 512, "outputTokens": 256, "concurrency": 32}
BUCKET = "models"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A cluster whose administrator set an object store, and the store."""

    cluster: Cluster
    store: ObjectStore

    def put(self, prefix: str, config: dict[str, Any] | None = None) -> None:
        folder = self.store.bucket(BUCKET) / prefix
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in checkpoints.model_folder(config or checkpoints.CONFIG).items():
            (folder / name).write_bytes(content)

    def apply(self, name: str, namespace: str, model: dict[str, Any]) -> None:
        self.cluster.plane.apply(estimate(name, namespace, model=model, workload=TOKENS, accelerators=H100))


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stored]:
    with ExitStack() as stack:
        store = stack.enter_context(ObjectStore.start(tmp_path_factory.mktemp("object-store")))
        flags = [f"--objects-endpoint={store.url}", f"--objects-region={REGION}"]
        folder = tmp_path_factory.mktemp("objects")
        cluster = stack.enter_context(controlled(folder, insecure_registries=[store.host], flags=flags))
        yield Stored(cluster=cluster, store=store)


@pytest.fixture
def namespace(stored: Stored) -> str:
    found = stored.cluster.plane.create_namespace(f"test-{uuid4().hex[:8]}")
    bind_pull_secrets(stored.cluster, found)
    return found


def keys(name: str, namespace: str, **texts: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": texts}


@pytest.mark.parametrize(
    "spelling", [("accessKeyId", "secretAccessKey"), ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")]
)
def test_a_model_in_a_bucket_is_read_with_the_tenants_keys(
    stored: Stored, namespace: str, spelling: tuple[str, str]
) -> None:
    stored.put("team/llama")
    cluster, given = stored.cluster, dict(zip(spelling, (ACCESS_KEY_ID, SECRET_ACCESS_KEY + "\n"), strict=True))
    cluster.plane.apply(keys("own", namespace, **given))
    stored.apply("llama", namespace, {"uri": f"s3://{BUCKET}/team/llama", "secretRef": {"name": "own"}})
    status = cluster.until_ready("llama", namespace)
    assert status["image"] == f"s3://{BUCKET}/team/llama"
    assert status["modelDigest"].startswith("sha256:")
    assert status["results"][0]["joulesPerRequest"] > 0
    assert status["summary"]["model"] == f"{BUCKET}/team/llama"
    assert SECRET_ACCESS_KEY not in json.dumps(status)
    log = cluster.installation.controller.log.read_text()
    assert SECRET_ACCESS_KEY not in log
    assert "X-Amz-Signature" not in log


def test_what_some_keys_open_is_read_with_no_others(stored: Stored, namespace: str) -> None:
    stored.put("team/closed")
    cluster, model = stored.cluster, {"uri": f"s3://{BUCKET}/team/closed"}
    own = {"accessKeyId": ACCESS_KEY_ID, "secretAccessKey": SECRET_ACCESS_KEY}
    cluster.plane.apply(keys("own", namespace, **own))
    cluster.plane.apply(keys("wrong", namespace, **own | {"secretAccessKey": "not-this-one"}))
    stored.apply("known", namespace, {**model, "secretRef": {"name": "own"}})
    cluster.until_ready("known", namespace)
    stored.apply("stranger", namespace, {**model, "secretRef": {"name": "wrong"}})
    condition = cluster.until_reason("stranger", namespace, "Unauthorized")
    assert "is not given out to the keys given" in condition["message"]
    assert "not-this-one" not in json.dumps(cluster.status("stranger", namespace))
    stored.apply("anonymous", namespace, model)
    assert "secretRef" in cluster.until_reason("anonymous", namespace, "Unauthorized")["message"]
    assert "results" not in cluster.status("anonymous", namespace)


def test_what_the_bucket_gives_to_anybody_needs_no_secret(stored: Stored, namespace: str) -> None:
    stored.put("public/llama")
    stored.store.open(BUCKET, "public/")
    stored.apply("public", namespace, {"uri": f"s3://{BUCKET}/public/llama"})
    assert stored.cluster.until_ready("public", namespace)["results"]


def test_a_secret_without_keys_says_how_to_make_one(stored: Stored, namespace: str) -> None:
    stored.cluster.plane.apply(keys("token", namespace, token="hf_own"))
    stored.apply("llama", namespace, {"uri": f"s3://{BUCKET}/team/llama", "secretRef": {"name": "token"}})
    message = stored.cluster.until_reason("llama", namespace, "InvalidModelSecret")["message"]
    assert "--from-literal=accessKeyId=" in message


def test_another_model_at_the_same_address_is_another_digest(stored: Stored, namespace: str) -> None:
    cluster = stored.cluster
    stored.put("team/moving")
    cluster.plane.apply(keys("own", namespace, accessKeyId=ACCESS_KEY_ID, secretAccessKey=SECRET_ACCESS_KEY))
    model = {"uri": f"s3://{BUCKET}/team", "path": "moving", "secretRef": {"name": "own"}}
    stored.apply("moving", namespace, model)
    first = cluster.until_ready("moving", namespace)["modelDigest"]
    stored.put("team/moving", {**checkpoints.CONFIG, "intermediate_size": 256})
    merge(cluster.plane, "iee", "moving", namespace, {"metadata": {"annotations": {"joulecast.dev/refresh": "1"}}})
    moved = lambda: cluster.status("moving", namespace)["modelDigest"] != first  # noqa: E731
    cluster.until(moved, "the present objects are forecast")


def test_what_is_not_in_the_bucket_is_told(stored: Stored, namespace: str) -> None:
    stored.store.bucket(BUCKET)
    cluster = stored.cluster
    cluster.plane.apply(keys("own", namespace, accessKeyId=ACCESS_KEY_ID, secretAccessKey=SECRET_ACCESS_KEY))
    stored.apply("absent", namespace, {"uri": f"s3://{BUCKET}/team/none", "secretRef": {"name": "own"}})
    assert "team/none" in cluster.until_reason("absent", namespace, "ModelNotFound")["message"]


def test_without_an_object_store_of_the_administrator_none_is_asked(tmp_path: Path) -> None:
    with controlled(tmp_path) as cluster:
        namespace = cluster.plane.create_namespace("off")
        cluster.plane.apply(estimate("llama", namespace, model={"uri": "s3://models/llama"}, workload=TOKENS))
        condition = cluster.until_reason("llama", namespace, "SourceDisabled")
        assert condition["status"] == "False"
        assert "no object store may be used" in condition["message"]
        assert "objects.endpoint" in condition["message"]
