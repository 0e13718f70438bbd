"""The record of a traced pass: every call as data, every tensor under one name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.utils._pytree import tree_flatten

from joulecast.graph import STORED
from joulecast.readers.module.calls import Call, TensorRef, TensorSpec, Witness
from joulecast.readers.module.reads import SHAPED_LIKE, name_of, read
from joulecast.readers.module.tracing.dtypes import dtype_name
from joulecast.readers.module.tracing.memory import Footprint, Memory, Place, needed, storage_of
from joulecast.readers.module.tracing.positivity import positive

if TYPE_CHECKING:
    from joulecast.graph import TensorRole


@dataclass(slots=True)
class Begun:
    """A call that runs.

    - ``places``: where each tensor that it is given lies, by name.
    - ``renewed``: tensors that were written through others since the last call that reads them.
    - ``macs``: the MACs of the operators that it runs, None where unknown.
    - ``written``: tensors that they change.
    """

    call: Call
    places: Mapping[str, Place]
    renewed: Sequence[torch.Tensor] = ()
    macs: int | None = 0
    written: list[torch.Tensor] = field(default_factory=list)

    def ran(self, macs: int | None, written: Iterable[torch.Tensor]) -> None:
        """Note that an operator of the call was run."""
        self.macs = None if macs is None or self.macs is None else self.macs + macs
        self.written += written


@dataclass(slots=True)
class Recorder:
    """Names tensors by identity and keeps them alive, so that no identity is used twice in a pass.

    A value that exists before the pass, and what is computed of such values alone, is ``constant`` or ``parameter``;
    memory that the pass writes other values into is not.

    - ``stand_in``: the fake tensor in place of a real one.
    - ``running``: the call that is recorded as a whole while it runs.
    """

    stand_in: Callable[[torch.Tensor], torch.Tensor] = field(default=lambda tensor: tensor)
    calls: list[Call] = field(default_factory=list)
    scopes: list[str] = field(default_factory=list)
    module_calls: int = 0
    running: Begun | None = None
    _specs: dict[int, TensorSpec] = field(default_factory=dict)
    _alive: list[torch.Tensor] = field(default_factory=list)
    _written: set[int] = field(default_factory=set)
    _names: set[str] = field(default_factory=set)
    _memory: Memory = field(default_factory=Memory)
    _footprints: list[Footprint] = field(default_factory=list)
    _macs: list[int | None] = field(default_factory=list)

    def declare(self, tensor: torch.Tensor, name: str, role: TensorRole) -> TensorSpec:
        """Name a tensor that exists before the pass; one known already keeps its name."""
        if id(tensor) in self._specs:
            return self._specs[id(tensor)]
        while name in self._names:
            name += "'"
        self._memory.earlier.add(storage_of(tensor))
        return self._enter(tensor, self._described(tensor, name, role))

    def spec(self, tensor: torch.Tensor) -> TensorSpec:
        """Return the value that the tensor holds now, through whatever view it was written.

        A tensor that was never seen is a stored one that the code holds, unless it lies where the pass has put a value.
        """
        tensor = self.stand_in(tensor)
        known = self._specs.get(id(tensor))
        if known is None:
            return self._found(tensor)
        storage = storage_of(tensor)
        values = self._memory.unseen(tensor, storage)
        if values or (known.role in STORED and storage in self._written):
            return self._renewed(tensor, known, values)
        return known

    def _found(self, tensor: torch.Tensor) -> TensorSpec:
        role: TensorRole = "parameter" if isinstance(tensor, nn.Parameter) else "constant"
        values = self._memory.held(tensor)
        if any(value.role not in STORED for value in values):
            role = "activation"
        if not values:
            self._memory.earlier.add(storage_of(tensor))
        spec = self._described(tensor, self._fresh(), role)
        return self._enter(tensor, replace(spec, over=tuple(value.name for value in values)))

    def _renewed(self, tensor: torch.Tensor, known: TensorSpec, values: Sequence[TensorSpec]) -> TensorSpec:
        """Return the tensor's value after others wrote to its memory.

        It keeps its name, because its shape and strides are as before, unless it was stored and no longer is.
        """
        roles = {known.role, *(value.role for value in values)}
        fresh, now = known, self._described(tensor, known.name, known.role)
        if known.role in STORED and (storage_of(tensor) in self._written or not roles <= set(STORED)):
            fresh = replace(now, name=self._fresh(), role="activation")
        elif now.shape != known.shape or now.dtype != known.dtype:  # ``x.data = y``
            fresh = replace(now, name=self._fresh())
        elif known.role == "constant" and "parameter" in roles:
            fresh = replace(known, role="parameter")
        over = (*(known.over or (known.name,)), *(value.name for value in values))
        return self._enter(tensor, replace(fresh, over=tuple(dict.fromkeys(over))))

    @contextmanager
    def inside(self, begun: Begun) -> Iterator[None]:
        """Record nothing of what runs inside but what the call itself says of it."""
        self.running, before = begun, self.running
        try:
            yield
        finally:
            self.running = before

    def begin(self, function: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Begun:
        """Note the call before it runs: its arguments and what it reads."""
        plain = Plain(self)
        positional = tuple(plain.value(value) for value in args)
        named = {name: plain.value(value) for name, value in kwargs.items()}
        scope = self.scopes[-1] if self.scopes else ""
        specs = tuple(plain.tensors.values())
        call = Call(function=function, args=positional, kwargs=named, tensors=specs, scope=scope)
        return Begun(call, plain.places, plain.renewed)

    def again(self, begun: Begun, result: Any) -> bool:
        """Decide whether the call only returns what the one before it made, so that nothing is recorded.

        Torch detaches a new tensor from the Python code that asked for it where a mode watches, and only there.
        """
        call, last = begun.call, self.calls[-1] if self.calls else None
        if call.function != "aten.detach.default" or last is None or call.tensors != last.outputs:
            return False
        if last.tensors and name_of(last) not in SHAPED_LIKE:
            return False
        self._enter(result, call.tensors[0])
        return True

    def note(self, begun: Begun, result: Any, *, draws: bool = False) -> None:
        """Record the call after it ran. ``draws``: its result is random.

        A call that returns nothing makes what it changes.
        """
        written = [tensor for tensor in begun.written if self._memory.knows(tensor)]  # not what it had for itself
        made = tensors_of(result) or written
        call = replace(begun.call, outputs=self._results(begun.call, made, draws=draws))
        if call.outputs[0].role == "activation":
            self._written.update(map(storage_of, written))
        for tensor, spec in zip(made, call.outputs, strict=True):
            self._enter(tensor, spec, tuple(begun.places.values()))
        values = {id(tensor): spec for tensor, spec in zip(made, call.outputs, strict=True)}
        self._memory.change(written, values, call.outputs[0])
        for tensor in begun.renewed:
            self._specs[id(tensor)] = replace(self._specs[id(tensor)], over=())
        self.calls.append(call)
        self._macs.append(begun.macs)
        reads = tuple(begun.places[spec.name] for spec in read(call))
        makes = tuple(self._memory.place(tensor) for tensor in (*made, *written))
        self._footprints.append(Footprint(reads=reads, makes=makes))

    def _results(self, call: Call, made: Sequence[torch.Tensor], *, draws: bool) -> tuple[TensorSpec, ...]:
        role, sign = self._role(call, draws=draws), positive(call)
        return tuple(
            replace(self._described(tensor, self._fresh(further), role), positive=sign)
            for further, tensor in enumerate(made)
        )

    def _role(self, call: Call, *, draws: bool) -> TensorRole:
        specs = () if name_of(call) in SHAPED_LIKE else call.tensors
        if draws or any(spec.role not in STORED for spec in specs):
            return "activation"
        return "parameter" if any(spec.role == "parameter" for spec in specs) else "constant"

    def place(self, tensor: torch.Tensor) -> Place:
        return self._memory.place(self.stand_in(tensor))

    def left(self, outputs: Sequence[torch.Tensor], held: Iterable[torch.Tensor]) -> tuple[tuple[str, ...], Witness]:
        """Return the names of the values left behind besides the ``outputs``, and what was seen of the pass.

        Such values lie in memory from before the pass, in the memory of what it returns, and in tensors that the module
        or an input now holds.
        """
        made = [tensor for tensor in held if self.spec(tensor).role == "activation"]
        states = list(self._memory.states())
        names = [write.value.name for write in states]
        for tensor in outputs:
            names += self.spec(tensor).over
        for tensor in made:
            spec = self.spec(tensor)
            names += (*spec.over, spec.name)
        places = (*map(self.place, (*outputs, *made)), *(write.place for write in states))
        witness = Witness(macs=tuple(self._macs), needed=needed(self._footprints, places))
        return tuple(dict.fromkeys(names)), witness

    def _described(self, tensor: torch.Tensor, name: str, role: TensorRole) -> TensorSpec:
        return TensorSpec(
            shape=tuple(int(size) for size in tensor.shape),
            dtype=dtype_name(tensor.dtype),
            strides=tuple(int(stride) for stride in tensor.stride()) if tensor.layout == torch.strided else (),
            role=role,
            name=name,
        )

    def _enter(self, tensor: torch.Tensor, spec: TensorSpec, within: Sequence[Place] | None = None) -> TensorSpec:
        if id(tensor) not in self._specs:
            self._alive.append(tensor)
        self._specs[id(tensor)] = spec
        self._names.add(spec.name)
        self._memory.enter(tensor, spec, within)
        return spec

    def _fresh(self, further: int = 0) -> str:
        return f"%{len(self._names) + further}"


@dataclass(slots=True)
class Plain:
    """Arguments as plain data; each tensor becomes a reference into ``tensors`` and lies at one of ``places``."""

    recorder: Recorder
    tensors: dict[str, TensorSpec] = field(default_factory=dict)
    places: dict[str, Place] = field(default_factory=dict)
    renewed: list[torch.Tensor] = field(default_factory=list)

    def value(self, value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            value = self.recorder.stand_in(value)
            spec = self.recorder.spec(value)
            if spec.name not in self.tensors:
                self.tensors[spec.name], self.places[spec.name] = spec, self.recorder.place(value)
                self.renewed += [value] if spec.over else []
            return TensorRef(list(self.tensors).index(spec.name))
        if isinstance(value, list | tuple):
            return tuple(self.value(item) for item in value)
        if isinstance(value, Mapping):
            return {str(name): self.value(item) for name, item in value.items()}
        return plain_scalar(value)


def plain_scalar(value: Any) -> Any:
    """Return a number, text, dtype or device as JSON holds it; anything else by its text."""
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
    """Return all tensors in nested containers, in order."""
    return [leaf for leaf in tree_flatten(value)[0] if isinstance(leaf, torch.Tensor)]
