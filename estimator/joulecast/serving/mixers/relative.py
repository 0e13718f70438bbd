"""Relative positions: by vectors of their own (DeBERTa), or by a bias a bucket and head (T5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from joulecast.layers import Contraction

if TYPE_CHECKING:
    from joulecast.blocks import Attention
    from joulecast.serving.kernels import Kernels


def positions(kernels: Kernels, block: Attention, path: str, heads: int) -> None:
    """Add the projections of the positions' vectors, and their products with queries and keys.

    The projections are those of keys and queries, so they have no parameters of their own. The table of vectors is
    read, and normalised, by the layer that owns it.
    """
    table = block.shared_positions * block.width
    if block.position_parameters:
        kernels.add(
            f"{path}.rel_embeddings",
            "LayerNorm",
            writes=table,
            weights=block.position_parameters,
            params=block.position_parameters,
        )
    for name, source in zip(("pos_query_proj", "pos_key_proj"), block.projections, strict=False):
        kernels.product(
            f"{path}.{name}",
            (f"{path}.{source}",),
            tokens=block.shared_positions,
            inputs=block.width,
            outputs=heads * block.head_size,
            tied=True,
        )
    for group in kernels.run.groups:
        product = Contraction(
            batch=group.count * heads, m=group.new_tokens, n=block.shared_positions, k=block.head_size
        )
        scores = group.count * heads * group.new_tokens
        kernels.add(
            f"{path}.disentangled_bias",
            "RelativeBias",
            reads=2 * (group.tokens + block.shared_positions) * heads * block.head_size,
            writes=2 * scores * block.shared_positions + scores * group.new_tokens,
            contractions=(product, product),
        )


def biases(kernels: Kernels, block: Attention, path: str, heads: int) -> None:
    """Add the lookup of a bias for each head, query and key, which all layers of the stack use."""
    share = block.position_parameters * heads // block.heads
    for group in kernels.run.groups:
        pairs = group.new_tokens * (group.cached_tokens + group.new_tokens)
        kernels.add(
            f"{path}.relative_attention_bias",
            "Gather",
            reads=pairs,
            writes=pairs * heads,
            weights=min(share, pairs * heads),
            params=share,
        )
        share = 0
