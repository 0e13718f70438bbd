"""Normalisations over the hidden width."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from joulecast.blocks import Norm
    from joulecast.serving.kernels import Kernels

_KERNELS = {("rms", True): "FusedAddRMSNorm", ("rms", False): "RMSNorm"}
"""Kernel by kind and whether it adds the residual too. Engines run LayerNorm by torch, which fuses no addition."""


def normalise(kernels: Kernels, name: str, norm: Norm, tokens: int, *, residual: bool = True) -> None:
    """Add a normalisation of ``tokens`` vectors; ``residual``: with the addition of the residual before it."""
    own = tokens * norm.width
    stored = norm.width * (norm.scale + norm.bias)
    streams = 2 if residual else 1
    kernels.add(
        name,
        _KERNELS.get((norm.kind, residual), "LayerNorm"),
        reads=streams * own,
        writes=streams * own,
        weights=stored,
        params=stored,
    )
