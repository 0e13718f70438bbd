"""Attention masks as decoders use them."""

from __future__ import annotations

import torch


def causal(tensor: torch.Tensor, memory: torch.Tensor) -> torch.Tensor:
    """Fill ``tensor``, a view of ``memory``, of shape (…, queries, keys): each query sees the keys up to its own;
    all see all where there is one row, or more queries than keys.

    Booleans are True, whole numbers 1, where a key is seen; real masks are added, so 0 there and the lowest number
    elsewhere.
    """
    seen, hidden = _values(tensor.dtype)
    memory.fill_(seen)
    if tensor.dim() < 2 or not 1 < tensor.shape[-2] <= tensor.shape[-1] or 0 in tensor.stride()[-2:]:
        return tensor
    queries, keys = tensor.shape[-2:]
    later = torch.ones(queries, keys, dtype=torch.bool, device=tensor.device).triu(keys - queries + 1)
    _once(tensor).masked_fill_(later, hidden)
    return tensor


def _values(dtype: torch.dtype) -> tuple[float | int | bool, float | int | bool]:
    if dtype == torch.bool:
        return True, False
    if dtype.is_floating_point:
        return 0.0, torch.finfo(dtype).min
    return 1, 0


def _once(tensor: torch.Tensor) -> torch.Tensor:
    """Each element in memory once: expanded dimensions have one index left."""
    for dimension, stride in enumerate(tensor.stride()):
        if stride == 0:
            tensor = tensor.narrow(dimension, 0, 1)
    return tensor
