"""The products of scans, by written formula. Elementwise decay and gates carry no multiply-accumulates.

Of a head with key size N and value size P (mamba: one channel with P = 1):

- An update: the state takes an outer product, N·P, and is read, N·P; the delta rule reads it first, N·P more.
- ``mamba``: an update a token.
- ``mamba2`` (Dao & Gu 2024, section 6), a chunk of Q tokens: products of outputs and inputs, Q·Q·N a group; what they
  weigh, Q·Q·P; the chunk's state, Q·N·P; what the state before gives, Q·N·P.
- ``gated-delta`` (Yang et al. 2024, section 3.3), a chunk of Q tokens: key products, Q·Q·N; the inverse of a unit
  triangular matrix, Q·(Q − 1)·(Q − 2) ÷ 6; its products with keys and values, Q·Q·(N + P); query products, Q·Q·N; what
  they weigh, Q·Q·P; the state before met by keys and queries and added to, 3·Q·N·P.

A last chunk that is not full counts with the tokens it has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from joulecast.layers import Contraction

if TYPE_CHECKING:
    from joulecast.blocks import StateSpace
    from joulecast.serving.mixers.states import Share
    from joulecast.serving.passes import Sequences


def updated(block: StateSpace, part: Share, group: Sequences) -> tuple[Contraction, ...]:
    """Return the products of one update of the state for each token of ``group``."""
    if block.kind == "mamba":
        return (
            Contraction(batch=group.tokens, m=part.inner, n=block.state, k=1),
            Contraction(batch=group.tokens, m=part.inner, n=1, k=block.state),
        )
    met = Contraction(batch=group.tokens * part.heads, m=1, n=block.head_size, k=block.state)
    taken = Contraction(batch=group.tokens * part.heads, m=block.state, n=block.head_size, k=1)
    return (met, taken, met) if block.kind == "gated-delta" else (taken, met)


def scanned(block: StateSpace, part: Share, group: Sequences) -> tuple[Contraction, ...]:
    """Return the products of the scan over the new tokens of each sequence of ``group``."""
    if block.kind == "mamba":
        return updated(block, part, group)
    chunk = _chunk_of_mamba2 if block.kind == "mamba2" else _chunk_of_gated_delta
    return tuple(
        product
        for times, length in chunks(group.new_tokens, block.chunk)
        for product in chunk(block, part, group.count * times, length)
        if product.macs
    )


def chunks(tokens: int, size: int) -> tuple[tuple[int, int], ...]:
    """Return how ``tokens`` are read: (how many chunks, tokens of each), the full ones and the rest."""
    full, rest = divmod(tokens, size)
    return tuple((times, length) for times, length in ((full, size), (min(1, rest), rest)) if times)


def _chunk_of_mamba2(block: StateSpace, part: Share, count: int, length: int) -> tuple[Contraction, ...]:
    heads, keys, values = count * part.heads, block.state, block.head_size
    return (
        Contraction(batch=count * part.groups, m=length, n=length, k=keys),
        Contraction(batch=heads, m=length, n=values, k=length),
        Contraction(batch=heads, m=keys, n=values, k=length),
        Contraction(batch=heads, m=length, n=values, k=keys),
    )


def _chunk_of_gated_delta(block: StateSpace, part: Share, count: int, length: int) -> tuple[Contraction, ...]:
    heads, keys, values = count * part.heads, block.state, block.head_size
    inverse = length * (length - 1) * (length - 2) // 6
    sizes = (
        (length, length, keys),
        (1, 1, inverse),
        (length, values, length),
        (length, keys, length),
        (length, length, keys),
        (length, values, keys),
        (length, values, keys),
        (length, values, length),
        (keys, values, length),
    )
    return tuple(Contraction(batch=heads, m=m, n=n, k=k) for m, n, k in sizes)
