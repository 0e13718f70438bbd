"""Fitting a profile on 10,000 measured rows: reading, the search, and a fit for each family that is held out."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from joulecast.energy.profile import SIMULATED_ALLOWED
from joulecast_calibration import suite
from joulecast_calibration.rows.measured import SCHEMA_VERSION

ROWS = 10_000
NOISE = 0.01  # of the made-up joules and seconds: what a window's standard error may be
COUNTS = ("rows", "macs", "params", "activations", "input_numel", "bytes_moved", "kernels", "views")
UNKNOWN = dict.fromkeys((
    "anchor", "window", "batch_size", "sequence_length", "audio_seconds", "l2_state", "op_type", "digest",
    "digest_expected", "seconds_standard_error", "watts_standard_error", "joules_standard_error", "dropped_watts",
    "dropped_execution_seconds", "drift", "steady", "phase_gap", "power_joules", "idle_watts", "gap_watts",
    "memory_clock_mhz", "temperature_celsius",
))  # fmt: skip
WINDOW = {
    "slice": "made-up", "task": "", "repeat": 0, "valid": True, "finite": True, "method": "counter", "executions": 1,
    "window_seconds": 1.0, "warmup_seconds": 0.0, "dropped_seconds": 0.0, "edges": 10, "single": False,
    "power_limit_watts": 700.0, "throttle_reasons": [], "redone": 0, "missed": 0, "sm_clock_mhz": 1830.0,
}  # fmt: skip


def section() -> str:
    os.environ[SIMULATED_ALLOWED] = "1"
    from joulecast_calibration.fit.heldout import figures, leave_families_out
    from joulecast_calibration.fit.journal import read
    from joulecast_calibration.fit.prior import known_of, prior_of
    from joulecast_calibration.fit.search import search
    from joulecast_calibration.fit.table import table_of

    with tempfile.TemporaryDirectory() as folder:
        networks = write_rows(Path(folder) / "rows.jsonl")
        began, processor = time.perf_counter(), time.process_time()
        journal = read([Path(folder)])
        known = known_of(journal.product)
        table = table_of(journal, lacks=known.lacks)
        prior = prior_of(journal, table, known)
        whole = time.perf_counter()
        found = search(prior, table)
        searched = time.perf_counter()
        held = leave_families_out(prior, table, found)
        ended, spent = time.perf_counter(), time.process_time() - processor
    families = figures(held)["families"]
    lines = [
        ("reading, and joining what each network consists of", whole - began),
        ("the law on all rows", searched - whole),
        (f"once more without each of {families:.0f} families", ended - searched),
        ("in all", ended - began),
    ]
    of_law = f"{table.features.bytes.size:,} rows of the law"
    head = f"{ROWS:,} different rows, {networks:,} of networks and the rest of layers ({of_law}):\n"
    rows = "".join(f"| {what} | {seconds:.1f} s |\n" for what, seconds in lines)
    return f"{head}\n| | wall time |\n|---|---:|\n{rows}| processor time in all | {spent:.1f} s |"


def write_rows(path: Path) -> int:
    """A journal of the whole suite on a simulated card, as often as it takes; the number of networks' rows."""
    rng = np.random.default_rng(0)
    once = [*networks(), *layers()]
    every = [row | as_precision(row, precision) for precision in ("default", "bf16", "fp16") for row in once]
    chosen = every[:ROWS]
    session: dict[str, Any] = {
        "kind": "session", "accelerator": "simulated-hopper", "card": "simulated-hopper-0", "driver": "simulated",
        "power_limit_watts": 700.0, "suite_digest": suite.committed().digest, "host": {"processor": "none"},
        "started_at": "2026-01-01T00:00:00+00:00", "memory_bytes": None, "notes": [], "versions": {}, "seed": 0,
        "slices": ["made-up"], "budget_seconds": 1.0,
    }  # fmt: skip
    with path.open("w") as lines:
        for number, row in enumerate([session, *chosen]):
            common = {
                "schema": SCHEMA_VERSION, "run_id": "made-up", "process": 1, "simulated": True, "sequence": number,
                "at_seconds": float(number),
            }  # fmt: skip
            lines.write(json.dumps(row | common | ({} if row is session else measured(row, rng))) + "\n")
    return sum(row["kind"] == "network" for row in chosen)


def measured(row: dict[str, Any], rng: np.random.Generator) -> dict[str, Any]:
    """What a window adds: the forecast, off by the noise."""
    seconds, joules = np.exp(rng.normal(scale=NOISE, size=2)) * (row["predicted_seconds"], row["predicted_joules"])
    return {"key": row["identity"], "seconds": seconds, "joules": joules, "watts": joules / seconds}


def as_precision(row: dict[str, Any], precision: str) -> dict[str, Any]:
    return {"precision": precision, "identity": f"{row['identity']}|{precision}"}


def networks() -> Iterator[dict[str, Any]]:
    for network in (*suite.committed().llms, *suite.committed().networks):
        for batch in network.batches:
            yield _row("network", network.name, batch) | {
                "task": network.task, "runtime": "torch-eager", "batch_size": batch.batch_size,
                "sequence_length": network.sequence_length, "audio_seconds": network.seconds,
                "identity": f"network|{network.name}|{batch.batch_size}|{network.sequence_length}|{network.seconds}",
                "module_calls": batch.module_calls,
            }  # fmt: skip


def layers() -> Iterator[dict[str, Any]]:
    for layer in suite.committed().layers:
        yield _row("layer", layer.op_type, layer) | {
            "runtime": "torch-cudagraph", "op_type": layer.op_type, "l2_state": "rotated",
            "identity": f"layer|{layer.digest}|torch-cudagraph|default|rotated", "multiplicity": layer.multiplicity,
        }  # fmt: skip


def _row(kind: str, name: str, counted: Any) -> dict[str, Any]:
    known = {column: getattr(counted, column) for column in (*COUNTS, "predicted_seconds", "predicted_joules")}
    return {**UNKNOWN, **WINDOW, "kind": kind, "name": name, "precision": "default", **known}
