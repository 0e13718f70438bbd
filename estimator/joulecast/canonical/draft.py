"""A graph while it is rewritten: the node that makes each value, the nodes that read it, and the one operation that
changes it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from joulecast.graph import Node, Tensor

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

    from joulecast.graph import ModelGraph, Shape


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """What a pattern found.

    - ``node``: takes the anchor's place.
    - ``absorbed``: nodes that are removed.
    - ``rewritten``: pairs of a node that stays and its new form.
    - ``inserted``: new nodes that run before the anchor.
    - ``tensors``: values whose type changes or that are new.
    """

    node: Node
    absorbed: tuple[Node, ...] = ()
    rewritten: tuple[tuple[Node, Node], ...] = ()
    inserted: tuple[Node, ...] = ()
    tensors: tuple[Tensor, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A match that was applied: the removed nodes, those in their place, and the values that are new or retyped."""

    pattern: str
    old: tuple[Node, ...]
    new: tuple[Node, ...]
    tensors: tuple[Tensor, ...] = ()


class Draft:
    """A mutable copy of a graph.

    Nodes keep their place; a value has one producer and any number of readers. Folded nodes do not execute and are not
    readers: what one needs of a removed value (its type) is known before.
    """

    def __init__(self, graph: ModelGraph) -> None:
        self._graph = graph
        self._nodes: dict[float, Node] = dict(enumerate(graph.nodes))
        later = (tensor.after for tensor in graph.tensors.values())
        self._outputs = frozenset(graph.outputs).union(graph.steering, *later)
        self._producers: dict[str, float] = {}
        self._readers: dict[str, set[float]] = {}
        self._gone: set[str] = set()
        self.tensors: dict[str, Tensor] = dict(graph.tensors)
        self.opset = graph.opset
        self.changes: list[Change] = []
        for place, node in self._nodes.items():
            self._link(place, node)

    def __iter__(self) -> Iterator[Node]:
        """Iterate over the nodes that execute, in order, each in the form that it has when it is reached."""
        for place in range(len(self._graph.nodes)):
            if place in self._nodes and not self._nodes[place].folded:
                yield self._nodes[place]

    def graph(self) -> ModelGraph:
        nodes = tuple(self._complete(self._nodes[place]) for place in sorted(self._nodes))
        used = {name for node in nodes for name in (*node.inputs, *node.outputs) if name}
        used.update(self._graph.inputs, self._graph.outputs, self._graph.steering)
        new = tuple(used)
        while new:
            parts = {part for name in new for part in (*self.tensors[name].stored, *self.tensors[name].after)}
            new = tuple(parts - used)
            used.update(new)
        tensors = {name: tensor for name, tensor in self.tensors.items() if name in used}
        return replace(self._graph, nodes=nodes, tensors=tensors)

    def _complete(self, node: Node) -> Node:
        """Return the node without the names of values that were removed."""
        if not node.folded or self._made(node.inputs):
            return node
        return replace(node, inputs=tuple(name if self._made((name,)) else "" for name in node.inputs))

    def _made(self, names: tuple[str, ...]) -> bool:
        return all(name in self._producers or name not in self._gone for name in names)

    def shape(self, name: str) -> Shape:
        """Return the shape of a value, or ``()`` for a value without one."""
        return self.tensors[name].shape or ()

    def stored(self, name: str) -> bool:
        """Decide whether the value exists before the model runs."""
        return bool(name) and self.tensors[name].role in ("parameter", "constant")

    def origin(self, name: str) -> Node | None:
        """Return the node that makes the value, folded or not."""
        place = self._producers.get(name)
        return None if place is None else self._nodes[place]

    def producer(self, name: str, *op_types: str) -> Node | None:
        """Return the executing standard node whose first output is the value, if its type is in ``op_types``."""
        node = self.origin(name)
        if node is None or node.folded or node.domain or node.outputs[0] != name:
            return None
        return node if not op_types or node.op_type in op_types else None

    def readers(self, name: str) -> tuple[Node, ...]:
        """Return the nodes that read the value, in order."""
        return tuple(self._nodes[place] for place in sorted(self._readers.get(name, ())))

    def private(self, name: str) -> bool:
        """Decide whether exactly one node reads the value and the model does not return it."""
        return len(self._readers.get(name, ())) == 1 and name not in self._outputs

    def apply(self, anchor: Node, match: Match, pattern: str = "") -> bool:
        """Apply the match unless something outside it needs a removed value or the nodes do not run equally often."""
        going = (anchor, *match.absorbed, *(old for old, _ in match.rewritten))
        often = (anchor.repeats, anchor.loaded)
        if not self._closed(going, match) or any((node.repeats, node.loaded) != often for node in going):
            return False
        coming = (match.node, *(node for _, node in match.rewritten), *match.inserted)
        self.changes.append(Change(pattern=pattern, old=going, new=coming, tensors=match.tensors))
        self.tensors.update({tensor.name: tensor for tensor in match.tensors})
        places = [self._place(node) for node in match.absorbed]
        for place in dict.fromkeys(places):
            self._unlink(place)
            del self._nodes[place]
        for old, new in (*match.rewritten, (anchor, match.node)):
            place = self._place(old)
            self._unlink(place)
            self._nodes[place] = new
            self._link(place, new)
        for count, new in enumerate(match.inserted, start=1):  # between this place and the one before
            self._nodes[place - count / (len(match.inserted) + 1)] = new
            self._link(place - count / (len(match.inserted) + 1), new)
        return True

    def _closed(self, going: tuple[Node, ...], match: Match) -> bool:
        """Decide whether only removed nodes read the removed values."""
        places = {self._place(node) for node in going}
        kept = set(match.node.outputs)
        return all(self._hidden(name, places) for node in going for name in node.outputs if name and name not in kept)

    def _hidden(self, name: str, places: Container[float]) -> bool:
        return name not in self._outputs and all(place in places for place in self._readers.get(name, ()))

    def _place(self, node: Node) -> float:
        return next(self._producers[name] for name in node.outputs if name)

    def _link(self, place: float, node: Node) -> None:
        for name in node.outputs:
            if name:
                self._producers[name] = place
        for name in node.inputs:
            if name and not node.folded:
                self._readers.setdefault(name, set()).add(place)

    def _unlink(self, place: float) -> None:
        node = self._nodes[place]
        self._gone.update(node.outputs)
        for name in node.outputs:
            if self._producers.get(name) == place:
                del self._producers[name]
        for name in node.inputs:
            self._readers.get(name, set()).discard(place)
