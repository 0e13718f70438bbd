"""Attention of a decoder to what an encoder made: keys and values are made once a request and kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from joulecast.layers import Contraction

if TYPE_CHECKING:
    from joulecast.blocks import Attention
    from joulecast.serving.kernels import Kernels
    from joulecast.serving.passes import Sequences


def cross_attention(kernels: Kernels, block: Attention, path: str) -> None:
    """Add the kernels of attention at ``path`` to ``encoder_tokens`` of each sequence."""
    tokens = kernels.run.tokens
    heads = kernels.share(block.heads, "the number of attention heads")
    own, value = heads * block.head_size, heads * (block.value_size or block.head_size)
    query, key, values, last = (f"{path}.{name}" for name in block.projections)
    kernels.product(query, (query,), tokens=tokens, inputs=block.width, outputs=own, bias=block.query_bias * own)
    made = kernels.run.starting * kernels.run.encoder_tokens
    if made:
        kernels.product(
            f"{path}.kv_proj",
            (key, values),
            tokens=made,
            inputs=block.encoder_width or block.width,
            outputs=own + value,
            bias=block.key_bias * own + block.value_bias * value,
        )
        kernels.cached(f"{path}.cache", made * (own + value))
    for group in kernels.run.groups:
        _attended(kernels, block, path, group, heads)
    kernels.product(
        last, (last,), tokens=tokens, inputs=value, outputs=block.width, bias=block.output_bias * block.width
    )
    kernels.all_reduce(f"{path}.all_reduce", tokens * block.width)


def _attended(kernels: Kernels, block: Attention, path: str, group: Sequences, heads: int) -> None:
    keys, value = kernels.run.encoder_tokens, block.value_size or block.head_size
    executed = tuple(
        Contraction(batch=group.count * heads, m=group.new_tokens, n=n, k=k)
        for n, k in ((keys, block.head_size), (value, keys))
    )
    kernels.add(
        f"{path}.attn",
        "PagedAttention" if group.decodes else "FlashAttention",
        reads=group.tokens * heads * block.head_size,
        writes=group.tokens * heads * value,
        cache_bytes=group.count * keys * heads * (block.head_size + value) * kernels.cache_element_bytes,
        contractions=executed,
    )
