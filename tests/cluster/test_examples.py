"""Test that a real API server takes the manifests in examples/, and that those of language models are forecast."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml

from tests import checkpoints
from tests.cluster.controlled import Cluster, controlled
from tests.cluster.custom_kinds import DEFINITIONS
from tests.cluster.test_controller_registries import bind_pull_secrets
from tests.harness import hub as hubs
from tests.harness.environment import ROOT
from tests.harness.object_store import ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY, ObjectStore
from tests.unit.joulecast_operator.samples import offers

EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))
HUB_MODEL = "NousResearch/Meta-Llama-3-8B-Instruct"
LLAMA_3_8B = {
    **checkpoints.CONFIG, "hidden_size": 4096, "intermediate_size": 14336, "max_position_embeddings": 8192,
    "num_attention_heads": 32, "num_hidden_layers": 32, "num_key_value_heads": 8, "vocab_size": 128256,
}  # fmt: skip


def hub_files() -> dict[str, hubs.Content]:
    """The files of the hub's model: sixteen gigabytes of which only the header is not zero."""
    head, size = checkpoints.safetensors_header(checkpoints.tensors(LLAMA_3_8B))
    return {"config.json": json.dumps(LLAMA_3_8B).encode(), "model.safetensors": hubs.Sparse(head=head, size=size)}


def fill(folder: Path) -> None:
    folder.mkdir()
    for name, content in checkpoints.model_folder().items():
        (folder / name).write_bytes(content)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with ExitStack() as stack:
        hub = stack.enter_context(hubs.running())
        hub.add(HUB_MODEL, hub_files())
        store = stack.enter_context(ObjectStore.start(tmp_path_factory.mktemp("object-store")))
        fill(store.bucket("models") / "chat-135m")
        hosts = [hub.server.host, hub.storage.host, store.host]
        flags = [
            "--kinds-seconds=1",
            f"--hub-endpoint={hub.url}",
            f"--objects-endpoint={store.url}",
            f"--objects-region={REGION}",
        ]
        folder = tmp_path_factory.mktemp("examples")
        found = stack.enter_context(controlled(folder, insecure_registries=hosts, flags=flags))
        files = {f"models/{name}": content for name, content in checkpoints.model_folder().items()}
        found.push_files(files, "models/chat", "135m")
        found.push("models/classifier")
        found.plane.create_namespace("joulecast")
        found.plane.apply(*documents(found, "node"), DEFINITIONS["InferenceService"])
        definition = f"crd/{DEFINITIONS['InferenceService']['metadata']['name']}"
        found.plane.kubectl("wait", "--for=condition=Established", definition, "--timeout=60s")
        yield found


@pytest.fixture
def namespace(cluster: Cluster) -> str:
    return cluster.plane.create_namespace(f"test-{uuid4().hex[:8]}")


def documents(cluster: Cluster, name: str) -> list[dict[str, Any]]:
    """The manifests of an example, with the registry of the test in them."""
    text = (ROOT / "examples" / f"{name}.yaml").read_text().replace("REGISTRY", cluster.registry.host)
    text = text.replace("SECRET-ACCESS-KEY", SECRET_ACCESS_KEY).replace("ACCESS-KEY-ID", ACCESS_KEY_ID)
    return list(yaml.safe_load_all(text))


def applied(cluster: Cluster, name: str, namespace: str) -> None:
    """Apply an example as a user would who works in ``namespace``."""
    for document in documents(cluster, name):
        document["metadata"]["namespace"] = namespace
        cluster.plane.apply(document)


def result(cluster: Cluster, name: str, namespace: str) -> dict[str, Any]:
    found: dict[str, Any] = cluster.until_ready(name, namespace)["results"][0]
    return found


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_is_taken_without_a_complaint(cluster: Cluster, path: Path) -> None:
    text = path.read_text().replace("REGISTRY", cluster.registry.host)
    done = cluster.plane.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin=text)
    assert done.stdout.count("(server dry run)") == len(list(yaml.safe_load_all(text)))
    complaints = [line for line in done.stderr.splitlines() if "no forecast" not in line]
    assert complaints == []


def test_a_model_of_a_hub_is_forecast_by_request_and_by_prefill(cluster: Cluster, namespace: str) -> None:
    applied(cluster, "language-model", namespace)
    request, prefill = (result(cluster, name, namespace) for name in ("chat-8b", "chat-8b-prefill"))
    assert (request["phase"], request["concurrency"], request["outputTokens"]) == ("request", 32, 256)
    assert request["joulesPerOutputToken"] > 0
    assert (prefill["phase"], prefill["cachedTokens"]) == ("prefill", 6144)
    assert "joulesPerOutputToken" not in prefill
    assert cluster.status("chat-8b", namespace)["totals"]["params"] == 8_030_261_248


def test_a_model_in_an_image_is_forecast(cluster: Cluster, namespace: str) -> None:
    applied(cluster, "language-model-image", namespace)
    assert result(cluster, "chat-image", namespace)["joulesPerRequest"] > 0


def test_a_card_under_a_cap_is_forecast_so_and_the_result_says_it(cluster: Cluster, namespace: str) -> None:
    applied(cluster, "estimate-capped", namespace)
    row = result(cluster, "classifier-capped", namespace)
    assert (row["powerLimitWatts"], row["averagePowerWatts"] <= 200) == (200, True)
    assert cluster.status("classifier-capped", namespace)["summary"]["load"] == "batch of 32, at 200 W"
    beyond = [{"op": "replace", "path": "/spec/workload/powerLimitWatts", "value": 5000}]
    asked = ("iee", "classifier-capped", "-n", namespace, "--type=json")
    cluster.plane.kubectl("patch", *asked, "-p", json.dumps(beyond))
    told = cluster.until_reason("classifier-capped", namespace, "PowerLimitOutOfRange")
    assert "give one above 0 and up to that" in told["message"]


def test_a_model_in_a_bucket_is_forecast(cluster: Cluster, namespace: str) -> None:
    bind_pull_secrets(cluster, namespace)
    applied(cluster, "language-model-bucket", namespace)
    assert result(cluster, "chat-bucket", namespace)["joulesPerRequest"] > 0


def test_a_published_configuration_is_forecast_on_the_cards_that_hold_it(cluster: Cluster, namespace: str) -> None:
    applied(cluster, "language-model-configuration", namespace)
    row = result(cluster, "llama-3-70b", namespace)
    assert (row["parallel"], row["joulesPerRequest"] > 0) == (4, True)
    assert cluster.status("llama-3-70b", namespace)["totals"]["params"] == 70_553_706_496


def test_a_deployment_that_runs_vllm_is_understood_and_annotated(cluster: Cluster, namespace: str) -> None:
    applied(cluster, "deployment-vllm", namespace)
    assert result(cluster, "chat", namespace)["concurrency"] == 32
    understood = cluster.status("chat", namespace)["understood"]
    assert (understood["engine"], understood["container"]) == ("vLLM", "server")
    noted = lambda: "joules-per-output-token" in cluster.annotations("chat", namespace)  # noqa: E731
    cluster.until(noted, "the Deployment has the joules of a token")


def test_an_inference_service_is_forecast_and_not_written(cluster: Cluster, namespace: str) -> None:
    applied(cluster, "inference-service", namespace)
    assert result(cluster, "chat", namespace)["accelerator"] == "NVIDIA-H100-80GB-HBM3"
    target = cluster.status("chat", namespace)["target"]
    assert (target["kind"], target["pods"], target["replicas"]) == ("InferenceService", 2, 2)
    priced = result(cluster, "chat", namespace)
    of_one = 0.4 * priced["averagePowerWatts"] + 0.6 * priced["idlePowerWatts"]
    assert target["averagePowerWatts"] == pytest.approx(2 * of_one, rel=1e-4)
    service = cluster.plane.get("inferenceservice", "chat", namespace)
    assert service is not None
    assert not [key for key in service["metadata"].get("annotations", {}) if key.startswith("joulecast.dev/")]


def test_a_deployment_that_claims_a_card_is_forecast_for_it(cluster: Cluster, namespace: str) -> None:
    cluster.plane.apply(offers.device_class(), offers.resource_slice("gpu-node", "NVIDIA H200"))
    applied(cluster, "deployment-claim", namespace)
    assert result(cluster, "classifier-claim", namespace)["accelerator"] == "NVIDIA-H200"
    found = cluster.status("classifier-claim", namespace)["target"]["accelerators"]
    assert found == {"source": "claim", "products": ["NVIDIA-H200"]}


def test_a_deployment_that_names_a_model_of_the_hub_gets_an_estimate(cluster: Cluster, namespace: str) -> None:
    applied(cluster, "deployment-vllm-annotated", namespace)
    ready = lambda: cluster.annotations("chat-8b", namespace).get("state") == "Ready"  # noqa: E731
    cluster.until(ready, "the Deployment has a forecast")
    notes = cluster.annotations("chat-8b", namespace)
    assert notes["accelerator"] == "NVIDIA-H100-80GB-HBM3"
    assert (notes["estimated-tensor-parallel"], notes["estimated-concurrency"]) == ("2", "32")
    assert float(notes["joules-per-request"]) > 0
