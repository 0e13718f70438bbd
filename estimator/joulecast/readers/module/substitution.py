"""A module's tensors replaced by fake ones on the processor for as long as it is traced."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch._subclasses import fake_tensor
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

KNOWN_NUMEL = 4096
"""Elements up to which whole numbers keep their content, for code that steers by them; the bound of the ONNX reader."""

CONTAINERS = (list, dict, set)


@dataclass(slots=True)
class Fakes:
    """Makes one fake tensor for each real one."""

    mode: FakeTensorMode
    _made: dict[int, tuple[torch.Tensor, torch.Tensor]] = field(default_factory=dict)

    def of(self, tensor: torch.Tensor) -> torch.Tensor:
        """The fake stand-in: same shape, strides and type; on the processor."""
        if id(tensor) not in self._made:
            self._made[id(tensor)] = (tensor, self._parameter(tensor))
        return self._made[id(tensor)][1]

    def _parameter(self, tensor: torch.Tensor) -> torch.Tensor:
        fake = self._plain(tensor)
        return nn.Parameter(fake, requires_grad=tensor.requires_grad) if isinstance(tensor, nn.Parameter) else fake

    def _plain(self, tensor: torch.Tensor) -> torch.Tensor:
        if tensor.layout != torch.strided:
            with self.mode:
                return torch.empty(tensor.shape, dtype=tensor.dtype, device="cpu")
        bare = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="meta")
        fake = FakeTensor(self.mode, bare, torch.device("cpu"))  # past the dispatch of a mode, which takes 30 × as long
        if known(tensor):
            fake.constant = tensor.detach().clone()
        return fake


def held(value: Any, fakes: Fakes) -> Any:
    """What a module holds with every tensor in lists, tuples and dictionaries replaced; the same object if there is
    none."""
    if isinstance(value, torch.Tensor):
        return fakes.of(value)
    if type(value) in (list, tuple):
        new = [held(item, fakes) for item in value]
        return type(value)(new) if any(a is not b for a, b in zip(new, value, strict=True)) else value
    if type(value) is dict:
        changed = {key: held(item, fakes) for key, item in value.items()}
        return changed if any(changed[key] is not value[key] for key in value) else value
    return value


def known(tensor: torch.Tensor) -> bool:
    """Whether the content can be looked at and may steer code: small, whole numbers, on the processor."""
    if isinstance(tensor, FakeTensor) or tensor.device.type != "cpu" or tensor.layout != torch.strided:
        return False
    return not tensor.dtype.is_floating_point and not tensor.dtype.is_complex and tensor.numel() <= KNOWN_NUMEL


@contextmanager
def content_known() -> Iterator[None]:
    """Fake tensors computed from known content keep theirs up to ``KNOWN_NUMEL`` elements, not only up to one."""
    before = fake_tensor.CONSTANT_NUMEL_LIMIT
    fake_tensor.CONSTANT_NUMEL_LIMIT = KNOWN_NUMEL
    try:
        yield
    finally:
        fake_tensor.CONSTANT_NUMEL_LIMIT = before


@contextmanager
def substituted(module: nn.Module, fakes: Fakes) -> Iterator[None]:
    """Every tensor that the module or one below it holds is a fake one inside; afterwards each module is as it was,
    caches that the pass filled included, and in evaluation meanwhile."""
    parts = list(module.modules())
    saved = [Saved.of(part) for part in parts]
    try:
        for part in parts:
            for holder in (part._parameters, part._buffers, part.__dict__):
                for name, value in list(holder.items()):
                    if name not in ("_parameters", "_buffers", "_modules"):
                        holder[name] = held(value, fakes)
            part.__dict__["training"] = False
        yield
    finally:
        for own in saved:
            own.restore()


@dataclass(slots=True)
class Saved:
    """The attributes of an object, and the content of the containers among them."""

    attributes: dict[str, Any]
    content: list[tuple[Any, Any]]

    @classmethod
    def of(cls, part: nn.Module) -> Saved:
        content: dict[int, tuple[Any, Any]] = {}
        _contents(part.__dict__, content)
        return cls(part.__dict__, list(content.values()))

    def restore(self) -> None:
        for container, before in self.content:
            container.clear()
            container.extend(before) if isinstance(container, list) else container.update(before)


def _contents(container: Any, found: dict[int, tuple[Any, Any]]) -> None:
    """Copies of a container and of those in it, by identity."""
    if id(container) in found:
        return
    found[id(container)] = (container, container.copy())
    for value in container.values() if isinstance(container, dict) else container:
        if isinstance(value, CONTAINERS):
            _contents(value, found)
