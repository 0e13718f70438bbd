"""Replace a module's tensors with fake ones on the processor while it is traced."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch._subclasses import fake_tensor
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import _disable_current_modes, _get_current_dispatch_mode

from joulecast.readers.module.tracing.nesting import OPAQUE, tensors

KNOWN_NUMEL = 4096
"""Elements up to which whole numbers keep their content, for code that steers by them; the bound of the ONNX reader."""

CONTAINERS = (list, dict, set)

KEPT_DEPTH = 4
"""Levels of a module's own containers and objects that are put back: a cache, its layers, their tensors."""


@dataclass(slots=True)
class Fakes:
    """Makes one fake tensor for each real one."""

    mode: FakeTensorMode
    shared: dict[int, torch.Tensor] = field(default_factory=dict)
    _made: dict[int, tuple[torch.Tensor, torch.Tensor]] = field(default_factory=dict)
    _storages: dict[int, torch.UntypedStorage] = field(default_factory=dict)

    def of(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return the fake stand-in: same shape, strides and type, on the processor.

        Stand-ins of tensors that share memory share theirs.
        """
        if id(tensor) not in self._made:
            with _disable_current_modes() if _get_current_dispatch_mode() else nullcontext():  # first met inside a pass
                self._made[id(tensor)] = (tensor, self._parameter(tensor))
        return self._made[id(tensor)][1]

    def stand_in(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return the stand-in of a real tensor; a fake one unchanged."""
        return tensor if isinstance(tensor, FakeTensor) else self.of(tensor)

    def standing_in(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return the stand-in of a real tensor whose memory the pass shares or writes; any other unchanged."""
        return self.of(tensor) if id(tensor) in self.shared else tensor

    def _parameter(self, tensor: torch.Tensor) -> torch.Tensor:
        fake = self._plain(tensor)
        return nn.Parameter(fake, requires_grad=tensor.requires_grad) if isinstance(tensor, nn.Parameter) else fake

    def _plain(self, tensor: torch.Tensor) -> torch.Tensor:
        bare = self._bare(tensor)
        fake = FakeTensor(self.mode, bare, torch.device("cpu"))  # past the dispatch of a mode, which takes 30 × as long
        if known(tensor):
            fake.constant = tensor.detach().to("cpu", copy=True)
        return fake

    def _bare(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return a tensor whose storage uses no memory; the same storage for all tensors of one storage."""
        try:
            storage = tensor.untyped_storage()
        except NotImplementedError:  # a wrapper of other tensors
            return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="meta")
        known = self._storages.get(storage._cdata)
        if known is None and tensor.numel() * tensor.element_size() == storage.nbytes():
            bare = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="meta")
            self._storages[storage._cdata] = bare.untyped_storage()
            return bare
        if known is None:
            known = torch.empty(storage.nbytes(), dtype=torch.uint8, device="meta").untyped_storage()
            self._storages[storage._cdata] = known
        bare = torch.empty(0, dtype=tensor.dtype, device="meta")
        return bare.set_(known, tensor.storage_offset(), tensor.shape, tensor.stride())


def held(value: Any, fakes: Fakes) -> Any:
    """Return what a module holds with every tensor in lists, tuples and dictionaries replaced.

    Without tensors it is the same object.
    """
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
    """Decide whether the content can be read and may steer code: small, whole numbers, on the processor or a device."""
    if isinstance(tensor, FakeTensor) or tensor.device.type == "meta" or tensor.layout != torch.strided:
        return False
    return not tensor.dtype.is_floating_point and not tensor.dtype.is_complex and tensor.numel() <= KNOWN_NUMEL


@contextmanager
def content_known() -> Iterator[None]:
    """Let fake tensors computed from known content keep it up to ``KNOWN_NUMEL`` elements, not only up to one."""
    before = fake_tensor.CONSTANT_NUMEL_LIMIT
    fake_tensor.CONSTANT_NUMEL_LIMIT = KNOWN_NUMEL
    try:
        yield
    finally:
        fake_tensor.CONSTANT_NUMEL_LIMIT = before


@contextmanager
def substituted(module: nn.Module, fakes: Fakes) -> Iterator[list[Any]]:
    """Replace every tensor that the module or a submodule holds with a fake one, in evaluation mode.

    Afterwards each module is as it was, caches that the pass filled included. Yields what holds the tensors:
    containers, and the attributes of objects.
    """
    parts = list(module.modules())
    saved = contents(part.__dict__ for part in parts)
    try:
        for part in parts:
            for holder in (part._parameters, part._buffers, part.__dict__):
                for name, value in list(holder.items()):
                    if name not in ("_parameters", "_buffers", "_modules"):
                        holder[name] = held(value, fakes)
            part.__dict__["training"] = False
        yield [container for container, _ in saved]
    finally:
        for container, before in saved:
            restore(container, before)


def now_in(holders: Iterable[Any]) -> list[torch.Tensor]:
    """Return the fake tensors that lie in the containers now, and in new ones that were put there."""
    found: dict[int, torch.Tensor] = {}
    old = {id(holder) for holder in holders}
    for holder in filter(None, holders):
        for value in tuple(holder.values() if isinstance(holder, dict) else holder):
            if isinstance(value, FakeTensor):
                found[id(value)] = value
            elif isinstance(value, CONTAINERS) and id(value) not in old:
                found |= {id(tensor): tensor for _, tensor in tensors(value) if isinstance(tensor, FakeTensor)}
    return list(found.values())


def contents(roots: Iterable[dict[str, Any]]) -> list[tuple[Any, Any]]:
    """Return containers, and attributes of plain objects as containers, each with a copy of what it holds."""
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
    """Return the attributes of an object that a pass may set; None for tensors and modules, which are handled apart."""
    own = None if isinstance(value, (*OPAQUE, torch.Tensor)) else getattr(value, "__dict__", None)
    return own if type(own) is dict else None


def restore(container: Any, before: Any) -> None:
    """Put back what a container held, unless it did not change."""
    if isinstance(container, dict):
        if not (_same(container, before) and _same(container.values(), before.values())):
            container.clear()
            container.update(before)
    elif not _same(container, before):
        container.clear()
        container.extend(before) if isinstance(container, list) else container.update(before)


def _same(left: Collection[Any], right: Collection[Any]) -> bool:
    return len(left) == len(right) and all(a is b for a, b in zip(left, right, strict=True))
