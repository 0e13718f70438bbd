"""Dense feed-forward blocks: a merged gate-and-up product, the activation, the product down."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from joulecast.blocks import FeedForward
    from joulecast.serving.kernels import Kernels


def feed_forward(kernels: Kernels, block: FeedForward, path: str, *, reduces: bool = True) -> None:
    """Add the kernels of a dense feed-forward block at ``path``.

    ``reduces``: False where the sum over the cards follows later, together with that of the routed experts.
    """
    tokens = kernels.run.tokens
    inner = kernels.share(block.intermediate, "the intermediate size")
    merged = inner * (2 if block.gated else 1)
    *sources, last = (f"{path}.{name}" for name in block.projections)
    kernels.product(
        f"{path}.{'gate_up_proj' if block.gated else 'up_proj'}",
        sources,
        tokens=tokens,
        inputs=block.width,
        outputs=merged,
        bias=block.bias * merged,
    )
    kernels.add(
        f"{path}.act_fn",
        f"{block.activation.capitalize()}{'AndMul' if block.gated else ''}",
        reads=tokens * merged,
        writes=tokens * inner,
    )
    kernels.product(
        f"{path}.down_proj", (last,), tokens=tokens, inputs=inner, outputs=block.width, bias=block.bias * block.width
    )
    if reduces:
        kernels.all_reduce(f"{path}.all_reduce", tokens * block.width)
