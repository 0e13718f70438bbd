"""Rows of truth as they lie in ``data/measurements/<accelerator>/*.jsonl``: one JSON object a line, each with ``kind``.

``session``: first line of every process; what is the same for all that follow (see ``SESSION``).
``constants``: counter, host and device constants. ``layer``, ``network``: a measured execution. ``failure``: what could
not be measured, and why (out of memory is one). ``window``: further windows of a configuration for a cross-check.
``end``: last line of a process that was not killed.
A file cut at any byte is readable up to its last whole line.
"""

from __future__ import annotations

SCHEMA_VERSION = 1

EVERY = ("kind", "schema", "run_id", "process", "sequence", "at_seconds", "simulated")
"""In every row. ``run_id``: one continuous hold of a card; ``process``: number of the chained process; ``sequence``:
number of the row in it; ``at_seconds``: since the process began."""

SESSION = (
    "started_at", "accelerator", "card", "driver", "power_limit_watts", "memory_bytes", "versions", "host", "seed",
    "slices", "budget_seconds", "suite_digest",
)  # fmt: skip
"""``versions``: of joulecast, python, torch, cuda, cudnn, torchvision, timm, transformers. ``started_at``: ISO, UTC."""

MEASURED = (
    "name", "slice", "repeat", "anchor", "runtime", "precision", "batch_size", "l2_state", "digest", "digest_expected",
    "op_type", "function", "rows", "macs", "params", "activations", "input_numel", "bytes_moved", "kernels", "views",
    "module_calls", "joules", "joules_standard_error", "seconds", "watts", "watts_standard_error", "executions",
    "window_seconds", "edges", "steady", "single", "power_joules", "idle_watts", "sm_clock_mhz", "memory_clock_mhz",
    "temperature_celsius", "throttle_reasons", "buffer_sets", "finite", "hidden_std", "valid", "peak_memory_bytes",
    "method", "seconds_standard_error", "drift", "phase_gap", "warmup_seconds", "redone", "missed",
)  # fmt: skip
"""Of ``layer`` and ``network`` rows. ``joules``, ``seconds``: of one execution; ``power_joules``: the same by
integration of the power reading over the same window. ``digest``: as traced on the measuring machine;
``digest_expected``: the index's, where it differs. ``rows``: counted rows of one execution. ``single``: one execution
lasted over 3 s. ``l2_state``: ``rotated`` or ``hot``. ``valid``: false where the row must not be fitted, with
``invalid_reason``. ``method`` to ``missed``: as ``meter.window.Window`` has them."""
