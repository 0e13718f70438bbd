"""What a traced pass leaves behind: every call as data, every tensor under one name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.utils._pytree import tree_flatten

from joulecast.readers.module.calls import Call, TensorRef, TensorSpec
from joulecast.readers.module.dtypes import dtype_name
from joulecast.readers.module.positivity import positive

if TYPE_CHECKING:
    from joulecast.graph import TensorRole

STORED = ("parameter", "constant")

SHAPED_LIKE = frozenset(
    """new_zeros new_ones new_full new_empty new_empty_strided zeros_like ones_like full_like empty_like rand_like
    randn_like randint_like zero_ fill_""".split()
)
"""Operators that read of a tensor only what it looks like."""


@dataclass(slots=True)
class Recorder:
    """Names tensors by identity and keeps them alive, so that no identity is used twice in a pass.

    A value that exists before the pass, and what is computed of such values alone, is ``constant`` or ``parameter``;
    memory that the pass writes other values into is not.
    """

    calls: list[Call] = field(default_factory=list)
    scopes: list[str] = field(default_factory=list)
    module_calls: int = 0
    muted: int = 0
    _specs: dict[int, TensorSpec] = field(default_factory=dict)
    _alive: list[torch.Tensor] = field(default_factory=list)
    _written: set[int] = field(default_factory=set)
    _names: set[str] = field(default_factory=set)

    def declare(self, tensor: torch.Tensor, name: str, role: TensorRole) -> TensorSpec:
        """Name a tensor that exists before the pass; one known already keeps its name."""
        if id(tensor) in self._specs:
            return self._specs[id(tensor)]
        while name in self._names:
            name += "'"
        return self._enter(tensor, self._described(tensor, name, role))

    def spec(self, tensor: torch.Tensor) -> TensorSpec:
        """The tensor as last written. One never seen is a stored one that the code holds on to."""
        known = self._specs.get(id(tensor))
        if known is None:
            role: TensorRole = "parameter" if isinstance(tensor, nn.Parameter) else "constant"
            return self._enter(tensor, self._described(tensor, self._fresh(), role))
        if known.role in STORED and _memory(tensor) in self._written:
            return self._enter(tensor, replace(known, name=self._fresh(), role="activation"))
        return known

    @contextmanager
    def mute(self) -> Iterator[None]:
        """Record nothing of what runs inside."""
        self.muted += 1
        try:
            yield
        finally:
            self.muted -= 1

    def operands(self, function: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Call:
        """The call before it runs: its arguments and what it reads."""
        tensors: dict[str, TensorSpec] = {}
        plain = Plain(self, tensors)
        positional = tuple(plain.value(value) for value in args)
        named = {name: plain.value(value) for name, value in kwargs.items()}
        scope = self.scopes[-1] if self.scopes else ""
        return Call(function=function, args=positional, kwargs=named, tensors=tuple(tensors.values()), scope=scope)

    def again(self, call: Call, result: Any) -> bool:
        """Whether the call only hands on what the one before it made: torch detaches a new tensor from the Python
        code that asked for it where a mode watches, and only there. Nothing is recorded then."""
        last = self.calls[-1] if self.calls else None
        if call.function != "aten.detach.default" or last is None or call.tensors != last.outputs:
            return False
        if last.tensors and _name(last) not in SHAPED_LIKE:
            return False
        self._enter(result, call.tensors[0])
        return True

    def note(self, call: Call, result: Any, *, written: Sequence[torch.Tensor] = (), draws: bool = False) -> None:
        """The call after it ran. ``written``: tensors that it changed in place; ``draws``: its result is random."""
        read = () if _name(call) in SHAPED_LIKE else call.tensors
        known = not draws and all(spec.role in STORED for spec in read)
        role: TensorRole = "activation"
        if known:
            role = "parameter" if any(spec.role == "parameter" for spec in read) else "constant"
        if not known:
            self._written.update(_memory(tensor) for tensor in written)
        sign = positive(call)
        outputs = [
            self._enter(tensor, replace(self._described(tensor, self._fresh(), role), positive=sign))
            for tensor in tensors_of(result)
        ]
        self.calls.append(replace(call, outputs=tuple(outputs)))

    def _described(self, tensor: torch.Tensor, name: str, role: TensorRole) -> TensorSpec:
        return TensorSpec(
            shape=tuple(int(size) for size in tensor.shape),
            dtype=dtype_name(tensor.dtype),
            strides=tuple(int(stride) for stride in tensor.stride()) if tensor.layout == torch.strided else (),
            role=role,
            name=name,
        )

    def _enter(self, tensor: torch.Tensor, spec: TensorSpec) -> TensorSpec:
        if id(tensor) not in self._specs:
            self._alive.append(tensor)
        self._specs[id(tensor)] = spec
        self._names.add(spec.name)
        return spec

    def _fresh(self) -> str:
        return f"%{len(self._names)}"


@dataclass(slots=True)
class Plain:
    """Arguments as plain data; each tensor becomes a reference into ``tensors``."""

    recorder: Recorder
    tensors: dict[str, TensorSpec]

    def value(self, value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            spec = self.recorder.spec(value)
            self.tensors.setdefault(spec.name, spec)
            return TensorRef(list(self.tensors).index(spec.name))
        if isinstance(value, list | tuple):
            return tuple(self.value(item) for item in value)
        if isinstance(value, Mapping):
            return {str(name): self.value(item) for name, item in value.items()}
        return plain_scalar(value)


def plain_scalar(value: Any) -> Any:
    """A number, text, dtype or device as JSON holds it; anything else by its text."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, torch.SymInt | torch.SymFloat | torch.SymBool):
        return value.node.maybe_as_int() if isinstance(value, torch.SymInt) else str(value)
    if isinstance(value, torch.dtype):
        return {"dtype": str(value).removeprefix("torch.")}
    if isinstance(value, torch.device):
        return {"device": value.type}
    if isinstance(value, torch.memory_format):
        return {"memory_format": str(value).removeprefix("torch.")}
    if isinstance(value, torch.layout):
        return {"layout": str(value).removeprefix("torch.")}
    if isinstance(value, complex):
        return {"complex": [value.real, value.imag]}
    return str(value)


def tensors_of(value: Any) -> list[torch.Tensor]:
    """All tensors in nested containers, in order."""
    return [leaf for leaf in tree_flatten(value)[0] if isinstance(leaf, torch.Tensor)]


def _name(call: Call) -> str:
    return call.function.split(".")[1]


def _memory(tensor: torch.Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)
