"""Test Deployments that serve a language model: what they are told at admission, their annotations and estimates."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest

from tests import checkpoints
from tests.cluster.controlled import Cluster, controlled, estimate
from tests.cluster.release import deployment, text
from tests.harness import hub as hubs

H100 = "NVIDIA-H100-80GB-HBM3"
MODEL = "org/llama"
TOKENS = {"inputTokens": 512, "outputTokens": 256, "concurrency": 32}


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A cluster whose hub holds a language model."""

    cluster: Cluster
    commit: str

    def deploy(self, name: str, namespace: str, *words: str, **annotations: str) -> str:
        """Apply a Deployment that runs ``vllm serve`` and return what kubectl prints about it."""
        notes = {f"joulecast.dev/{key.replace('_', '-')}": value for key, value in annotations.items()}
        target = deployment(name, namespace, image="registry.invalid/vllm/vllm-openai:v0.11.0", annotations=notes)
        target["spec"]["template"]["spec"]["containers"][0]["command"] = ["vllm", "serve", MODEL, *words]
        return self.cluster.plane.kubectl("apply", "-f", "-", stdin=text(target)).stderr

    def estimate(self, name: str, namespace: str, **spec: Any) -> None:
        body = {"workload": TOKENS, "accelerators": {"names": [H100]}} | spec
        self.cluster.plane.apply(estimate(name, namespace, **body))

    def until_annotated(self, name: str, namespace: str, **expected: str) -> dict[str, str]:
        """Wait until the Deployment has these annotations, and return all of joulecast's."""
        wanted = {key.replace("_", "-"): value for key, value in expected.items()}
        has = lambda: wanted.items() <= self.cluster.annotations(name, namespace).items()  # noqa: E731
        self.cluster.until(has, f"{name} has {wanted}")
        return self.cluster.annotations(name, namespace)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with ExitStack() as stack:
        hub = stack.enter_context(hubs.running())
        commit = hub.add(MODEL, checkpoints.model_folder())
        hosts, flags = [hub.server.host, hub.storage.host], [f"--hub-endpoint={hub.url}"]
        folder = tmp_path_factory.mktemp("workloads")
        cluster = stack.enter_context(controlled(folder, insecure_registries=hosts, flags=flags))
        yield Served(cluster=cluster, commit=commit)


@pytest.fixture
def namespace(served: Served) -> str:
    return served.cluster.plane.create_namespace(f"test-{uuid4().hex[:8]}")


def test_a_deployment_that_an_estimate_targets_is_annotated_and_warned(served: Served, namespace: str) -> None:
    words = ("--tensor-parallel-size", "2", "--max-num-seqs=64", "--enforce-eager")
    served.deploy("chat", namespace, *words)
    served.estimate("chat", namespace, targetRef={"name": "chat"})
    status = served.cluster.until_ready("chat", namespace)
    understood = status["understood"]
    assert (understood["engine"], understood["container"], understood["model"]) == ("vLLM", "main", f"hf://{MODEL}")
    assert set(understood["used"]) == {MODEL, "--tensor-parallel-size", "--max-num-seqs"}
    assert understood["ignored"] == ["--enforce-eager"]
    notes = served.until_annotated("chat", namespace, state="Ready")
    assert float(notes["joules-per-request-lower"]) < float(notes["joules-per-request"])
    assert float(notes["joules-per-output-token"]) < float(notes["joules-per-request"])
    written = {key: value for key, value in notes.items() if key.startswith("estimated-") and key != "estimated-at"}
    assert written.pop("estimated-precision")
    assert written == {
        "estimated-by": "chat", "estimated-runtime": "vllm", "estimated-phase": "request",
        "estimated-concurrency": "32", "estimated-input-tokens": "512", "estimated-output-tokens": "256",
        "estimated-tensor-parallel": "2",
    }  # fmt: skip
    assert notes["model-digest"] == f"git:{served.commit}"
    told = served.deploy("chat", namespace, *words, "--port=8080")
    said = f"Warning: {notes['joules-per-request']} J per request (512 → 256 tokens, 32 at once) on 2 × {H100} ("
    assert said in told
    assert f": {notes['joules-per-output-token']} J per output token" in told


def test_another_number_of_cards_is_another_forecast(served: Served, namespace: str) -> None:
    served.deploy("chat", namespace, "--tensor-parallel-size=2")
    served.estimate("chat", namespace, targetRef={"name": "chat"})
    two = served.until_annotated("chat", namespace, state="Ready", estimated_tensor_parallel="2")
    told = served.deploy("chat", namespace, "--tensor-parallel-size=4")
    assert f"no forecast yet of hf://{MODEL}: it is being made" in told
    four = served.until_annotated("chat", namespace, state="Ready", estimated_tensor_parallel="4")
    assert four["joules-per-request"] != two["joules-per-request"]
    (row,) = served.cluster.status("chat", namespace)["results"]
    assert row["parallel"] == 4


def test_an_annotated_deployment_gets_an_estimate_of_its_own(served: Served, namespace: str) -> None:
    notes = {"model": f"hf://{MODEL}", "for_accelerator": H100, "input_tokens": "128", "output_tokens": "64"}
    told = served.deploy("chat", namespace, "-tp", "2", concurrency="8", **notes)
    assert f"no forecast yet of hf://{MODEL}: it is being made" in told
    served.until_annotated("chat", namespace, state="Ready", estimated_concurrency="8", estimated_input_tokens="128")
    (made,) = json.loads(served.cluster.plane.kubectl("get", "iee", "-n", namespace, "-o", "json").stdout)["items"]
    asked = {"concurrency": 8, "inputTokens": 128, "outputTokens": 64}
    assert asked.items() <= made["spec"]["workload"].items()
    assert made["spec"]["targetRef"]["name"] == "chat"
    served.deploy("chat", namespace, "-tp", "2", concurrency="16", **notes)
    served.until_annotated("chat", namespace, state="Ready", estimated_concurrency="16")
    told = served.deploy("chat", namespace, "-tp", "2", concurrency="many", **notes)
    assert 'no forecast: joulecast.dev/concurrency is "many": give one of the concurrencies of "chat-' in told
    served.until_annotated("chat", namespace, state="Failed", reason="InvalidConcurrency")


def test_an_estimate_of_the_address_covers_every_deployment_that_serves_it(served: Served, namespace: str) -> None:
    told = served.deploy("chat", namespace)
    assert f'no forecast: container "main" serves hf://{MODEL} by vLLM, which no estimate covers' in told
    assert served.cluster.annotations("chat", namespace) == {}
    served.estimate("llama", namespace, model={"uri": f"hf://{MODEL}"})
    served.until_annotated("chat", namespace, state="Ready", estimated_by="llama", estimated_tensor_parallel="1")
    served.deploy("chat", namespace, "-tp", "2")
    served.until_annotated("chat", namespace, state="Failed", reason="TensorParallelNotEstimated")


def test_a_command_that_leaves_the_model_open_is_told_and_never_denied(served: Served, namespace: str) -> None:
    told = served.deploy("chat", namespace, "-tp", "$(CARDS)")
    assert "takes the number of cards that share the model from '$(CARDS)'" in told
    served.estimate("chat", namespace, targetRef={"name": "chat"})
    served.cluster.until_reason("chat", namespace, "UnknownTensorParallel")
    served.until_annotated("chat", namespace, state="Failed", reason="UnknownTensorParallel")
    served.deploy("long", namespace, "--chat-template", "x" * 200_000)
    assert served.cluster.plane.get("deployment", "long", namespace) is not None
