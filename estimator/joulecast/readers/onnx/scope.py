"""Names in view at a node, and the nodes recorded so far."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from joulecast.errors import ModelFormatError

if TYPE_CHECKING:
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
        """The value, or ``None`` for the empty name, which stands for an absent optional input."""
        return self[name] if name else None


@dataclass(slots=True)
class Recording:
    """Executed nodes in order and the values that they touch, under names that are unique in the whole model."""

    outer: Recording | None = None
    nodes: list[Node] = field(default_factory=list)
    values: dict[str, Value] = field(default_factory=dict)
    free_nodes: int = 0

    def add(self, value: Value) -> Value:
        """Keep ``value`` under its name, or under ``name#2``, ``name#3``, … where another has it."""
        name, copy = value.name, 1
        while self._taken(name):
            copy += 1
            name = f"{value.name}#{copy}"
        value = value if name == value.name else replace(value, name=name)
        self.values[name] = value
        return value

    def _taken(self, name: str) -> bool:
        recording: Recording | None = self
        while recording is not None:
            if name in recording.values:
                return True
            recording = recording.outer
        return False

    def inner(self) -> Recording:
        """An empty recording that avoids this one's names."""
        return Recording(outer=self)

    def append(self, inner: Recording, *, repeats: int = 1) -> None:
        """Take over what an inner graph recorded, run ``repeats`` times."""
        self.values.update(inner.values)
        self.free_nodes += inner.free_nodes
        self.nodes.extend(replace(node, repeats=node.repeats * repeats) for node in inner.nodes)
