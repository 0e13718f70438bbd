"""What runs after the last layer: logits, labels, or a pooled vector."""

from __future__ import annotations

from typing import TYPE_CHECKING

from joulecast.serving.kernels import normalise

if TYPE_CHECKING:
    from joulecast.blocks import Head
    from joulecast.serving.kernels import Kernels


def head(kernels: Kernels, block: Head, width: int) -> None:
    """Add the kernels of ``block`` after a stack of ``width``."""
    tokens = {"judged": kernels.run.judged_tokens, "all": kernels.run.tokens, "sequence": kernels.run.sequences}
    rows = tokens[block.tokens]
    if block.projection is not None:
        path = f"{block.path}.project_out"
        kernels.product(path, (path,), tokens=kernels.run.tokens, inputs=width, outputs=block.projection)
    if block.transform is not None:
        _transformed(kernels, block, rows)
    if not block.outputs:
        return
    split = block.outputs % kernels.cards == 0
    own = block.outputs // kernels.cards if split else block.outputs
    kernels.product(
        block.path,
        (block.path,),
        tokens=rows,
        inputs=block.inputs,
        outputs=own,
        bias=block.bias * own,
        tied=block.tied,
    )


def _transformed(kernels: Kernels, block: Head, tokens: int) -> None:
    """Add the product, activation and normalisation before the last product; every card runs them whole."""
    path, width = block.transform or "", block.inputs
    kernels.product(path, (path,), tokens=tokens, inputs=width, outputs=width, bias=block.transform_bias * width)
    kernels.add(f"{path}.activation", "Gelu", reads=tokens * width, writes=tokens * width)
    if block.transform_norm is not None:
        normalise(kernels, f"{path}.norm", block.transform_norm, tokens, residual=False)
