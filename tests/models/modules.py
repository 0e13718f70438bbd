"""The modules whose graphs are kept, built again without values, with inputs of the sizes asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from joulecast.readers.named.initialisation import Uninitialised
from tests.models.golden import LENGTH

if TYPE_CHECKING:
    from torch import nn

    from tests.models.definitions import Export


def built(
    export: Export, *, length: int = LENGTH, batch_size: int = 1, device: str = "meta"
) -> tuple[nn.Module, dict[str, Any]]:
    """The module and its arguments by name; tensors on ``device``, or untouched memory where
    it cannot be built there."""
    torch.set_default_dtype(getattr(torch, export.dtype))
    try:
        with torch.device(device), Uninitialised(), torch.no_grad():
            module, arguments, free = export.build()
    finally:
        torch.set_default_dtype(torch.float32)
    return module.eval(), {
        name: sized(value, (free or {}).get(name), (batch_size, length)) for name, value in arguments.items()
    }


def sized(value: Any, free: Any, sizes: tuple[int, int]) -> Any:
    """The value with its free dimensions, in their order, of these sizes."""
    if isinstance(value, torch.Tensor):
        places = sorted(free) if isinstance(free, Mapping) else []
        shape = list(value.shape)
        for place, size in zip(places, sizes, strict=False):
            shape[place] = size
        return value.new_zeros(shape)
    return [sized(item, own, sizes) for item, own in zip(value, free, strict=True)]
