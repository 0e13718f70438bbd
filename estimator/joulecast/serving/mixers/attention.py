"""Attention as engines run it: a merged query-key-value product, rotation, a paged cache, one kernel a kind of pass."""

from __future__ import annotations

from typing import TYPE_CHECKING

from joulecast.layers import Contraction
from joulecast.serving.mixers.relative import biases, positions

if TYPE_CHECKING:
    from joulecast.blocks import Attention
    from joulecast.serving.kernels import Kernels
    from joulecast.serving.passes import Sequences


def attention(kernels: Kernels, block: Attention, path: str) -> None:
    """Add the kernels of self attention at ``path`` (the module's, layer number included)."""
    tokens = kernels.run.tokens
    heads = kernels.share(block.heads, "the number of attention heads")
    kv_heads = max(1, block.kv_heads // kernels.cards)
    value = block.value_size or block.head_size
    outputs = (heads * (2 if block.gated else 1) + kv_heads) * block.head_size + kv_heads * value
    *sources, last = (f"{path}.{name}" for name in block.projections)
    kernels.product(
        f"{path}.qkv_proj",
        sources,
        tokens=tokens,
        inputs=block.width,
        outputs=outputs,
        bias=block.query_bias * heads * block.head_size
        + block.key_bias * kv_heads * block.head_size
        + block.value_bias * kv_heads * value,
    )
    _prepared(kernels, block, path, heads, kv_heads)
    if block.shared_positions:
        positions(kernels, block, path, heads)
    elif block.position_parameters:
        biases(kernels, block, path, heads)
    for number, group in enumerate(kernels.run.groups):
        _attended(kernels, block, path, group, heads, kv_heads, owns=number == 0)
    if block.gated:
        kernels.add(f"{path}.gate", "SigmoidAndMul", reads=2 * tokens * heads * value, writes=tokens * heads * value)
    kernels.product(
        f"{path}.o_proj",
        (last,),
        tokens=tokens,
        inputs=heads * value,
        outputs=block.width,
        bias=block.output_bias * block.width,
    )
    kernels.all_reduce(f"{path}.all_reduce", tokens * block.width)


def _prepared(kernels: Kernels, block: Attention, path: str, heads: int, kv_heads: int) -> None:
    """Add normalisation and rotation of queries and keys, and the write of keys and values into the cache."""
    tokens = kernels.run.tokens
    for name, norm, count in (("q_norm", block.query_norm, heads), ("k_norm", block.key_norm, kv_heads)):
        if norm is not None:
            own = tokens * count * block.head_size
            stored = norm.scale * (norm.width if norm.width == block.head_size else count * block.head_size)
            kernels.add(f"{path}.{name}", "RMSNorm", reads=own, writes=own, weights=stored, params=stored)
    if any(norm is not None and norm.width != block.head_size for norm in (block.query_norm, block.key_norm)):
        kernels.all_reduce(f"{path}.qk_norm.all_reduce", 2 * tokens)
    if block.rotary:
        turned = tokens * (heads + kv_heads) * block.rotary
        kernels.add(f"{path}.rotary_emb", "RotaryEmbedding", reads=turned, writes=turned)
    if not block.causal:
        return
    stored = tokens * kv_heads * (block.head_size + (block.value_size or block.head_size))
    kernels.cached(f"{path}.cache", stored)


def _attended(
    kernels: Kernels, block: Attention, path: str, group: Sequences, heads: int, kv_heads: int, *, owns: bool
) -> None:
    """Add the kernel of one group; ``owns``: its parameters are counted here."""
    keys = group.cached_tokens + group.new_tokens
    value = block.value_size or block.head_size
    seen = mean_keys(group.new_tokens, group.cached_tokens, block.window, causal=block.causal)
    queries = group.new_tokens * heads // kv_heads
    executed = tuple(
        Contraction(batch=group.count * kv_heads, m=queries, n=n, k=k)
        for n, k in ((seen, block.head_size), (value, seen))
    )
    cached = group.count * min(keys, (block.window or keys) + group.new_tokens - 1) * kv_heads
    kernels.add(
        f"{path}.attn",
        "PagedAttention" if group.decodes else "FlashAttention",
        reads=group.tokens * heads * block.head_size,
        writes=group.tokens * heads * value,
        cache_bytes=cached * (block.head_size + value) * kernels.cache_element_bytes,
        contractions=executed,
        macs=group.tokens * heads * keys * (block.head_size + value),
        params=heads if block.sinks and owns else 0,
        weights=heads if block.sinks else 0,
    )


def mean_keys(new_tokens: int, cached_tokens: int, window: int | None, *, causal: bool) -> int:
    """Return how many keys a new token attends to, in the mean over the new tokens of a sequence, rounded up.

    A causal token sees what is cached, those before it and itself; a window keeps the last ``window`` of these. Other
    tokens see all, or of a window itself and as many on each side as there are.
    """
    longest = cached_tokens + new_tokens
    if not causal:
        side = longest if window is None else min((window - 1) // 2, longest)
        reached = min(side, new_tokens - 1)
        total = new_tokens + reached * (reached + 1) + 2 * side * max(0, new_tokens - 1 - side)
        return longest if window is None else -(-total // new_tokens)
    limit = min(window or longest, longest)
    growing = max(
        0, min(limit, longest) - cached_tokens
    )  # tokens that see fewer keys than the window holds, or as many
    total = growing * cached_tokens + growing * (growing + 1) // 2 + (new_tokens - growing) * limit
    return -(-total // new_tokens)
