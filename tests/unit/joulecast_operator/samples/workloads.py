"""Make estimates and Deployments as the API server returns them, for tests of admission."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

from joulecast_operator.api.kinds import ANNOTATED
from joulecast_operator.index.slim import model_of
from joulecast_operator.metrics.estimates import ServedRow, shown

H100 = "NVIDIA-H100-80GB-HBM3"
A100 = "NVIDIA-A100-SXM4-80GB"
H200 = "NVIDIA-H200"
IMAGE = "registry.example/models/detector:1"


def workload(kind: str, name: str = "web", *, image: str = IMAGE, **fields: Any) -> dict[str, Any]:
    """Return a workload of any kind that is annotated, whose pods run ``image``; ``fields``: of its metadata."""
    template: dict[str, Any] = {"spec": {"containers": [{"name": "main", "image": image}]}}
    metadata = {"name": name, "namespace": "shop", "uid": f"uid-{kind}-{name}", "resourceVersion": "1"}
    spec = {"jobTemplate": {"spec": {"template": template}}} if kind == "CronJob" else {"template": template}
    version = ANNOTATED[kind].api_version
    return {"apiVersion": version, "kind": kind, "metadata": metadata | fields, "spec": spec}


def row(accelerator: str = H200, *, joules: float = 0.42123, batch_size: int = 32, **more: Any) -> dict[str, Any]:
    return {
        "accelerator": accelerator,
        "runtime": "torch-eager",
        "precision": "default",
        "batchSize": batch_size,
        "joulesPerBatch": joules,
        "joulesPerBatchLower": joules * 0.93,
        "joulesPerBatchUpper": joules * 1.1,
        "latencySeconds": 0.00123456,
        "averagePowerWatts": 341.2,
        "coverage": 1.0,
        "origin": "public",
    } | more


def generation(accelerator: str = H100, *, joules: float = 3.1, **more: Any) -> dict[str, Any]:
    """Return the result of a request to a language model that two cards share."""
    return {
        "accelerator": accelerator,
        "runtime": "vllm",
        "precision": "bf16",
        "phase": "request",
        "concurrency": 32,
        "inputTokens": 512,
        "outputTokens": 256,
        "cachedTokens": 0,
        "parallel": 2,
        "joulesPerRequest": joules,
        "joulesPerRequestLower": joules - 0.5,
        "joulesPerRequestUpper": joules + 0.6,
        "joulesPerInputToken": 0.0006,
        "joulesPerOutputToken": 0.012,
        "joulesPerOutputTokenLower": 0.01,
        "joulesPerOutputTokenUpper": 0.014,
        "timeToFirstTokenSeconds": 0.0512,
        "interTokenLatencySeconds": 0.0143,
        "tokensPerSecond": 2237.0,
        "memoryBytes": 9_000_000_000,
        "averagePowerWatts": 1100.0,
        "intervalLevel": 0.9,
        "coverage": 1.0,
        "origin": "transferred",
    } | more


def estimate(
    name: str = "detector",
    *,
    namespace: str = "shop",
    ready: str = "True",
    rows: Iterable[dict[str, Any]] | None = None,
    **more: Any,
) -> dict[str, Any]:
    results = [row(), row(A100, joules=0.61)] if rows is None else list(rows)
    resource = {
        "apiVersion": "joulecast.dev/v1alpha1",
        "kind": "InferenceEnergyEstimate",
        "metadata": {"name": name, "namespace": namespace, "generation": 1, "uid": f"uid-{name}"},
        "spec": {"model": {"image": IMAGE}, "workload": {"batchSizes": [32]}},
        "status": {
            "modelDigest": "sha256:" + "ab" * 32,
            "estimatedAt": "2026-01-02T03:04:05Z",
            "results": results,
            "summary": {"accelerator": H200, "batchSize": "32"},
            "conditions": [{"type": "Ready", "status": ready, "reason": "Estimated", "observedGeneration": 1}],
        },
    }
    return resource | copy.deepcopy(more)


def deployment(
    name: str = "web",
    *,
    namespace: str = "shop",
    image: str = "nginx:1",
    annotations: dict[str, str] | None = None,
    **spec: Any,
) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name, "namespace": namespace, "uid": f"uid-{name}"}
    if annotations is not None:
        metadata["annotations"] = annotations
    containers = [{"name": "main", "image": image}]
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata,
        "spec": {"template": {"spec": {"containers": containers} | spec}},
    }


def engine(name: str = "server", *args: str, image: str = "vllm/vllm-openai:v0.24.0", **more: Any) -> dict[str, Any]:
    """Return a container that serves a language model by vLLM."""
    return {"name": name, "image": image, "command": ["vllm", "serve", *args]} | more


class Estimates:
    """An index of a fixed list of estimates and plans."""

    def __init__(self, *held: dict[str, Any], plans: tuple[dict[str, Any], ...] = ()) -> None:
        self.held = held
        self.plan_list = plans

    def estimates(self) -> list[dict[str, Any]]:
        return list(self.held)

    def shown(self) -> list[tuple[ServedRow, ...]]:
        return [shown(found) for found in self.held]

    def profiles(self) -> list[dict[str, Any]]:
        return []

    def sites(self) -> list[dict[str, Any]]:
        return []

    def get(self, namespace: str, name: str) -> dict[str, Any] | None:
        return next((found for found in self._of(namespace) if found["metadata"]["name"] == name), None)

    def by_target(self, namespace: str, kind: str, name: str) -> list[dict[str, Any]]:
        wanted = {"kind": kind, "name": name}
        return [found for found in self._of(namespace) if wanted.items() <= found["spec"].get("targetRef", {}).items()]

    def by_model(self, namespace: str, reference: str) -> list[dict[str, Any]]:
        return [found for found in self._of(namespace) if model_of(found) == reference]

    def plans_for(self, namespace: str, kind: str, name: str) -> list[dict[str, Any]]:
        return [
            found
            for found in self.plan_list
            if found["metadata"]["namespace"] == namespace
            and found["spec"]["targetRef"] == {"kind": kind, "name": name}
        ]

    def _of(self, namespace: str) -> list[dict[str, Any]]:
        return [found for found in self.held if found["metadata"]["namespace"] == namespace]
