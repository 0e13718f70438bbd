"""What a network is fed: drawn on the device, for any batch size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from joulecast.readers.named import Built, InputSpec


def inputs_of(
    built: Built, batch_size: int, device: torch.device, generator: torch.Generator
) -> tuple[tuple[Any, ...], Mapping[str, Any]]:
    """``args`` and ``kwargs`` of one pass: reals from N(0,1), ids uniform over the vocabulary, masks of ones."""
    fed = {name: _drawn(spec, batch_size, device, generator) for name, spec in built.inputs.items()}
    return (tuple(fed.values()), {}) if built.args else ((), fed)


def _drawn(spec: InputSpec, batch_size: int, device: torch.device, generator: torch.Generator) -> torch.Tensor:
    dtype: torch.dtype = getattr(torch, spec.dtype)
    tensor = torch.empty((batch_size, *spec.shape[1:]), dtype=dtype, device=device)
    if spec.below is not None:
        return tensor.random_(0, spec.below, generator=generator)
    return tensor.normal_(generator=generator) if dtype.is_floating_point else tensor.fill_(1)
