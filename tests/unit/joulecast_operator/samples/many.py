"""Make any number of Deployments, and of estimates of the largest size."""

from __future__ import annotations

from typing import Any

ACCELERATORS = ("NVIDIA-H200", "NVIDIA-L40S", "NVIDIA-A100-SXM4-80GB", "NVIDIA-H100-80GB-HBM3")
BATCH_SIZES = (1, 8, 16, 32, 64)
IMAGE = "registry.example/models/small:1"


def row(accelerator: str, batch_size: int, joules: float) -> dict[str, Any]:
    return {
        "accelerator": accelerator,
        "runtime": "torch-eager",
        "precision": "default",
        "batchSize": batch_size,
        "joulesPerBatch": joules,
        "joulesPerBatchLower": joules * 0.9,
        "joulesPerBatchUpper": joules * 1.1,
        "intervalLevel": 0.9,
        "latencySeconds": joules / 300,
        "averagePowerWatts": 300.0,
        "coverage": 0.9996,
        "origin": "public",
        "topLayers": [{"name": f"/layer{n}/Conv", "share": (0.1 + joules / 31) / (n + 1)} for n in range(3)],
        "intervalReasons": ["another runtime: no joules were measured under torch-cudagraph"],
    }


def estimate(number: int, *, image: str = IMAGE, created: str = "2026-01-02T03:04:05Z", **spec: Any) -> dict[str, Any]:
    """Return an estimate with 20 results, 20 layers and managed fields."""
    rows = [row(name, size, 0.1 + number / 7 + size / 3) for name in ACCELERATORS for size in BATCH_SIZES]
    condition = {"status": "True", "reason": "Estimated", "message": "20 forecasts", "observedGeneration": 1}
    return {
        "apiVersion": "joulecast.dev/v1alpha1",
        "kind": "InferenceEnergyEstimate",
        "metadata": {
            "name": f"small-{number:05}",
            "namespace": "shop",
            "uid": f"uid-{number}",
            "resourceVersion": str(number + 1),
            "generation": 1,
            "creationTimestamp": created,
            "annotations": {"team.example/note": "theirs", "joulecast.dev/refresh": "1"},
            "managedFields": [{"manager": "joulecast-controller", "fieldsV1": {"f:status": {"f:results": {}}}}],
        },
        "spec": {"model": {"image": image}, "workload": {"batchSizes": list(BATCH_SIZES)}} | spec,
        "status": {
            "image": image,
            "inputsHash": f"{number:064x}",
            "modelDigest": f"sha256:{number:064x}",
            "estimatedAt": "2026-01-02T03:04:05Z",
            "results": rows,
            "summary": {"accelerator": ACCELERATORS[0], "batchSize": "1", "joules": "0.4 J"},
            "topLayers": [
                {"name": f"/layer{n}/Conv", "opType": "Conv", "joules": n / 7, "share": 0.05} for n in range(20)
            ],
            "conditions": [{"type": each} | condition for each in ("ModelResolved", "Profiled", "Ready")],
        },
    }


def deployment(number: int, image: str = IMAGE, **annotations: str) -> dict[str, Any]:
    notes = {f"joulecast.dev/{name.replace('_', '-')}": value for name, value in annotations.items()}
    name = f"web-{number:05}"
    metadata = {
        "name": name,
        "namespace": "shop",
        "uid": name,
        "resourceVersion": str(number + 1),
        "annotations": notes,
    }
    return {"metadata": metadata, "spec": {"template": {"spec": {"containers": [{"image": image}]}}}}
