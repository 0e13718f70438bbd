"""The lightning indexer of sparse attention (DeepSeek V3.2, GLM-5): it scores cached tokens and keeps the best.

Of a token with n keys, I heads of size S: one product of I·n·S in 8-bit floats, and the heads' weighted sum, I·n. Every
card repeats all of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from joulecast.layers import Contraction
from joulecast.serving.mixers.attention import mean_keys

if TYPE_CHECKING:
    from joulecast.blocks import Indexer, LatentAttention
    from joulecast.serving.kernels import Kernels
    from joulecast.serving.passes import Sequences

SCALED_ELEMENTS = 128
"""Elements of a cached key that share a scale of four bytes (vLLM: quant_block_size of the indexer's cache)."""

SCALE_BYTES = 4


def indexer(kernels: Kernels, block: LatentAttention, chosen: Indexer, attention: str) -> None:
    """Add the kernels of the indexer of the attention at the path ``attention``."""
    tokens, path = kernels.run.tokens, f"{attention}.indexer"
    for name, inputs, outputs in (
        ("wq_b", block.query_rank or block.width, chosen.heads * chosen.head_size),
        ("wk", block.width, chosen.head_size),
        ("weights_proj", block.width, chosen.heads),
    ):
        kernels.product(f"{path}.{name}", (f"{path}.{name}",), tokens=tokens, inputs=inputs, outputs=outputs)
    own, stored = tokens * chosen.head_size, 2 * chosen.head_size
    kernels.add(f"{path}.k_norm", "LayerNorm", reads=own, writes=own, weights=stored, params=stored)
    turned = tokens * (chosen.heads + 1) * chosen.rotary
    kernels.add(f"{path}.rotary_emb", "RotaryEmbedding", reads=turned, writes=turned)
    kernels.add(f"{path}.cache", "ReshapeAndCache", reads=own, cache_bytes=tokens * cached_bytes(chosen))
    for group in kernels.run.groups:
        _chosen(kernels, chosen, path, group)


def cached_bytes(chosen: Indexer) -> int:
    """Return what the indexer caches of a token: a key in 8-bit floats with its scales."""
    return chosen.head_size + -(-chosen.head_size // SCALED_ELEMENTS) * SCALE_BYTES


def _chosen(kernels: Kernels, chosen: Indexer, path: str, group: Sequences) -> None:
    keys = group.cached_tokens + group.new_tokens
    seen = mean_keys(group.new_tokens, group.cached_tokens, None, causal=True)
    kernels.add(
        f"{path}.scores",
        "IndexerScores",
        reads=group.tokens * chosen.heads * (chosen.head_size + 1),
        writes=group.tokens * seen,
        cache_bytes=group.count * keys * cached_bytes(chosen),
        contractions=(
            Contraction(batch=group.count, m=group.new_tokens * chosen.heads, n=seen, k=chosen.head_size),
            Contraction(batch=group.tokens, m=1, n=seen, k=chosen.heads),
        ),
        macs=group.tokens * keys * chosen.heads * (chosen.head_size + 1),
        dtype="float8",
    )
    kernels.add(f"{path}.topk", "TopK", reads=group.tokens * seen, writes=group.tokens * min(chosen.chosen, keys))
