"""Redirect code that moves its tensors to a named GPU to the processor that traces it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

ELSEWHERE = ("cuda", "xpu", "mps", "hpu", "npu")
"""Kinds of devices that a network is served on."""

MOVES = frozenset({torch.Tensor.cuda, torch.Tensor.xpu, torch.Tensor.pin_memory})
"""Methods whose result is the tensor itself, for it is where it should be."""


def on_processor(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments with the processor in place of another device."""
    named = dict(kwargs)
    if "device" in named:
        named["device"] = processor(named["device"])
    if func is torch.Tensor.to:
        args = tuple(processor(value) for value in args)
    return tuple(args), named


def processor(value: Any) -> Any:
    """Return ``cpu`` for another device or the name of one; anything else unchanged."""
    if isinstance(value, torch.device):
        return torch.device("cpu") if value.type in ELSEWHERE else value
    if isinstance(value, str):
        return "cpu" if value.partition(":")[0] in ELSEWHERE else value
    return value
