"""One call of a torch function as plain data: enough to count it, to compare it with another, and to run it again.

No torch is needed to read one; ``joulecast_calibration.measure`` makes real tensors of it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from joulecast.graph import Shape, TensorRole


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorSpec:
    """A tensor without its content.

    - ``dtype``: a name of ``joulecast.graph`` (``bfloat16``).
    - ``strides``: elements.
    - ``name``: unique within a trace (a parameter's own path, else a number); not part of a call's identity.
    - ``positive``: the value follows a ReLU, so real data have no negative element.
    - ``over``: where values were written into its memory through other views since it was last read, the name of the
      value before that and theirs; not part of a call's identity either.
    """

    shape: Shape
    dtype: str
    strides: Shape
    role: TensorRole = "activation"
    name: str = ""
    positive: bool = False
    over: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TensorRef:
    """A reference in a call's arguments to ``call.tensors[position]``."""

    position: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """``function(*args, **kwargs)``.

    - ``function``: ``torch.nn.functional.conv2d``, or an operator overload, ``aten.add.Tensor``.
    - ``args``, ``kwargs``: plain Python values (None, bool, int, float, str, tuples, dtypes and devices as ``{"dtype":
      "float32"}`` and ``{"device": "cpu"}``) and a ``TensorRef`` for each tensor.
    - ``tensors``: what is read, each once.
    - ``outputs``: what is written, in the order in which the call returns them.
    - ``scope``: path of the innermost module, ``""`` at the top.
    """

    function: str
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    tensors: tuple[TensorSpec, ...] = ()
    outputs: tuple[TensorSpec, ...] = ()
    scope: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the call as JSON values without names and scope: equal for equal configurations."""
        return {
            "function": self.function,
            "args": _plain(self.args),
            "kwargs": {name: _plain(value) for name, value in sorted(self.kwargs.items())},
            "tensors": [_spec(tensor) for tensor in self.tensors],
            "outputs": [_spec(tensor) for tensor in self.outputs],
        }

    @property
    def digest(self) -> str:
        """Identity of the configuration, 16 hexadecimal digits."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()[:16]


def call_from_json(document: Mapping[str, Any]) -> Call:
    """Return the call that ``Call.to_json`` wrote."""
    return Call(
        function=document["function"],
        args=tuple(_value(value) for value in document["args"]),
        kwargs={name: _value(value) for name, value in document["kwargs"].items()},
        tensors=tuple(_tensor(entry) for entry in document["tensors"]),
        outputs=tuple(_tensor(entry) for entry in document["outputs"]),
    )


def _plain(value: Any) -> Any:
    if isinstance(value, TensorRef):
        return {"tensor": value.position}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def _value(value: Any) -> Any:
    if isinstance(value, Mapping) and "tensor" in value:
        return TensorRef(value["tensor"])
    if isinstance(value, list):
        return tuple(_value(item) for item in value)
    return value


def _spec(tensor: TensorSpec) -> dict[str, Any]:
    entry: dict[str, Any] = {"shape": list(tensor.shape), "dtype": tensor.dtype, "strides": list(tensor.strides)}
    entry |= {"role": tensor.role} if tensor.role != "activation" else {}
    return entry | ({"positive": True} if tensor.positive else {})


def _tensor(entry: Mapping[str, Any]) -> TensorSpec:
    return TensorSpec(
        shape=tuple(entry["shape"]),
        dtype=entry["dtype"],
        strides=tuple(entry["strides"]),
        role=entry.get("role", "activation"),
        positive=entry.get("positive", False),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Witness:
    """What a pass showed besides its calls, to check the graph that is made of them.

    - ``macs``: of each call, the MACs of the operators that it dispatched; None where unknown.
    - ``needed``: positions of the calls that the results of the pass, or what it leaves behind, depend on.
    """

    macs: tuple[int | None, ...]
    needed: frozenset[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """Every call of one forward pass, in order.

    - ``outputs``: names of tensors that the pass returns.
    - ``states``: names of values that it leaves behind in the module's memory and attributes, in its inputs' memory, or
      in that of what it returns.
    - ``module_calls``: how many modules were entered.
    - ``witness``: None for a pass that was not watched.
    """

    name: str
    calls: tuple[Call, ...]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[str, ...]
    states: tuple[str, ...] = ()
    module_calls: int = 0
    witness: Witness | None = None
