"""What came out: tensors in nested results, and whether they are numbers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch.utils._pytree import tree_leaves


def leaves(value: Any) -> list[torch.Tensor]:
    """All tensors in nested containers, and in the output classes of transformers, in order."""
    return [leaf for leaf in tree_leaves(value) if isinstance(leaf, torch.Tensor)]


def all_finite(tensors: Iterable[torch.Tensor], *, infinite: bool = False) -> bool:
    """No NaN and, unless ``infinite`` ones are meant, no infinity."""
    for tensor in tensors:
        if tensor.is_floating_point() or tensor.is_complex():
            bad = tensor.isnan() if infinite else tensor.isfinite().logical_not()
            if bool(bad.any()):
                return False
    return True


def standard_deviation(tensor: torch.Tensor) -> float:
    """Of all elements."""
    return float(tensor.float().std(correction=0))
