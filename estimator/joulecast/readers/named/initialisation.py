"""Building modules without giving values to their parameters."""

from __future__ import annotations

from typing import Any, Self

import torch
from torch.overrides import TorchFunctionMode

RANDOM_FILLS = frozenset(
    {
        torch.Tensor.normal_, torch.Tensor.uniform_, torch.Tensor.exponential_, torch.Tensor.bernoulli_,
        torch.Tensor.log_normal_, torch.Tensor.cauchy_, torch.Tensor.geometric_,
    }
)  # fmt: skip
"""What initialisers draw with, on parameters, their ``data`` and buffers alike."""


class Uninitialised(TorchFunctionMode):
    """Suppresses the initialisation of parameters while modules are built.

    In-place operations on parameters and random in-place fills do nothing, so that parameters stay the untouched memory
    that ``torch.empty`` gives: a network of 7 billion is built in a second. Everything else runs on real values,
    because depths and widths of some networks are read out of tensors while they are built.
    """

    def __enter__(self) -> Self:
        torch.nn.init._no_grad_trunc_normal_ = _unchanged  # draws until values fit, which untouched memory may never
        return super().__enter__()  # type: ignore[no-untyped-call,no-any-return]

    def __exit__(self, *raised: object) -> None:
        torch.nn.init._no_grad_trunc_normal_ = _DRAWS
        super().__exit__(*raised)  # type: ignore[no-untyped-call]

    def __torch_function__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        target = args[0] if args else (kwargs or {}).get("tensor")
        if isinstance(target, torch.Tensor) and _only_fills(func, target):
            return target
        return func(*args, **(kwargs or {}))


_DRAWS = torch.nn.init._no_grad_trunc_normal_


def _unchanged(tensor: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
    return tensor


def _only_fills(func: Any, target: torch.Tensor) -> bool:
    if func in RANDOM_FILLS or getattr(func, "__module__", None) == "torch.nn.init":
        return True
    return isinstance(target, torch.nn.Parameter) and _is_in_place(getattr(func, "__name__", ""))


def _is_in_place(name: str) -> bool:
    return name.endswith("_") and not name.endswith("__") and name not in _OF_THE_TENSOR


_OF_THE_TENSOR = frozenset({"requires_grad_", "detach_", "share_memory_"})
"""In-place methods that change the tensor, not its elements."""
