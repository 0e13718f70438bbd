"""The names that are visible at a node, and the nodes recorded so far."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from joulecast.errors import ModelFormatError

if TYPE_CHECKING:
    from collections.abc import Callable

    from joulecast.graph import Node
    from joulecast.readers.onnx.values import Value


class Scope:
    """Values by the name that the nodes of one graph use; an inner graph also sees the outer ones' names."""

    __slots__ = ("_outer", "_values")

    def __init__(self, outer: Scope | None = None) -> None:
        self._outer = outer
        self._values: dict[str, Value] = {}

    def __setitem__(self, name: str, value: Value) -> None:
        if name:
            self._values[name] = value

    def __getitem__(self, name: str) -> Value:
        scope: Scope | None = self
        while scope is not None:
            if name in scope._values:
                return scope._values[name]
            scope = scope._outer
        raise ModelFormatError(
            f"a node reads {name!r}, which no earlier node or input provides; the file is damaged, export it again"
        )

    def optional(self, name: str) -> Value | None:
        """Return the value, or ``None`` for the empty name, which means an absent optional input."""
        return self[name] if name else None


@dataclass(slots=True)
class Names:
    """Every name given so far in the whole model, and how many copies of it."""

    copies: dict[str, int] = field(default_factory=dict)

    def unique(self, name: str) -> str:
        """Return ``name``, or ``name#2``, ``name#3``, … where another value has it."""
        if name not in self.copies:
            self.copies[name] = 1
            return name
        copy = self.copies[name] + 1
        while f"{name}#{copy}" in self.copies:
            copy += 1
        self.copies[name] = copy
        self.copies[f"{name}#{copy}"] = 1
        return f"{name}#{copy}"


@dataclass(slots=True)
class GraphRecord:
    """Executed nodes in order and the values that they touch, under names that are unique in the whole model.

    - ``names``, ``stored``: shared with the recordings inside, so that two iterations of a loop never give one name to
      two values, and a stored tensor has one value however often the graph that holds it runs.
    """

    outer: GraphRecord | None = None
    nodes: list[Node] = field(default_factory=list)
    values: dict[str, Value] = field(default_factory=dict)
    free_nodes: int = 0
    names: Names = field(default_factory=Names)
    stored: dict[int, tuple[Any, Value]] = field(default_factory=dict)

    def add(self, value: Value) -> Value:
        """Keep ``value`` under its name, or under ``name#2``, ``name#3``, … where another has it."""
        name = self.names.unique(value.name)
        value = value if name == value.name else replace(value, name=name)
        self.values[name] = value
        return value

    def bind(self, value: Value) -> None:
        """Keep an input of the model under its own name, in place of the default that the file may store for it."""
        self.names.copies.setdefault(value.name, 1)
        self.values[value.name] = value

    def hold(self, proto: Any, make: Callable[[], Value]) -> Value:
        """Return the value of a stored tensor, made once for each ``proto``, which is kept alive as the key."""
        known = self.stored.get(id(proto))
        if known is not None:
            return known[1]
        value = self._outermost().add(make())
        if value.stored != (value.name,):
            value = replace(value, stored=(value.name,))
            self._outermost().values[value.name] = value
        self.stored[id(proto)] = (proto, value)
        return value

    def _outermost(self) -> GraphRecord:
        recording = self
        while recording.outer is not None:
            recording = recording.outer
        return recording

    def inner(self) -> GraphRecord:
        """Return an empty recording inside this one."""
        return GraphRecord(outer=self, names=self.names, stored=self.stored)

    def append(self, inner: GraphRecord, *, repeats: int = 1) -> None:
        """Take over what an inner graph recorded, run ``repeats`` times."""
        self.values.update(inner.values)
        self.free_nodes += inner.free_nodes
        self.nodes.extend(
            inner.nodes if repeats == 1 else (replace(node, repeats=node.repeats * repeats) for node in inner.nodes)
        )
