"""Mixtures of experts: two grouped products, the activation between and the sum after (aiconfigurator)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from joulecast.layers import Contraction, LayerProfile
from joulecast_calibration.rows.engines.timed import MORE, Timed, column_of, entries, row, timed, whole

FORMATS: Mapping[str, tuple[float, str]] = {
    "bfloat16": (16.0, "bfloat16"),
    "fp8_block": (8.0, "float8"),
    "nvfp4": (4.5, "float4"),
    "int4_wo": (4.25, "bfloat16"),
    "w4a16_mxfp4": (4.25, "bfloat16"),
}
"""As of products. fp8 is read from the blockwise tables: those of one scale a tensor lack tuned kernels on Hopper,
where they take four times as long."""
_EVEN = 64  # widths of an expert that are no multiple have no tuned kernel


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixture:
    """``tokens`` tokens that choose ``chosen`` of ``count`` experts each, as evenly as whole tokens can."""

    tokens: int
    width: int
    inner: int
    chosen: int
    count: int


def mixture(shape: Mixture, name: str) -> list[LayerProfile]:
    """Return the rows of the mixture in the format ``name``, as ``serving`` makes them; the choice is made before."""
    pairs = shape.tokens * shape.chosen
    touched = min(shape.count, pairs)
    up = _grouped(pairs, touched, name, reads=shape.tokens * shape.width, inputs=shape.width, outputs=2 * shape.inner)
    down = _grouped(pairs, touched, name, reads=pairs * shape.inner, inputs=shape.inner, outputs=shape.width)
    return [
        row("AlignExperts", reads=pairs, writes=pairs),
        up,
        row("SiluAndMul", reads=2 * pairs * shape.inner, writes=pairs * shape.inner),
        down,
        row("SumExperts", reads=pairs * shape.width, writes=shape.tokens * shape.width),
    ]


def _grouped(pairs: int, touched: int, name: str, *, reads: int, inputs: int, outputs: int) -> LayerProfile:
    bits, dtype = FORMATS[name]
    least, more = divmod(pairs, touched)
    sizes = ((touched - more, least), (more, least + 1))
    weights = touched * inputs * outputs
    return row(
        "GroupedGemm",
        reads=reads,
        writes=pairs * outputs,
        weights=weights,
        stored_bytes=weights * bits / 8,
        contractions=tuple(Contraction(batch=b, m=m, n=outputs, k=inputs) for b, m in sizes if b),
        dtype=dtype,
    )


def experts(folder: Path, card: str, *names: str) -> Timed | None:
    """Read mixtures with balanced routing whose experts are not divided among cards."""
    found = []
    for entry in entries(folder / MORE / "moe_latency_wide.csv.gz"):
        taken, shape = entry.get(column_of(card, entry), ""), mixture_of(entry)
        if taken and shape is not None and entry["dtype"] in names:
            found.append((mixture(shape, entry["dtype"]), float(taken) * 1e-3))
    return timed(found)


def mixture_of(entry: Mapping[str, str]) -> Mixture | None:
    """Return the mixture of a table's row; None for skewed routing and experts that are divided among cards."""
    tokens, width, inner, chosen, count, split, parallel = whole(
        entry, "num_tokens", "hidden_size", "inter_size", "topk", "num_experts", "moe_tp_size", "moe_ep_size"
    )
    if entry["distribution"] != "balanced" or parallel != 1 or inner // split % _EVEN:
        return None
    return Mixture(tokens=tokens, width=width, inner=inner // split, chosen=chosen, count=count)
