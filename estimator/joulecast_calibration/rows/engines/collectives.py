"""Sums over cards, replayed from a graph by the engine's own kernel (aiconfigurator)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from joulecast.energy.features import Array
from joulecast_calibration.rows.engines.timed import MORE, entries

_KERNEL = "vLLM_custom_graph"
_OTHER_KERNEL = "SGLang_CustomAllReduce_graph"
_FAR_SLOWER = 2.0
"""Of the seconds of the largest message: by so much does the host of one table lack what that of another one has (peer
access). Tables of other kernels on the same host differ by less than a tenth there."""
_SMALLEST_BYTES = 4096.0
_ELEMENT_BYTES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Messages:
    """All-reduces over as many cards as ``degree`` says: (messages,) bytes and seconds."""

    bytes: Array
    seconds: Array


def all_reduces(folder: Path, card: str) -> Mapping[str, Messages]:
    """Read all-reduces of 16-bit elements by degree: those of vLLM, or of a host that is far faster at the same card.

    A card's cost is that of a host that lets it use its links; one such host serves all degrees.
    """
    tables: dict[tuple[str, str], dict[str, list[tuple[float, float]]]] = {}
    for entry in entries(folder / MORE / "collectives_latency.csv.gz"):
        moved = float(entry["message_elements"]) * _ELEMENT_BYTES
        kernel = entry["kernel_source"]
        if entry["gpu"].startswith(card) and kernel in (_KERNEL, _OTHER_KERNEL) and moved >= _SMALLEST_BYTES:
            backend = "" if kernel == _KERNEL else entry["backend"]
            degrees = tables.setdefault((kernel, backend), {})
            degrees.setdefault(str(int(entry["num_gpus"])), []).append((moved, float(entry["latency_ms"]) * 1e-3))
    chosen = _of_a_whole_host(tables)
    return {
        degree: Messages(bytes=np.array(rows)[:, 0], seconds=np.array(rows)[:, 1]) for degree, rows in chosen.items()
    }


def _of_a_whole_host(
    tables: Mapping[tuple[str, str], Mapping[str, list[tuple[float, float]]]],
) -> Mapping[str, list[tuple[float, float]]]:
    """Return the table of vLLM, unless its largest message over most cards takes far longer than in another one."""
    own = tables.get((_KERNEL, ""), {})
    fastest = min(tables.values(), key=_largest_seconds, default=own)
    return fastest if not own or _largest_seconds(own) > _FAR_SLOWER * _largest_seconds(fastest) else own


def _largest_seconds(degrees: Mapping[str, list[tuple[float, float]]]) -> float:
    """Return the seconds of the largest message over the most cards."""
    return max(degrees[max(degrees, key=int)])[1]
