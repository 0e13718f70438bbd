"""A module's tensors replaced by fake ones on the processor for as long as it is traced."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch._subclasses import fake_tensor
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import _disable_current_modes

from joulecast.readers.module.nesting import OPAQUE

KNOWN_NUMEL = 4096
"""Elements up to which whole numbers keep their content, for code that steers by them; the bound of the ONNX reader."""

CONTAINERS = (list, dict, set)

KEPT_DEPTH = 4
"""Levels of a module's own containers and objects that are put back: a cache, its layers, their tensors."""


@dataclass(slots=True)
class Fakes:
    """Makes one fake tensor for each real one."""

    mode: FakeTensorMode
    written: dict[int, torch.Tensor] = field(default_factory=dict)
    _made: dict[int, tuple[torch.Tensor, torch.Tensor]] = field(default_factory=dict)

    def of(self, tensor: torch.Tensor) -> torch.Tensor:
        """The fake stand-in: same shape, strides and type; on the processor."""
        if id(tensor) not in self._made:
            self._made[id(tensor)] = (tensor, self._parameter(tensor))
        return self._made[id(tensor)][1]

    def standing_in(self, tensor: torch.Tensor) -> torch.Tensor:
        """The stand-in of a real tensor that the pass wrote to; any other as it is."""
        return self.of(tensor) if id(tensor) in self.written else tensor

    def _parameter(self, tensor: torch.Tensor) -> torch.Tensor:
        fake = self._plain(tensor)
        return nn.Parameter(fake, requires_grad=tensor.requires_grad) if isinstance(tensor, nn.Parameter) else fake

    def _plain(self, tensor: torch.Tensor) -> torch.Tensor:
        bare = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="meta")
        fake = FakeTensor(self.mode, bare, torch.device("cpu"))  # past the dispatch of a mode, which takes 30 × as long
        if known(tensor):
            with _disable_current_modes():  # where it is first met inside the pass
                fake.constant = tensor.detach().to("cpu", copy=True)
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
    """Whether the content can be looked at and may steer code: small, whole numbers, on the processor or a device."""
    if isinstance(tensor, FakeTensor) or tensor.device.type == "meta" or tensor.layout != torch.strided:
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
    saved = contents(part.__dict__ for part in parts)
    try:
        for part in parts:
            for holder in (part._parameters, part._buffers, part.__dict__):
                for name, value in list(holder.items()):
                    if name not in ("_parameters", "_buffers", "_modules"):
                        holder[name] = held(value, fakes)
            part.__dict__["training"] = False
        yield
    finally:
        for container, before in saved:
            restore(container, before)


def contents(roots: Iterable[dict[str, Any]]) -> list[tuple[Any, Any]]:
    """Containers, and the attributes of plain objects in them as containers, each with a copy of what it holds."""
    found: dict[int, tuple[Any, Any]] = {}
    for root in roots:
        _collect(root, found, KEPT_DEPTH)
    return list(found.values())


def _collect(container: Any, found: dict[int, tuple[Any, Any]], depth: int) -> None:
    if id(container) in found:
        return
    found[id(container)] = (container, container.copy())
    for value in tuple(container.values() if isinstance(container, dict) else container) if depth else ():
        inner = value if isinstance(value, CONTAINERS) else _attributes(value)
        if inner is not None:
            _collect(inner, found, depth - 1)


def _attributes(value: Any) -> dict[str, Any] | None:
    """Those of an object that a pass may set, if it is no tensor or module, which are looked after themselves."""
    own = None if isinstance(value, (*OPAQUE, torch.Tensor)) else getattr(value, "__dict__", None)
    return own if type(own) is dict else None


def restore(container: Any, before: Any) -> None:
    """Put back what a container held; one that nobody changed is not touched."""
    if isinstance(container, dict):
        if not (_same(container, before) and _same(container.values(), before.values())):
            container.clear()
            container.update(before)
    elif not _same(container, before):
        container.clear()
        container.extend(before) if isinstance(container, list) else container.update(before)


def _same(left: Collection[Any], right: Collection[Any]) -> bool:
    return len(left) == len(right) and all(a is b for a, b in zip(left, right, strict=True))
