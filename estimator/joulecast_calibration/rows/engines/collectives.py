"""Sums over cards, replayed from a graph by the engine's own kernel (aiconfigurator)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from joulecast.energy.features import Array
from joulecast_calibration.rows.engines.timed import MORE, entries

_KERNEL = "vLLM_custom_graph"
_SMALLEST_BYTES = 4096.0
_ELEMENT_BYTES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Messages:
    """All-reduces over as many cards as ``degree`` says: (messages,) bytes and seconds."""

    bytes: Array
    seconds: Array


def all_reduces(folder: Path, card: str) -> Mapping[str, Messages]:
    """Read all-reduces of 16-bit elements by degree."""
    found: dict[str, list[tuple[float, float]]] = {}
    for entry in entries(folder / MORE / "collectives_latency.csv.gz"):
        moved = float(entry["message_elements"]) * _ELEMENT_BYTES
        if entry["gpu"] == card and entry["kernel_source"] == _KERNEL and moved >= _SMALLEST_BYTES:
            found.setdefault(str(int(entry["num_gpus"])), []).append((moved, float(entry["latency_ms"]) * 1e-3))
    return {
        degree: Messages(bytes=np.array(rows)[:, 0], seconds=np.array(rows)[:, 1]) for degree, rows in found.items()
    }
