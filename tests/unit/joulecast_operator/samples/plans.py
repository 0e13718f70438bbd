"""Make plans, answers of the worker and outcomes for tests of EnergyPlans."""

from __future__ import annotations

from typing import Any

from joulecast_operator.estimates.outcomes import Planned
from tests.unit.joulecast_operator.samples.estimates import DIGEST, REQUEST

H200, L40S = "NVIDIA-H200", "NVIDIA-L40S"


def plan(*, status: dict[str, Any] | None = None, generation: int = 1, **spec: Any) -> dict[str, Any]:
    body = spec or {"model": {"image": REQUEST.image}}
    metadata = {"name": "detector", "namespace": "shop", "uid": "u", "generation": generation}
    return {"metadata": metadata, "spec": body} | ({"status": status} if status is not None else {})


def setting(accelerator: str = H200, joules: float = 0.1, **changes: Any) -> dict[str, Any]:
    return {
        "accelerator": accelerator, "runtime": "torch-eager", "precision": "default", "batchSize": 8,
        "tensorParallel": 1, "replicas": 3, "cards": 3, "joules": joules, "joulesLower": joules * 0.9,
        "joulesUpper": joules * 1.1, "latencySeconds": 0.01, "averagePowerWatts": 300.0, "origin": "public",
        "intervalLevel": 0.9, "words": f"{accelerator}, batch size 8",
    } | changes  # fmt: skip


def planned(**changes: Any) -> Planned:
    answer: dict[str, Any] = {
        "unit": "inference", "rated": False, "reason": "the next one costs 40 % more", "choice": setting(),
        "leaders": [], "runners_up": [setting(L40S, 0.14)], "deciding": [], "today": setting(L40S, 0.15),
        "saving": {"percent": 33.3, "percentLower": 21.0, "percentUpper": 44.0, "worthwhile": True}, "candidates": 2,
        "excluded": {"memory": 0, "slo": 1, "profile": 0, "degree": 0, "examples": ["too slow"]}, "notes": [],
    }  # fmt: skip
    return Planned(
        image=REQUEST.image, digest=DIGEST, path="models/m.onnx", verification="Manifest", answer=answer | changes
    )
