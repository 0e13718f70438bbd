"""A recorded call while it is turned into nodes: its arguments by name, and what its rule writes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from joulecast.graph import Node, Shape, Tensor, TensorRole
from joulecast.readers.module.calls import Call, TensorRef, TensorSpec

ABSENT = object()


@dataclass(slots=True)
class Reading:
    """A call that a rule turns into nodes.

    - ``parameters``: names of the positional arguments, in order.
    - ``nodes``, ``tensors``: what rules add; the tensors are those that no call made.
    """

    call: Call
    parameters: tuple[str, ...] = ()
    nodes: list[Node] = field(default_factory=list)
    tensors: dict[str, Tensor] = field(default_factory=dict)

    def value(self, name: str, default: Any = None) -> Any:
        """Return the argument as recorded, or the default where it was left out."""
        if name in self.call.kwargs:
            return self.call.kwargs[name]
        place = self.parameters.index(name) if name in self.parameters else len(self.call.args)
        return self.call.args[place] if place < len(self.call.args) else default

    def spec(self, name: str) -> TensorSpec | None:
        """Return the tensor given for an argument."""
        value = self.value(name)
        return self.call.tensors[value.position] if isinstance(value, TensorRef) else None

    def given(self, name: str) -> TensorSpec:
        """Return the tensor given for an argument that is never left out."""
        spec = self.spec(name)
        if spec is None:
            raise ValueError(f"{self.call.function} lacks its argument {name}")
        return spec

    def name(self, name: str) -> str:
        """Return the name of the tensor given for an argument, or ``""`` for none."""
        spec = self.spec(name)
        return spec.name if spec is not None else ""

    def names(self, name: str) -> tuple[str, ...]:
        """Return the names of a list of tensors; ``""`` for an absent one."""
        value = self.value(name) or ()
        value = value if isinstance(value, tuple) else (value,)
        return tuple(self.call.tensors[v.position].name if isinstance(v, TensorRef) else "" for v in value)

    @property
    def output(self) -> TensorSpec:
        return self.call.outputs[0]

    @property
    def outputs(self) -> tuple[str, ...]:
        return tuple(spec.name for spec in self.call.outputs)

    def node(
        self,
        op_type: str,
        inputs: Sequence[str],
        outputs: Sequence[str] | None = None,
        *,
        values: Mapping[int, Any] | None = None,
        domain: str = "",
        **attributes: Any,
    ) -> None:
        """Add one node, which writes the call's outputs by default.

        Its name starts with its module: ``encoder.0%12``.
        """
        outputs = self.outputs if outputs is None else tuple(outputs)
        written = next((name for name in outputs if name), op_type)
        self.nodes.append(
            Node(
                name=f"{self.call.scope}{written}" if written.startswith("%") else written,
                op_type=op_type,
                inputs=tuple(inputs),
                outputs=outputs,
                domain=domain,
                attributes=attributes,
                values=dict(values or {}),
                scope=self.call.scope,
            )
        )

    def tensor(
        self, suffix: str, shape: Shape, dtype: str, *, role: TensorRole = "activation", of: Sequence[str] = ()
    ) -> str:
        """Add a value that is not one of the call's own. ``of``: the stored values that it is computed from."""
        name = f"{self.output.name}#{suffix}"
        self.tensors[name] = Tensor(name=name, dtype=dtype, shape=shape, role=role, stored=tuple(of))
        return name


Rule = Callable[[Reading], None]


@dataclass(frozen=True, slots=True)
class NamingRule:
    """A rule and the names of the positional arguments that it needs."""

    rule: Rule
    parameters: tuple[str, ...] = ()


def entry(rule: Rule, parameters: str = "") -> NamingRule:
    return NamingRule(rule, tuple(parameters.split()))


def operands(reading: Reading, *, positions: Sequence[int]) -> tuple[list[str], dict[int, Any]]:
    """Return the names of the operands in order, ``""`` for numbers, and the content of those numbers."""
    names: list[str] = []
    values: dict[int, Any] = {}
    args = reading.call.args
    for value in (args[place] for place in positions if place < len(args)):
        if isinstance(value, bool | int | float):
            values[len(names)] = value
        names.append(reading.call.tensors[value.position].name if isinstance(value, TensorRef) else "")
    return names, values


def elementwise(op_type: str, count: int = 2) -> NamingRule:
    """Return the rule of an operator over its first ``count`` arguments, numbers included."""

    def rule(reading: Reading) -> None:
        names, values = operands(reading, positions=range(count))
        reading.node(op_type, names, values=values)

    return NamingRule(rule)


def over_tensors(op_type: str, **attributes: Any) -> NamingRule:
    """Return the rule of an operator over every tensor that the call reads, in order.

    Other arguments do not change its cost.
    """

    def rule(reading: Reading) -> None:
        reading.node(op_type, [spec.name for spec in reading.call.tensors], **attributes)

    return NamingRule(rule)
