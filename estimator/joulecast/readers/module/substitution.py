"""A module's tensors replaced by fake ones on the processor for as long as it is traced."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

KNOWN_NUMEL = 4096
"""Elements up to which whole numbers on the processor keep their content, for code that steers by them; the same bound
as the ONNX reader's."""


@dataclass(slots=True)
class Fakes:
    """Makes one fake tensor for each real one."""

    mode: FakeTensorMode
    _made: dict[int, tuple[torch.Tensor, torch.Tensor]] = field(default_factory=dict)

    def of(self, tensor: torch.Tensor) -> torch.Tensor:
        """The fake stand-in: same shape, strides, dtype; on the processor."""
        if id(tensor) not in self._made:
            self._made[id(tensor)] = (tensor, self._parameter(tensor))
        return self._made[id(tensor)][1]

    def _parameter(self, tensor: torch.Tensor) -> torch.Tensor:
        fake = self._plain(tensor)
        if isinstance(tensor, nn.Parameter):
            return nn.Parameter(fake, requires_grad=tensor.requires_grad)
        return fake

    def _plain(self, tensor: torch.Tensor) -> torch.Tensor:
        with self.mode:
            if tensor.layout != torch.strided:
                return torch.empty(tensor.shape, dtype=tensor.dtype, device="cpu")
            return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="cpu")

    def in_value(self, value: Any) -> Any:
        """The value with every tensor in lists, tuples and dictionaries replaced; the same object if there is none."""
        if isinstance(value, torch.Tensor):
            return self.of(value)
        if type(value) in (list, tuple):
            new = [self.in_value(item) for item in value]
            return type(value)(new) if any(a is not b for a, b in zip(new, value, strict=True)) else value
        if type(value) is dict:
            changed = {key: self.in_value(item) for key, item in value.items()}
            return changed if any(changed[key] is not value[key] for key in value) else value
        return value


@contextmanager
def substituted(module: nn.Module, fakes: Fakes) -> Iterator[None]:
    """Every tensor that the module or one below it holds is a fake one inside, and its own again afterwards."""
    undo: list[tuple[dict[str, Any], str, Any]] = []
    try:
        for part in module.modules():
            for holder in (part._parameters, part._buffers, part.__dict__):
                for name, value in list(holder.items()):
                    if name in ("_parameters", "_buffers", "_modules"):
                        continue
                    new = fakes.in_value(value)
                    if new is not value:
                        undo.append((holder, name, value))
                        holder[name] = new
        yield
    finally:
        for holder, name, value in reversed(undo):
            holder[name] = value


@contextmanager
def inference(module: nn.Module) -> Iterator[None]:
    """Every module in evaluation inside, and as it was afterwards."""
    flags = [(part, part.training) for part in module.modules()]
    try:
        for part, _ in flags:
            part.training = False
        yield
    finally:
        for part, flag in flags:
            part.training = flag
