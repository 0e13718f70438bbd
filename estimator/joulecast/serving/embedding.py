"""Tables that turn ids into vectors, and what runs before the first layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from joulecast.serving.norms import normalise

if TYPE_CHECKING:
    from joulecast.blocks import Embedding
    from joulecast.serving.kernels import Kernels


def embed(kernels: Kernels, table: Embedding, tokens: int) -> None:
    """Add the kernels that make vectors of ``tokens`` ids."""
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
