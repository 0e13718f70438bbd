"""Make calibrations, nodes and results for tests."""

from __future__ import annotations

import hashlib
import json
from typing import Any

L40S = "NVIDIA-L40S"
PROFILE_TEXT = '{"some": "profile"}\n'


def calibration(
    name: str = "l40s", *, status: dict[str, Any] | None = None, notes: dict[str, str] | None = None, **spec: Any
) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "name": name,
        "namespace": "lab",
        "uid": f"uid-of-{name}",
        "generation": 1,
        "resourceVersion": "1",
        "creationTimestamp": "2026-01-01T00:00:00Z",
    }
    if notes:
        metadata["annotations"] = notes
    body = {"metadata": metadata, "spec": spec or {"accelerator": L40S}}
    return body if status is None else body | {"status": status}


def node(name: str = "n", product: str | None = L40S, *, devices: dict[str, str] | None = None, **labels: str) -> Any:
    own = {key.replace("__", "/").replace("_", "."): value for key, value in labels.items()}
    if product:
        own["nvidia.com/gpu.product"] = product
    found: dict[str, Any] = {"metadata": {"name": name, "labels": own, "resourceVersion": "1"}}
    return found | ({"status": {"allocatable": devices}} if devices else {})


def summary(**changes: Any) -> dict[str, Any]:
    return {
        "kind": "calibration-summary",
        "schema_version": 1,
        "phase": "done",
        "progress": 1.0,
        "message": "fitted 612 rows",
        "simulated": False,
        "accelerator": L40S,
        "rows": 612,
        "networks": 300,
        "layers": 312,
        "verdict": [{"name": "repeats differ", "state": "ok", "says": "median 0.4 %"}],
        "held_out": {"median_ape": 0.041, "mean_ape": 0.06, "max_ape": 0.3, "interval_coverage": 0.9, "rows": 120},
        "against": {"median_ape": 0.08},
        "better": True,
        "says": "4.1 % is below 8 %",
        "profile_digest": hashlib.sha256(PROFILE_TEXT.encode()).hexdigest(),
    } | changes


def config_map(run: int = 1, profile: str | None = PROFILE_TEXT, **changes: Any) -> dict[str, Any]:
    data = {"run": str(run), "summary.json": json.dumps(summary(**changes))}
    return {"data": data if profile is None else data | {"profile.json": profile}}
