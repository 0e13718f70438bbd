"""Small tables in the columns of the published sets, written by the tests themselves."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Mapping, Sequence
from pathlib import Path

from joulecast_calibration.evaluate.serving import latency, power

LATENCY = {
    "backend": "vllm", "backend_version": "0.19.0", "model_path": "meta-llama/Llama-3.1-70B", "system": "h200_sxm",
    "precision": "fp8", "isl": "1024", "osl": "1024", "gemm_quant_mode": "fp8", "moe_quant_mode": "fp8",
    "batch_size": "16.0", "tp_size": "4.0", "pp_size": "1.0", "attention_dp_size": "1.0", "moe_tp_size": "4.0",
    "moe_ep_size": "1.0", "silicon_ttft_ms": "100.0", "silicon_tpot_ms": "20.0",
}  # fmt: skip
POWER = {
    "usable": "power_and_step", "engine": "vllm", "model": "Llama-3.1-8B", "tensor_parallel": "1",
    "gpu0_active_w_est": "370.0", "gpu0_mean_w": "300.0", "batch_effective": "64", "max_output_tokens": "128",
    "step_ms": "8.0", "output_tokens_est": "32768", "output_tokens_max": "32768",
}  # fmt: skip


def latencies(folder: Path, rows: Sequence[Mapping[str, str]]) -> Path:
    """Write the table with ``rows``, each the standard one but for the columns it names."""
    path = folder / latency.FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt", encoding="utf-8", newline="") as text:
        writer = csv.DictWriter(text, fieldnames=list(LATENCY))
        writer.writeheader()
        writer.writerows({**LATENCY, **row} for row in rows)
    return folder


def powers(folder: Path, rows: Sequence[Mapping[str, str]]) -> Path:
    path = folder / power.FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as text:
        writer = csv.DictWriter(text, fieldnames=list(POWER))
        writer.writeheader()
        writer.writerows({**POWER, **row} for row in rows)
    return folder
