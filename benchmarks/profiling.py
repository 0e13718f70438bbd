"""How long counting takes, and whether it is right, beside the tools that people use today. One process a cell."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

from benchmarks.contenders import MODELS, NEEDS_MODULE, ONNX_INPUTS, TOOLS, TORCH_MODELS, exported

EXPECTED_GMACS = {"ocr-detector": 3.044273984, "resnet50": 4.0892, "bert-base": 11.1742}
"""What onnxruntime executed (the detector), what two independent tools agree on (the others, batch 1, 128 tokens)."""

RUNS = 3
TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One tool on one model: medians over the runs. ``gmacs`` is None where the tool failed, and ``error`` says how."""

    tool: str
    model: str
    gmacs: float | None = None
    count_seconds: float = 0.0
    process_seconds: float = 0.0
    peak_mib: float = 0.0
    error: str = ""

    @property
    def right(self) -> bool:
        expected = EXPECTED_GMACS[self.model]
        return self.gmacs is not None and abs(self.gmacs / expected - 1) <= TOLERANCE


def cell(tool: str, model: str) -> Cell:
    """Medians of ``RUNS`` fresh processes."""
    runs = []
    for _ in range(RUNS):
        start = time.perf_counter()
        result = subprocess.run(
            [sys.executable, "-m", "benchmarks.contenders", tool, model], capture_output=True, text=True, timeout=600
        )
        if result.returncode:
            lines = result.stderr.strip().splitlines() or ["no message"]
            return Cell(tool=tool, model=model, error=lines[-1][:80])
        runs.append((time.perf_counter() - start, json.loads(result.stdout.splitlines()[-1])))
    return Cell(
        tool=tool,
        model=model,
        gmacs=runs[0][1]["macs"] / 1e9,
        count_seconds=median(run["seconds"] for _, run in runs),
        process_seconds=median(seconds for seconds, _ in runs),
        peak_mib=median(run["peak_bytes"] for _, run in runs) / 2**20,
    )


def cells() -> Iterator[Cell]:
    for model in MODELS:
        if model in TORCH_MODELS:
            exported(model)
        for tool in TOOLS:
            if not (tool in NEEDS_MODULE and model in ONNX_INPUTS):
                yield cell(tool, model)


def section() -> str:
    """The Markdown table, ratios against joulecast on the same model."""
    lines = [
        "| model | tool | GMACs | right | counting | ratio | whole process | ratio | peak MiB |",
        "|---|---|---:|:-:|---:|---:|---:|---:|---:|",
    ]
    ours: dict[str, Cell] = {}
    for one in cells():
        base = ours.setdefault(one.model, one)
        if one.gmacs is None:
            lines.append(f"| {one.model} | {one.tool} | – | no | failed: `{one.error}` | | | | |")
            continue
        lines.append(
            f"| {one.model} | {one.tool} | {one.gmacs:.4f} | {'yes' if one.right else 'no'} "
            f"| {one.count_seconds:.3f} s | {one.count_seconds / base.count_seconds:.1f} "
            f"| {one.process_seconds:.2f} s | {one.process_seconds / base.process_seconds:.1f} | {one.peak_mib:.0f} |"
        )
    return "\n".join(lines)
