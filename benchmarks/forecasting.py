"""Forecasts of layers and of a profiled network, and what all profiles and scores take that they rest on.

``BENCH_DATA`` names the folder of published data sets, which are not part of this repository; without it the last line
is left open. Each figure in milliseconds is the least processor time of several calls, the first one left out.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from tests.harness.environment import ROOT

if TYPE_CHECKING:
    from joulecast.layers import LayerProfile

RUNS = 60
LAYERS = 10_000
BATCH_SIZE = 32
CARDS = ("NVIDIA-A100-PCIE-40GB", "NVIDIA-H200", "RTX-4090")
"""With networks measured by others, with rows of this project, and with a data sheet alone."""
MOST_SECONDS, MOST_ESTIMATE_SECONDS, MOST_MINUTES = 0.05, 0.003, 15.0
DATA = "BENCH_DATA"
MEASURED = ROOT / "data" / "measurements"


def section() -> str:
    """The Markdown table of measured and wanted figures."""
    own = [*map(layers_row, CARDS), *map(estimate_row, CARDS), fitting_row(os.environ.get(DATA))]
    return "\n".join(["| what | measured | wanted | |", "|---|---:|---:|---|", *own])


def layers_row(card: str) -> str:
    """Return the line of one forecast of ``LAYERS`` different layers."""
    from joulecast.accelerators.catalogue import find
    from joulecast.energy.physical import Physical

    known, model = different_layers(), Physical(find(card))
    seconds = least_seconds(lambda: model.predict(known, precision="default"))
    what = f"{len(known):,} different layers, each alone, on {card}"
    return row(what, f"{seconds * 1e3:.1f} ms", f"≤ {MOST_SECONDS * 1e3:g} ms", met=seconds <= MOST_SECONDS)


def different_layers() -> Sequence[LayerProfile]:
    """Return layers of the counted networks of the latency tables, no two alike."""
    from joulecast_calibration.rows.latencies.store import store

    known = store()
    return list(islice((known.layer(place, BATCH_SIZE) for place in range(len(known.rows))), LAYERS))


def estimate_row(card: str) -> str:
    """Return the line of one forecast of a ResNet-50 whose profile is at hand."""
    import joulecast
    from benchmarks.contenders import exported

    profile = joulecast.profile(str(exported("resnet50")))
    seconds = least_seconds(lambda: joulecast.estimate(profile, card))
    what = f"`joulecast.estimate` of a profiled ResNet-50 on {card}"
    limit = MOST_ESTIMATE_SECONDS
    return row(what, f"{seconds * 1e3:.2f} ms", f"≤ {limit * 1e3:g} ms", met=seconds <= limit)


def least_seconds(call: Callable[[], object]) -> float:
    """Return the least processor time of ``RUNS`` calls after one."""
    call()
    found = []
    for _ in range(RUNS):
        start = time.process_time()
        call()
        found.append(time.process_time() - start)
    return min(found)


def fitting_row(data: str | None) -> str:
    """Return the line of all profiles and all scores, from counted features; open where there is no ``data``."""
    what, wanted = "all profiles fitted, and all scores: two commands side by side", f"≤ {MOST_MINUTES:g} min"
    if not data:
        return f"| {what} | not measured: {DATA} names no folder | {wanted} | |"
    start, before = time.perf_counter(), _children_seconds()
    with tempfile.TemporaryDirectory() as scratch:
        started = [
            subprocess.Popen([sys.executable, "-m", "joulecast", *command], stdout=subprocess.DEVNULL)
            for command in commands(Path(data), Path(scratch))
        ]
        ended = [each.wait() for each in started]
        if any(ended):
            raise RuntimeError("a command failed: its message stands above")
    minutes, spent = (time.perf_counter() - start) / 60, (_children_seconds() - before) / 60
    measured = f"{minutes:.1f} min, {spent:.1f} min of processor time"
    return row(what, measured, wanted, met=minutes <= MOST_MINUTES)


def commands(data: Path, scratch: Path) -> Sequence[Sequence[str]]:
    """Return the arguments of the two commands, as docs/measuring.md has them."""
    fit = ["fit", "--data", str(data), "--measured", str(MEASURED), "--out", str(scratch / "profiles")]
    return fit, ["evaluate", "--data", str(data), "--output", "json", "--page", str(scratch / "accuracy.md")]


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def row(what: str, measured: str, wanted: str, *, met: bool) -> str:
    """Return a line of the table; it says whether the figure meets what is wanted."""
    return f"| {what} | {measured} | {wanted} | {'met' if met else 'missed'} |"
