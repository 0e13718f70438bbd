"""Tables that turn ids into vectors, and what runs before the first layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from joulecast.layers import Contraction
from joulecast.serving.norms import normalise

if TYPE_CHECKING:
    from joulecast.blocks import Embedding
    from joulecast.serving.kernels import Kernels


def embed(kernels: Kernels, table: Embedding, tokens: int) -> None:
    """Add the kernels that make ``tokens`` vectors, of ids or of frames."""
    if table.frames:
        _convolved(kernels, table, tokens)
        _added(kernels, table, tokens, table.width)
        return
    split = table.rows % kernels.cards == 0
    own = table.rows // kernels.cards if split else table.rows
    written = tokens * table.width
    kernels.add(
        table.path,
        "Gather",
        reads=tokens,
        writes=written,
        weights=written,
        params=0 if table.shared else own * table.width,
    )
    kernels.all_reduce(f"{table.path}.all_reduce", written if split else 0)
    width = table.projection or table.width
    if table.projection is not None:
        path = f"{table.path.rpartition('.')[0]}.project_in"
        kernels.product(path, (path,), tokens=tokens, inputs=table.width, outputs=width)
    _added(kernels, table, tokens, width)
    if table.norm is not None:
        normalise(kernels, f"{table.path}.norm", table.norm, tokens, residual=False)


def _added(kernels: Kernels, table: Embedding, tokens: int, width: int) -> None:
    """Add the lookups of positions and token types, and the sums with the tokens' vectors."""
    written = tokens * width
    for name, rows in (("positions", table.positions), ("token_types", table.token_types)):
        if rows:
            kernels.add(
                f"{table.path}.{name}", "Gather", reads=tokens, writes=written, weights=written, params=rows * width
            )
            kernels.add(f"{table.path}.{name}.add", "Add", reads=2 * written, writes=written)


def _convolved(kernels: Kernels, table: Embedding, tokens: int) -> None:
    """Add the convolutions over time that make ``tokens`` of frames; each pads by what its taps reach over."""
    lengths = [tokens]
    for _, _, stride in reversed(table.frames):
        lengths.insert(0, lengths[0] * stride)
    for number, (channels, taps, _) in enumerate(table.frames):
        read, made = lengths[number], lengths[number + 1]
        weights = channels * taps * table.width + table.width
        kernels.add(
            f"{table.path}{number + 1}",
            "Conv",
            reads=read * channels,
            writes=made * table.width,
            weights=weights,
            params=weights,
            contractions=(Contraction(batch=1, m=made, n=table.width, k=channels * taps),),
        )
        kernels.add(f"{table.path}{number + 1}.activation", "Gelu", reads=made * table.width, writes=made * table.width)
