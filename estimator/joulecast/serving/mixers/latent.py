"""Latent attention as engines run it: expanded heads where a prompt is read, the latent itself where tokens follow.

Of a token, with H heads, latent width L, head size D, rotated size R, value size V and n keys:

- Expanded: keys and values are made of the latent, H·L·(D + V), and met by queries, H·n·(D + R + V).
- Absorbed: the query is turned into the latent's space, H·D·L, meets the cached latent, H·n·(L + R), and what it
  collects there, H·n·L, is turned into values, H·L·V. The parameters are the same.

Every card keeps the whole latent of every token; heads are divided.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from joulecast.layers import Contraction
from joulecast.serving.mixers.attention import mean_keys
from joulecast.serving.mixers.indexer import indexer

if TYPE_CHECKING:
    from joulecast.blocks import LatentAttention
    from joulecast.serving.kernels import Kernels
    from joulecast.serving.passes import Sequences


def latent_attention(kernels: Kernels, block: LatentAttention, path: str) -> None:
    """Add the kernels of latent attention at ``path``."""
    heads = kernels.share(block.heads, "the number of attention heads")
    _projected(kernels, block, path, heads)
    _cached(kernels, block, path, heads)
    if block.indexer is not None and not block.indexer.reused:
        indexer(kernels, block, block.indexer, path)
    groups = kernels.run.groups
    absorbed = groups if block.indexer is not None else tuple(group for group in groups if group.decodes)
    expanded = tuple(group for group in groups if group not in absorbed)
    if expanded:
        _expanded(kernels, block, path, heads, expanded)
    if absorbed:
        _absorbed(kernels, block, path, heads, absorbed, copies=bool(expanded))
    kernels.product(
        f"{path}.o_proj",
        (f"{path}.o_proj",),
        tokens=kernels.run.tokens,
        inputs=heads * block.value_size,
        outputs=block.width,
        bias=block.bias * block.width,
    )
    kernels.all_reduce(f"{path}.all_reduce", kernels.run.tokens * block.width)


def _projected(kernels: Kernels, block: LatentAttention, path: str, heads: int) -> None:
    """Add the products of queries and latent: down on every card, up for the heads of this one."""
    tokens, kept = kernels.run.tokens, block.latent + block.rotary_size
    down = partial(kernels.product, tokens=tokens, inputs=block.width)
    up = partial(kernels.product, tokens=tokens, outputs=heads * (block.head_size + block.rotary_size))
    latent = f"{path}.kv_a_proj_with_mqa"
    if block.query_rank is None:
        up(f"{path}.q_proj", (f"{path}.q_proj",), inputs=block.width)
        down(latent, (latent,), outputs=kept, bias=block.bias * kept)
    else:
        merged = block.query_rank + kept
        paths = (f"{path}.q_a_proj", latent)
        down(f"{path}.fused_qkv_a_proj", paths, outputs=merged, bias=block.bias * merged)
        _norm(kernels, f"{path}.q_a_layernorm", block.query_rank)
        up(f"{path}.q_b_proj", (f"{path}.q_b_proj",), inputs=block.query_rank)
    _norm(kernels, f"{path}.kv_a_layernorm", block.latent)


def _norm(kernels: Kernels, name: str, width: int) -> None:
    own = kernels.run.tokens * width
    kernels.add(name, "RMSNorm", reads=own, writes=own, weights=width, params=width)


def _cached(kernels: Kernels, block: LatentAttention, path: str, heads: int) -> None:
    turned = kernels.run.tokens * (heads + 1) * block.rotary_size
    kernels.add(f"{path}.rotary_emb", "RotaryEmbedding", reads=turned, writes=turned)
    stored = kernels.run.tokens * (block.latent + block.rotary_size)
    kernels.cached(f"{path}.cache", stored)


def _expanded(kernels: Kernels, block: LatentAttention, path: str, heads: int, groups: tuple[Sequences, ...]) -> None:
    """Add prefill: keys and values of new tokens and of cached ones are made of the latent, then attended to."""
    own = heads * (block.head_size + block.value_size)
    made = f"{path}.kv_b_proj"
    new, cached = sum(each.tokens for each in groups), sum(each.count * each.cached_tokens for each in groups)
    for name, tokens in ((made, new), (f"{made}.context", cached)):
        if tokens:
            kernels.product(name, (made,), tokens=tokens, inputs=block.latent, outputs=own, tied=name != made)
            rotated, queried = tokens * block.rotary_size, block.head_size + block.rotary_size
            reads = tokens * heads * block.head_size + rotated
            kernels.add(f"{name}.keys", "Concat", reads=reads, writes=tokens * heads * queried)
    for group in groups:
        _attended(kernels, block, path, group, heads)


def _attended(kernels: Kernels, block: LatentAttention, path: str, group: Sequences, heads: int) -> None:
    keys, queried = group.cached_tokens + group.new_tokens, block.head_size + block.rotary_size
    seen = mean_keys(group.new_tokens, group.cached_tokens, None, causal=True)
    kernels.add(
        f"{path}.attn",
        "FlashAttention",
        reads=heads * (group.tokens * queried + group.count * keys * (queried + block.value_size)),
        writes=group.tokens * heads * block.value_size,
        contractions=tuple(
            Contraction(batch=group.count * heads, m=group.new_tokens, n=n, k=k)
            for n, k in ((seen, queried), (block.value_size, seen))
        ),
        macs=group.tokens * heads * keys * (queried + block.value_size),
    )


def _absorbed(
    kernels: Kernels, block: LatentAttention, path: str, heads: int, groups: tuple[Sequences, ...], *, copies: bool
) -> None:
    """Add decode. ``copies``: the parameters are those of a product that this pass has already."""
    tokens = sum(each.tokens for each in groups)
    latent = block.latent
    _turned(kernels, f"{path}.q_absorbed", path, heads, tokens, n=latent, k=block.head_size, copies=copies)
    for group in groups:
        _met(kernels, block, path, group, heads)
    _turned(kernels, f"{path}.v_absorbed", path, heads, tokens, n=block.value_size, k=latent, copies=copies)


def _turned(kernels: Kernels, name: str, path: str, heads: int, tokens: int, *, n: int, k: int, copies: bool) -> None:
    """Add one product a head with part of the weights of ``kv_b_proj``, in the dtype of activations.

    Where these are quantised, engines keep an unpacked copy beside them.
    """
    weights = heads * n * k
    storage, unpacked = kernels.model.storage_of(f"{path}.kv_b_proj"), weights * kernels.activation_bytes
    packed = weights * storage.bits / 8
    kernels.add(
        name,
        "BatchedGemm",
        reads=tokens * heads * k,
        writes=tokens * heads * n,
        weights=weights,
        params=0 if copies else weights,
        held_bytes=(0 if copies else packed) + (unpacked if storage.method is not None else 0),
        contractions=(Contraction(batch=heads, m=tokens, n=n, k=k),),
    )


def _met(kernels: Kernels, block: LatentAttention, path: str, group: Sequences, heads: int) -> None:
    """Add attention to the latent, whose keys all heads share; of an indexer's choice where there is one."""
    chosen = None if block.indexer is None else block.indexer.chosen
    keys, kept = group.cached_tokens + group.new_tokens, block.latent + block.rotary_size
    seen = mean_keys(group.new_tokens, group.cached_tokens, chosen, causal=True)
    queries = group.new_tokens * heads
    kernels.add(
        f"{path}.attn",
        "PagedLatentAttention" if chosen is None else "SparseLatentAttention",
        reads=group.count * queries * kept,
        writes=group.count * queries * block.latent,
        cache_bytes=group.count * min(keys, (chosen or keys) * group.new_tokens) * kept * kernels.cache_element_bytes,
        contractions=tuple(
            Contraction(batch=group.count, m=queries, n=n, k=k) for n, k in ((seen, kept), (block.latent, seen))
        ),
        macs=group.count * queries * min(chosen or keys, keys) * (kept + block.latent),
    )
