"""Test estimates of language models: of a hub, an image, a ConfigMap and a Deployment, and hubs that misbehave."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests import checkpoints
from tests.cluster.controlled import Cluster, controlled, estimate, merge
from tests.cluster.release import deployment
from tests.cluster.test_controller_registries import bind_pull_secrets
from tests.harness import hub as hubs
from tests.harness.installation import NAMESPACE

H100 = {"names": ["NVIDIA-H100-80GB-HBM3"]}
TOKENS = {"inputTokens": 512, "outputTokens": 256, "concurrency": 32}
LLAMA_70B = {
    **checkpoints.CONFIG, "hidden_size": 8192, "intermediate_size": 28672, "num_attention_heads": 64,
    "num_hidden_layers": 80, "num_key_value_heads": 8, "vocab_size": 128256, "max_position_embeddings": 8192,
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A cluster whose administrator set a hub, and the hub."""

    cluster: Cluster
    hub: hubs.Hub

    def apply(self, name: str, namespace: str, model: dict[str, Any], **spec: Any) -> None:
        workload = spec.pop("workload", TOKENS)
        self.cluster.plane.apply(estimate(name, namespace, model=model, workload=workload, accelerators=H100, **spec))

    def special(self, answer: hubs.Special) -> None:
        self.hub.server.special = answer


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with ExitStack() as stack:
        hub = stack.enter_context(hubs.running())
        hosts, flags = [hub.server.host, hub.storage.host], [f"--hub-endpoint={hub.url}"]
        folder = tmp_path_factory.mktemp("hub")
        cluster = stack.enter_context(controlled(folder, insecure_registries=hosts, flags=flags))
        yield Served(cluster=cluster, hub=hub)


@pytest.fixture
def served(running: Served) -> Iterator[Served]:
    yield running
    running.special(lambda request: None)


@pytest.fixture
def namespace(running: Served) -> str:
    return running.cluster.plane.create_namespace(f"test-{uuid4().hex[:8]}")


def token(namespace: str, text: str = hubs.TOKEN) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "hub", "namespace": namespace},
        "stringData": {"token": text + "\n"},
    }


def config_map(namespace: str, config: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "llama", "namespace": namespace},
        "data": {"config.json": json.dumps(config)},
    }


def bind_configurations(cluster: Cluster, namespace: str) -> None:
    """Let joulecast read the ConfigMaps of a namespace, like its admin."""
    role = ("--clusterrole=joulecast-model-configurations", f"--serviceaccount={NAMESPACE}:joulecast-controller")
    cluster.plane.kubectl("create", "rolebinding", "configurations", *role, "-n", namespace)


def test_a_model_of_the_hub(served: Served, namespace: str) -> None:
    commit = served.hub.add("org/open", checkpoints.model_folder())
    served.apply("open", namespace, {"uri": "hf://org/open"})
    status = served.cluster.until_ready("open", namespace)
    assert (status["image"], status["modelDigest"]) == ("hf://org/open", f"git:{commit}")
    (row,) = status["results"]
    asked = {"phase": "request", "runtime": "vllm", "inputTokens": 512, "outputTokens": 256, "concurrency": 32}
    assert asked.items() <= row.items()
    assert 0 < row["joulesPerRequestLower"] < row["joulesPerRequest"] < row["joulesPerRequestUpper"]
    assert status["summary"]["load"] == "512 → 256 tokens, 32 at once"
    shown = served.cluster.plane.kubectl("get", "iee", "open", "-n", namespace).stdout
    assert "J/request" in shown
    assert "512 → 256 tokens, 32 at once" in shown


def test_a_gated_model_needs_the_tenants_own_token(served: Served, namespace: str) -> None:
    cluster = served.cluster
    served.hub.add("org/gated", checkpoints.model_folder(), gated=True)
    model = {"uri": "hf://org/gated"}
    served.apply("anonymous", namespace, model)
    assert "licence" in cluster.until_reason("anonymous", namespace, "Unauthorized")["message"]
    known = model | {"secretRef": {"name": "hub"}}
    served.apply("known", namespace, known)
    assert "ClusterRole" in cluster.until_reason("known", namespace, "ModelSecretForbidden")["message"]
    cluster.plane.apply(token(namespace))
    bind_pull_secrets(cluster, namespace)
    cluster.until_ready("known", namespace)
    assert cluster.condition("anonymous", namespace)["reason"] == "Unauthorized", "what one may see, the other may not"
    assert hubs.TOKEN not in json.dumps(cluster.status("known", namespace))
    assert hubs.TOKEN not in cluster.installation.controller.log.read_text()
    assert not [request for request in served.hub.storage.requests if "authorization" in request.headers]


@pytest.mark.parametrize("name", ["missing", "org/absent"])
def test_a_model_that_is_not_there(served: Served, namespace: str, name: str) -> None:
    served.apply("absent", namespace, {"uri": f"hf://{name}"})
    reason = "InvalidModelReference" if name == "missing" else "Unauthorized"
    assert name in served.cluster.until_reason("absent", namespace, reason)["message"]


def test_another_revision_is_another_model(served: Served, namespace: str) -> None:
    first = served.hub.add("org/moving", checkpoints.model_folder())
    served.apply("moving", namespace, {"uri": "hf://org/moving"})
    assert served.cluster.until_ready("moving", namespace)["modelDigest"] == f"git:{first}"
    wider = {**checkpoints.CONFIG, "intermediate_size": 256}
    second = served.hub.repositories["org/moving"].commit(checkpoints.model_folder(wider))
    merge(
        served.cluster.plane, "iee", "moving", namespace, {"metadata": {"annotations": {"joulecast.dev/refresh": "1"}}}
    )
    moved = lambda: served.cluster.status("moving", namespace)["modelDigest"] == f"git:{second}"  # noqa: E731
    served.cluster.until(moved, "the present commit is forecast")


def metadata_address(request: hubs.Request) -> hubs.Answer | None:
    return hubs.Answer(302, {"Location": "http://169.254.169.254/latest"}) if "/resolve/" in request.path else None


def another_commit(request: hubs.Request) -> hubs.Answer | None:
    content = json.dumps(checkpoints.CONFIG).encode()
    return hubs.Answer(200, {"X-Repo-Commit": "f" * 40}, content) if "/resolve/" in request.path else None


def endless_body(request: hubs.Request) -> hubs.Answer | None:
    if "/api/models/" not in request.path:
        return None
    return hubs.Answer(200, {"Content-Type": "application/json"}, (b" " * 65536 for _ in iter(int, 1)))


@pytest.mark.parametrize(
    ("special", "reason", "says"),
    [
        (metadata_address, "SourceUnavailable", "cannot be used"),
        (another_commit, "SourceMisbehaved", "another commit"),
        (endless_body, "SourceMisbehaved", "more than was requested"),
    ],
)
def test_a_hostile_hub_is_reported(
    served: Served, namespace: str, special: hubs.Special, reason: str, says: str
) -> None:
    name = special.__name__.replace("_", "-")  # type: ignore[attr-defined]
    served.hub.add(f"org/{name}", checkpoints.model_folder(count=1))
    served.special(special)
    served.apply("hostile", namespace, {"uri": f"hf://org/{name}"})
    condition = served.cluster.until_reason("hostile", namespace, reason)
    assert says in condition["message"]
    assert "results" not in served.cluster.status("hostile", namespace)


def test_a_header_that_claims_ten_gigabytes_is_not_read(served: Served, namespace: str) -> None:
    huge = hubs.Sparse(head=struct.pack("<Q", 10 * 10**9), size=20 * 10**9)
    served.hub.add("org/huge", {**checkpoints.model_folder(count=1), "model.safetensors": huge})
    sent = served.hub.bytes_sent
    served.apply("huge", namespace, {"uri": "hf://org/huge"})
    condition = served.cluster.until_reason("huge", namespace, "InvalidModelFormat")
    assert "model.safetensors" in condition["message"]
    assert served.hub.bytes_sent - sent < 2**20


def test_a_model_in_an_image(served: Served, namespace: str) -> None:
    files = {f"models/{name}": content for name, content in checkpoints.model_folder().items()}
    digest = served.cluster.push_files(files, "team/modelcar")
    served.apply("modelcar", namespace, {"image": served.cluster.image("team/modelcar")})
    status = served.cluster.until_ready("modelcar", namespace)
    assert (status["modelDigest"], status["modelPath"]) == (digest, "models")
    assert status["results"][0]["phase"] == "request"


def test_a_configuration_of_seventy_billion_parameters_in_a_config_map(served: Served, namespace: str) -> None:
    cluster = served.cluster
    cluster.plane.apply(config_map(namespace, LLAMA_70B))
    model = {"configMapRef": {"name": "llama"}}
    served.apply("llama", namespace, model, workload=TOKENS | {"tensorParallel": 4})
    assert "ClusterRole" in cluster.until_reason("llama", namespace, "ConfigMapForbidden")["message"]
    bind_configurations(cluster, namespace)
    status = cluster.until_ready("llama", namespace)
    assert status["totals"]["params"] == 70_553_706_496
    assert (status["image"], status["results"][0]["parallel"]) == ("configmap://llama/config.json", 4)
    cluster.plane.apply(config_map(namespace, LLAMA_70B | {"num_hidden_layers": 40}))
    changed = lambda: cluster.status("llama", namespace)["totals"]["params"] < 70_000_000_000  # noqa: E731
    cluster.until(changed, "the changed configuration is forecast")


def test_what_does_not_fit_names_the_smallest_degree_that_does(served: Served, namespace: str) -> None:
    served.cluster.plane.apply(config_map(namespace, LLAMA_70B))
    bind_configurations(served.cluster, namespace)
    served.apply("one", namespace, {"configMapRef": {"name": "llama"}})
    condition = served.cluster.until_reason("one", namespace, "DoesNotFit")
    assert condition["status"] == "False"
    assert "tensor-parallel degree of 4" in condition["message"]


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({**checkpoints.CONFIG, "model_type": "house-llama"}, "UnknownArchitecture"),
        ({**checkpoints.CONFIG, "quantization_config": {"quant_method": "house"}}, "UnsupportedQuantisation"),
    ],
)
def test_what_is_not_understood_is_refused_by_name(
    served: Served, namespace: str, config: dict[str, Any], reason: str
) -> None:
    served.cluster.plane.apply(config_map(namespace, config))
    bind_configurations(served.cluster, namespace)
    served.apply("house", namespace, {"configMapRef": {"name": "llama"}})
    assert "house" in served.cluster.until_reason("house", namespace, reason)["message"]
    assert served.cluster.condition("house", namespace, "Profiled")["reason"] == reason


def serving(name: str, namespace: str, volume: str, *words: str) -> dict[str, Any]:
    target = deployment(name, namespace, image="registry.invalid/vllm/vllm-openai:v0.11.0")
    pod = target["spec"]["template"]["spec"]
    pod["containers"][0] |= {
        "command": ["vllm", "serve", "/models"],
        "args": list(words),
        "volumeMounts": [{"name": "model", "mountPath": "/models", "subPath": "models"}],
    }
    pod["volumes"] = [{"name": "model", "image": {"reference": volume}}]
    return target


def test_a_deployment_that_serves_a_model_of_an_image_volume(served: Served, namespace: str) -> None:
    cluster = served.cluster
    files = {f"models/{name}": content for name, content in checkpoints.model_folder().items()}
    cluster.push_files(files, "team/volume")
    image = cluster.image("team/volume")
    words = ("--tensor-parallel-size=2", "--max-num-seqs=16", "--kv-cache-dtype=fp8", "--enforce-eager")
    cluster.plane.apply(serving("chat", namespace, image, *words))
    cluster.plane.apply(estimate("chat", namespace, targetRef={"name": "chat"}, workload=TOKENS, accelerators=H100))
    status = cluster.until_ready("chat", namespace)
    assert status["image"] == image
    (row,) = status["results"]
    assert (row["runtime"], row["parallel"], row["concurrency"]) == ("vllm", 2, 16)
    assert row["cachePrecision"] == "fp8"
    understood = status["understood"]
    assert understood["engine"] == "vLLM"
    assert understood["model"] == f"{image}//models"
    assert set(words[:3]) == {
        f"{option}={value}" for option, value in zip(understood["used"][1:], (2, 16, "fp8"), strict=True)
    }
    assert understood["ignored"] == ["--enforce-eager"]


def test_a_deployment_whose_model_cannot_be_known_says_why(served: Served, namespace: str) -> None:
    target = serving("chat", namespace, "registry.invalid/none:1")
    target["spec"]["template"]["spec"]["containers"][0]["command"] = ["vllm", "serve", "$(MODEL)"]
    served.cluster.plane.apply(target)
    served.cluster.plane.apply(estimate("chat", namespace, targetRef={"name": "chat"}, workload=TOKENS))
    assert "does not state" in served.cluster.until_reason("chat", namespace, "UnknownModel")["message"]


def test_without_a_hub_of_the_administrator_none_is_asked(tmp_path: Path) -> None:
    with hubs.running() as hub, controlled(tmp_path, insecure_registries=[hub.server.host]) as cluster:
        hub.add("org/open", checkpoints.model_folder())
        namespace = cluster.plane.create_namespace("off")
        cluster.plane.apply(estimate("open", namespace, model={"uri": "hf://org/open"}, workload=TOKENS))
        condition = cluster.until_reason("open", namespace, "SourceDisabled")
        assert condition["status"] == "False"
        assert "no hub may be used" in condition["message"]
        assert not hub.server.requests
