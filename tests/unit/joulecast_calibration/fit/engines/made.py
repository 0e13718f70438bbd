"""A small folder of tables made from coefficients that the tests know."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from joulecast.accelerators.catalogue import find
from joulecast.energy.engines.coefficients import KernelLaw, engines
from joulecast.energy.engines.law import seconds_of
from joulecast.energy.engines.pricing import limits_of
from joulecast.energy.engines.table import passes_of
from joulecast.energy.features import Array
from joulecast_calibration.rows.engines.products import product
from joulecast_calibration.rows.engines.timed import MORE, OPERATORS
from tests.unit.joulecast_calibration.rows.engines.tables import write

H100, H200 = "NVIDIA-H100-80GB-HBM3", "NVIDIA-H200"
TRUE = KernelLaw(compute_share=0.66, memory_share=0.81, tail_seconds=4.4e-6, tile_edge=12.0, depth=90.0, sharpness=4.0)
SIZES = [(m, n, k) for m in (1, 16, 64, 200, 512, 4096) for n in (1024, 4096, 6144, 28672) for k in (1024, 4096, 8192)]
LINK = (6e-6, 2e11)
"""Seconds and bytes per second of the made all-reduce."""


def true_seconds(accelerator: str) -> Array:
    """Return what ``TRUE`` says of ``SIZES`` on the card."""
    kernels = engines()["vllm"].other.kernels | {"product": TRUE}
    passes = passes_of([[product(*size, "bfloat16")] for size in SIZES], "vllm")
    return passes.sum(seconds_of(passes.table, kernels, limits_of(find(accelerator))))


def write_products(folder: Path, *, noise: float = 0.0) -> Path:
    """Write a table of bf16 products of two cards; a share of ``noise`` is added."""
    random = np.random.default_rng(1)
    seconds = {card: true_seconds(name) for card, name in (("h100_sxm_ms", H100), ("h200_sxm_ms", H200))}
    rows = [
        {"m": m, "n": n, "k": k}
        | {card: 1e3 * own[row] * np.exp(noise * random.standard_normal()) for card, own in seconds.items()}
        for row, (m, n, k) in enumerate(SIZES)
    ]
    write(folder / OPERATORS / "gemm_bf16_latency_wide.csv.gz", rows)
    return folder


def write_messages(folder: Path) -> Path:
    """Write a table of all-reduces over 2, 4 and 8 cards, twice as slow at each degree."""
    latency, pace = LINK
    rows = [
        {"gpu": card, "kernel_source": "vLLM_custom_graph", "num_gpus": cards, "message_elements": elements,
         "latency_ms": 1e3 * slower * (latency + 2 * elements / pace)}
        for card in ("h100_sxm", "h200_sxm") for slower, cards in ((1, 2), (2, 4), (4, 8))
        for elements in (1 << 13, 1 << 17, 1 << 21, 1 << 25)
    ]  # fmt: skip
    write(folder / MORE / "collectives_latency.csv.gz", rows)
    return folder


def folder_of(path: Path) -> Path:
    """Write both tables."""
    return write_messages(write_products(path))
