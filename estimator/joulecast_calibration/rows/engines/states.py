"""Recurrences of gated delta networks and the causal convolutions before them (aiconfigurator)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from joulecast.layers import Contraction, LayerProfile
from joulecast_calibration.rows.engines.timed import MORE, Timed, column_of, entries, row, timed, whole

_CHUNK = 64  # tokens of a chunk of the gated delta rule (flash-linear-attention)
_STATE_BYTES = 4  # states are kept in 32 bits: an update of 0.5 GB of them takes as long as reading and writing 1 GB
_SCAN_LAUNCHES = 6  # kernels of a scan in vLLM: sums, key products, inverse, its two products, states and outputs


def recurrences(folder: Path, card: str) -> Timed | None:
    """Read updates of the state by one token, and scans of prompts."""
    return _read(folder, card, "recurrent", "chunk_gated")


def convolutions(folder: Path, card: str) -> Timed | None:
    """Read causal convolutions of a few taps."""
    return _read(folder, card, "causal_conv1d")


def _read(folder: Path, card: str, *kernels: str) -> Timed | None:
    found = []
    for entry in entries(folder / MORE / "gdn_latency_wide.csv.gz"):
        taken = entry.get(column_of(card, entry), "")
        if taken and any(name in entry["kernel_source"] for name in kernels):
            found.append(([_row(entry)], float(taken) * 1e-3))
    return timed(found)


def _row(entry: Mapping[str, str]) -> LayerProfile:
    sequences, length, key_heads, keys, heads, values, taps = whole(
        entry, "batch_size", "seq_len", "num_k_heads", "head_k_dim", "num_v_heads", "head_v_dim", "d_conv"
    )
    channels = 2 * key_heads * keys + heads * values
    decodes = entry["phase"] == "generation"
    tokens = sequences * length
    if "conv" in entry["kernel_source"]:
        moved = 2 * (2 if decodes else 1) * sequences * channels * (taps - 1)
        return row(
            "CausalConvUpdate" if decodes else "CausalConv",
            reads=tokens * channels,
            writes=tokens * channels,
            weights=channels * taps,
            stored_bytes=2 * channels * taps + moved,
            contractions=(Contraction(batch=channels, m=tokens, n=1, k=taps),),
        )
    state = sequences * heads * keys * values * _STATE_BYTES
    return row(
        "GatedDeltaUpdate" if decodes else "GatedDeltaScan",
        reads=tokens * (channels + 2 * heads),
        writes=tokens * heads * values,
        stored_bytes=2 * state if decodes else state * (1 + 2 * -(-length // _CHUNK)),
        contractions=_updated(tokens * heads, keys, values)
        if decodes
        else _scanned(sequences * heads, length, keys, values),
        launches=1 if decodes else _SCAN_LAUNCHES,
    )


def _updated(count: int, keys: int, values: int) -> tuple[Contraction, ...]:
    met = Contraction(batch=count, m=1, n=values, k=keys)
    return (met, Contraction(batch=count, m=keys, n=values, k=1), met)


def _scanned(count: int, length: int, keys: int, values: int) -> tuple[Contraction, ...]:
    """Return the products of each chunk (Yang et al. 2024, section 3.3)."""
    full, rest = divmod(length, _CHUNK)
    return tuple(
        Contraction(batch=count * times, m=m, n=n, k=k)
        for times, size in ((full, _CHUNK), (min(1, rest), rest))
        if times
        for m, n, k in (
            (size, size, keys),
            (size, values, size),
            (size, keys, size),
            (size, size, keys),
            (size, values, keys),
            (size, values, keys),
            (size, values, size),
            (keys, values, size),
        )
    )
