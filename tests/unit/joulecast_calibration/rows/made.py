"""Columns of whole rows, as a journal of a real card has them, for tests to change."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from joulecast_calibration.rows.journals import Executed, Rows, is_executed, read_rows, refuse_unfit

Columns = dict[str, Any]

ACCELERATOR = "NVIDIA-H100-80GB-HBM3"

COUNTS = {"rows": 1, "macs": 10, "params": 2, "activations": 3, "input_numel": 4, "bytes_moved": 5, "kernels": 1,
          "views": 0, "module_calls": 0}  # fmt: skip
"""What is known of a configuration before it runs."""

WINDOW = {
    "valid": True, "finite": True, "digest": None, "digest_expected": None, "method": "counter", "executions": 100,
    "seconds": 1e-3, "seconds_standard_error": 1e-6, "watts": 100.0, "watts_standard_error": 1.0, "joules": 0.1,
    "joules_standard_error": 1e-3, "window_seconds": 1.0, "warmup_seconds": 1.0, "dropped_seconds": 0.0,
    "dropped_watts": None, "dropped_execution_seconds": None, "edges": 10, "drift": 0.0, "steady": True,
    "phase_gap": None, "single": False, "power_joules": None, "idle_watts": 50.0, "gap_watts": 60.0,
    "power_limit_watts": 700.0, "sm_clock_mhz": 1800.0, "memory_clock_mhz": 2600.0, "temperature_celsius": 40.0,
    "throttle_reasons": [], "redone": 0, "missed": 0, "unsupported": 0, "peak_memory_bytes": None,
}  # fmt: skip
"""What a window adds to it."""


def row(kind: str, sequence: int = 1, **columns: Any) -> Columns:
    every = {"schema": 1, "run_id": "run", "process": 1, "sequence": sequence, "at_seconds": 0.1 * sequence}
    return {"kind": kind, **every, "simulated": False, **columns}


def session(sequence: int = 0, **columns: Any) -> Columns:
    own = {
        "started_at": "2026-05-01T12:00:00+00:00", "accelerator": ACCELERATOR, "card": "salted", "driver": "570",
        "power_limit_watts": 700.0, "memory_bytes": 80 << 30, "notes": [], "versions": {"python": "3.12"},
        "host": {"processor": "p", "cores": 8, "system": "Linux", "boot": "b"}, "seed": 0, "slices": ["layers"],
        "budget_seconds": 570.0, "suite_digest": "sha256:suite",
    }  # fmt: skip
    return row("session", sequence, **own | columns)


def constants(sequence: int = 1, **columns: Any) -> Columns:
    own = {
        "key": "constants|constants", "method": "counter", "period_seconds": 0.1, "jitter_seconds": 0.0,
        "resolution_joules": 1e-3, "rise_seconds": 0.2, "fall_seconds": 0.25, "lag_seconds": 0.25,
        "power_period_seconds": 0.1, "power_lag_seconds": 0.2, "read_seconds": 1e-4, "idle_watts": 50.0,
        "busy_watts": 600.0, "notes": [], "gap_watts": 60.0,
    }  # fmt: skip
    return row("constants", sequence, **own | columns)


def graph(sequence: int = 1, **columns: Any) -> Columns:
    own = {"digest": "sha256:graph", "name": "hf:net", "families": [], "unsupported": 0, "contents": ""}
    return row("graph", sequence, **own | columns)


def configured(name: str) -> Columns:
    return {"key": name, "name": name, "slice": "layers", "identity": name, "task": "", "repeat": 0, "anchor": None,
            "window": None, "runtime": "torch-cudagraph", "precision": "default", "batch_size": None,
            "sequence_length": None, "audio_seconds": None, "l2_state": "rotated", "op_type": "Add",
            "predicted_seconds": 1e-3, "predicted_joules": 0.1, **COUNTS}  # fmt: skip


def layer(sequence: int = 1, **columns: Any) -> Columns:
    own = {"function": "torch.add", "executed": "torch.add", "buffer_sets": 2, "multiplicity": 1}
    return row("layer", sequence, **configured(f"layer {sequence}") | WINDOW | own | columns)


def network(sequence: int = 1, **columns: Any) -> Columns:
    own = {"task": "vision", "op_type": None, "l2_state": None, "batch_size": 32, "runtime": "torch-eager",
           "slice": "networks", "hidden_std": 1.0, "fused_attention": None}  # fmt: skip
    return row("network", sequence, **configured(f"network {sequence}") | WINDOW | own | columns)


def window(sequence: int = 1, **columns: Any) -> Columns:
    return row("window", sequence, **configured(f"window {sequence}") | WINDOW | {"window": "long"} | columns)


def failure(sequence: int = 1, **columns: Any) -> Columns:
    own = {"key": "k", "name": "n", "slice": "layers", "reason": "OutOfMemory", "message": ""}
    return row("failure", sequence, **own | columns)


def as_measured(columns: Columns) -> Columns:
    """A row of a simulated run as if a card had been measured that exists, with what only such a one can tell."""
    told = {"layer": layer(), "network": network(), "window": window()}.get(columns["kind"], {})
    names = ("function", "executed", "buffer_sets", "hidden_std", "fused_attention", "peak_memory_bytes",
             "unsupported", "module_calls")  # fmt: skip
    of_card = {"accelerator": ACCELERATOR, "card": "card-0123456789abcdef"} if columns["kind"] == "session" else {}
    return {name: told[name] for name in names if name in told} | columns | {"simulated": False} | of_card


def write(folder: Path, rows: Iterable[Mapping[str, Any]], name: str = "run.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(each, ensure_ascii=False) + "\n" for each in rows), encoding="utf-8")
    return path


def measured_rows(folder: Path) -> tuple[Executed, ...]:
    """The rows of a folder that a fit takes, however few they are."""
    found = read_rows(folder)
    refuse_unfit(found.lines)
    return tuple(filter(is_executed, found.placed))


def read(folder: Path, rows: Iterable[Mapping[str, Any]]) -> Rows:
    """The rows as they are read back from a journal."""
    write(folder, rows)
    return read_rows(folder)
