"""What engines compute in another way than the traced classes: left out of the comparison on both sides.

These rows go by written formulas, whose values are worked out in ``tests/unit/serving``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from joulecast.layers import LayerProfile

Rows = Callable[[LayerProfile], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Formula:
    """Rows that go by formula: ``engine`` and ``traced`` recognise them; ``what`` they are, and ``why`` they differ."""

    what: str
    why: str
    engine: Rows
    traced: Rows


def _module(row: LayerProfile) -> str:
    return row.scope.rpartition(".")[2]


def _scans(row: LayerProfile) -> bool:
    module, products = _module(row), row.op_type in ("MatMul", "Einsum")
    if module == "linear_attn":
        return products or row.op_type == "Conv"
    return module in ("mixer", "mamba") and (row.op_type == "Conv" or (products and not row.weight_numel))


SCANS = Formula(
    what="scans and convolutions",
    why="the class pads to whole chunks and convolves the padding, engines do not",
    engine=lambda row: row.op_type.startswith("CausalConv") or row.op_type.endswith(("Scan", "Update")),
    traced=_scans,
)

ABSORBED = Formula(
    what="attention to the latent",
    why="the class expands keys and values of all tokens in every step, engines turn the query instead",
    engine=lambda row: row.op_type.endswith("LatentAttention") or row.op_type == "BatchedGemm",
    traced=lambda row: _module(row) == "kv_b_proj" or _module(row) == "self_attn",
)

DENSE_EXPERTS = Formula(
    what="experts",
    why="the class runs every expert on every token, engines the chosen ones",
    engine=lambda row: row.op_type == "GroupedGemm",
    traced=lambda row: _module(row) == "experts",
)
