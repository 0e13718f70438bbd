"""Make estimates, requests and outcomes for tests of the controller."""

from __future__ import annotations

from typing import Any

from joulecast_operator.estimates.outcomes import Forecast
from joulecast_operator.estimates.request import ForecastRequest

DIGEST = "sha256:" + "ab" * 32
REQUEST = ForecastRequest(image="registry.example/models/detector:1", accelerators=("NVIDIA-H200",), batch_sizes=(32,))


def estimate(*, status: dict[str, Any] | None = None, generation: int = 1, **spec: Any) -> dict[str, Any]:
    body = spec or {"model": {"image": REQUEST.image}}
    metadata = {"name": "detector", "namespace": "shop", "uid": "u", "generation": generation}
    return {"metadata": metadata, "spec": body} | ({"status": status} if status is not None else {})


def row(joules: float = 0.42123, accelerator: str = "NVIDIA-H200") -> dict[str, Any]:
    return {
        "accelerator": accelerator,
        "runtime": "torch-eager",
        "precision": "default",
        "batchSize": 32,
        "joulesPerBatch": joules,
        "joulesPerBatchLower": joules * 0.9,
        "joulesPerBatchUpper": joules * 1.1,
        "intervalLevel": 0.9,
        "latencySeconds": 0.001,
        "averagePowerWatts": 300.0,
        "coverage": 0.9996,
        "origin": "public",
    }


def generation(**changes: Any) -> dict[str, Any]:
    """A result of a language model."""
    fields: dict[str, Any] = {
        "accelerator": "NVIDIA-H200", "runtime": "vllm", "precision": "default", "phase": "request",
        "concurrency": 32, "inputTokens": 512, "outputTokens": 256, "cachedTokens": 0, "parallel": 2,
        "joulesPerRequest": 3.1, "joulesPerRequestLower": 2.6, "joulesPerRequestUpper": 3.7,
        "joulesPerInputToken": 0.001, "joulesPerInputTokenLower": 0.0009, "joulesPerInputTokenUpper": 0.0011,
        "joulesPerOutputToken": 0.012, "joulesPerOutputTokenLower": 0.01, "joulesPerOutputTokenUpper": 0.014,
        "intervalLevel": 0.9, "averagePowerWatts": 1000.0, "coverage": 1.0, "origin": "transferred",
    }  # fmt: skip
    return fields | changes


def forecast(**changes: Any) -> Forecast:
    fields: dict[str, Any] = {
        "image": REQUEST.image,
        "digest": DIGEST,
        "path": "models/detector.onnx",
        "verification": "Manifest",
        "results": (row(),),
        "top_layers": ({"name": "/Conv", "opType": "Conv", "joules": 0.2, "share": 0.5},),
        "totals": {"macs": 1, "params": 2, "activations": 3, "bytes_moved": 4},
    }
    return Forecast(**fields | changes)
