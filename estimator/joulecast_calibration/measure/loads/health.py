"""Check whether a pass computed values like real activations: finite, neither vanished nor exploded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.utils._pytree import tree_leaves

SMALLEST_DEVIATION = 1e-3
LARGEST_DEVIATION = 1e3


@dataclass(frozen=True, slots=True, kw_only=True)
class PassHealth:
    """Health of one pass.

    - ``hidden_std``: standard deviation of the input of the last weighted layer; None where there is no such layer.
    - ``finite``: whether every number of the network's outputs is finite.
    """

    finite: bool
    hidden_std: float | None

    @property
    def trouble(self) -> str | None:
        """Return why a row must not be fitted, or None."""
        if not self.finite:
            return "not finite"
        if self.hidden_std is not None and not SMALLEST_DEVIATION <= self.hidden_std <= LARGEST_DEVIATION:
            return f"hidden activations have a standard deviation of {self.hidden_std:.3g}"
        return None

    def row(self) -> dict[str, Any]:
        """Return the columns of a row; ``invalid_reason`` only where there is one."""
        columns = {"finite": self.finite, "hidden_std": self.hidden_std, "valid": self.trouble is None}
        return columns | ({} if self.trouble is None else {"invalid_reason": self.trouble})


@dataclass(slots=True)
class InputObserver:
    """Keeps the last real tensor that was the input of a weighted layer."""

    seen: list[torch.Tensor] = field(default_factory=list)

    def health(self, result: Any) -> PassHealth:
        deviation = standard_deviation(self.seen[0]) if self.seen else None
        return PassHealth(finite=all_finite([*leaves(result), *self.seen]), hidden_std=deviation)

    def note(self, _: nn.Module, args: Sequence[Any]) -> None:
        if args and isinstance(args[0], torch.Tensor) and args[0].is_floating_point():
            self.seen[:] = [args[0]]


@contextmanager
def observed_inputs(module: nn.Module) -> Iterator[InputObserver]:
    """Observe the inputs of weighted layers of a pass that runs inside the block."""
    observer = InputObserver()
    handles = [part.register_forward_pre_hook(observer.note) for part in module.modules() if _weighted(part)]
    try:
        yield observer
    finally:
        for handle in handles:
            handle.remove()


def _weighted(part: nn.Module) -> bool:
    return any(parameter is not None and parameter.dim() > 1 for parameter in part._parameters.values())


def leaves(value: Any) -> list[torch.Tensor]:
    """Return all tensors in nested containers, and in the output classes of transformers, in order."""
    return [leaf for leaf in tree_leaves(value) if isinstance(leaf, torch.Tensor)]


def all_finite(tensors: Iterable[torch.Tensor], *, infinite: bool = False) -> bool:
    """Return whether there is no NaN and, unless ``infinite`` ones are intended, no infinity."""
    for tensor in tensors:
        if tensor.is_floating_point() or tensor.is_complex():
            bad = tensor.isnan() if infinite else tensor.isfinite().logical_not()
            if bool(bad.any()):
                return False
    return True


def standard_deviation(tensor: torch.Tensor) -> float:
    """Return the standard deviation of all elements."""
    return float(tensor.float().std(correction=0))
