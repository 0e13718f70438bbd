"""Estimates of a language model on a hub, from applying to Ready, on a real API server and a hub of this machine."""

from __future__ import annotations

import asyncio
import statistics
from typing import Any

from benchmarks.cluster import Stage, staged
from benchmarks.language_models import FILES, stored
from tests.harness import hub

RUNS = 5
WANTED_SECONDS = 2.0
"""From applying to Ready, for a model that the hub serves without a delay of its own."""


def section() -> str:
    """The Markdown table of measured and wanted figures."""
    with hub.running() as served:
        for number in range(RUNS + 1):
            served.add(f"bench/llama-{number}", stored())
        hosts = [served.server.host, served.storage.host]
        with staged(insecure_registries=hosts, options=[f"--hub-endpoint={served.url}"]) as stage:
            rows = asyncio.run(_measured(stage))
    return "\n".join(["| what | measured | wanted | |", "|---|---:|---:|---|", *rows])


async def _measured(stage: Stage) -> list[str]:
    what = f"Llama-3-70B in {FILES} files on a hub, estimate applied → Ready"
    first = await stage.ready_seconds("first", spec_of("hf://bench/llama-0"))
    fresh = [
        await stage.ready_seconds(f"fresh-{number}", spec_of(f"hf://bench/llama-{number}"))
        for number in range(1, RUNS + 1)
    ]
    again = [await stage.ready_seconds(f"again-{number}", spec_of("hf://bench/llama-0")) for number in range(RUNS)]
    return [
        row(f"{what}: the first after a start", first, WANTED_SECONDS),
        row(f"another repository (median of {RUNS})", statistics.median(fresh), WANTED_SECONDS),
        row(f"another repository (slowest of {RUNS})", max(fresh), WANTED_SECONDS),
        row(f"the same commit again (median of {RUNS})", statistics.median(again), None),
    ]


def row(what: str, seconds: float, wanted_seconds: float | None) -> str:
    """Return a line of the table; it says whether the figure meets what is wanted."""
    if wanted_seconds is None:
        return f"| {what} | {seconds:.2f} s | – | |"
    verdict = "met" if seconds <= wanted_seconds else "missed"
    return f"| {what} | {seconds:.2f} s | ≤ {wanted_seconds:g} s | {verdict} |"


def spec_of(uri: str) -> dict[str, Any]:
    """Return the spec of an estimate of requests to a model of the hub."""
    return {
        "model": {"uri": uri},
        "workload": {"inputTokens": 512, "outputTokens": 256, "concurrency": 32, "tensorParallel": 8},
        "accelerators": {"names": ["NVIDIA-H200"]},
    }
