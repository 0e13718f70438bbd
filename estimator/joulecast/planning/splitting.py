"""A graph cut in two: which layers run on each of two machines, and what crosses the link between them.

Everything before the cut runs on the first machine, where the inputs are, and the rest on the second. A tensor crosses
once, however many layers read it. Weights lie on both sides already, and the results stay where they are computed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from joulecast.counting import totals
from joulecast.energy.pricing import price
from joulecast.errors import WorkloadError
from joulecast.graph import FLOATING_DTYPES, ITEMSIZE_BYTES, STORED
from joulecast.planning.comparison import SAME_CARD
from joulecast.planning.links import Link
from joulecast.units import Joules, Seconds

if TYPE_CHECKING:
    from joulecast.energy.model import EnergyEstimate
    from joulecast.energy.profile import AcceleratorProfile
    from joulecast.graph import ModelGraph, Node
    from joulecast.layers import ModelProfile

MOST_CUTS = 256
"""Cuts that are priced. Of a larger graph those that put no more bytes on the link than the cuts beside them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """What runs on one machine: ``layers`` of the graph, zero joules and seconds where there are none."""

    layers: int
    joules: Joules
    joules_lower: Joules
    joules_upper: Joules
    seconds: Seconds

    @property
    def half_width(self) -> Joules:
        """Half of the interval."""
        return Joules((self.joules_upper - self.joules_lower) / 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """One cut, for one batch.

    - ``after``: the last layer of the first machine; None where all runs on the second.
    - ``tensors``: how many cross; ``link_bytes``: their size.
    - ``seconds``: of both sides and the link, one after the other.
    """

    after: str | None
    first: Side
    second: Side
    tensors: int
    link_bytes: int
    link_joules: Joules
    link_seconds: Seconds

    @property
    def joules(self) -> Joules:
        return Joules(self.first.joules + self.second.joules + self.link_joules)

    @property
    def joules_lower(self) -> Joules:
        """The sum of lower ends: errors of the two machines are taken to have the same sign."""
        return Joules(self.first.joules_lower + self.second.joules_lower + self.link_joules)

    @property
    def joules_upper(self) -> Joules:
        return Joules(self.first.joules_upper + self.second.joules_upper + self.link_joules)

    @property
    def seconds(self) -> Seconds:
        return Seconds(self.first.seconds + self.second.seconds + self.link_seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """All cuts of a model between two machines, from all layers on the second to all on the first.

    - ``left_out``: cuts of a large graph that were not priced.
    - ``reasons``: why the intervals are as wide as they are, by machine.
    """

    batch_size: int
    between: tuple[str, str]
    link: Link
    cuts: tuple[Cut, ...]
    left_out: int
    reasons: tuple[str, ...]

    @property
    def by_joules(self) -> Cut:
        """The cut of the fewest joules; of several, the first."""
        return min(self.cuts, key=lambda cut: cut.joules)

    @property
    def by_latency(self) -> Cut:
        """The cut of the least time; of several, the first."""
        return min(self.cuts, key=lambda cut: cut.seconds)

    @property
    def rivals(self) -> tuple[Cut, ...]:
        """The model whole on either machine, where the intervals do not tell it from the cut of the fewest joules."""
        best, ends = self.by_joules, (self.cuts[0], self.cuts[-1])
        return tuple(end for end in ends if end is not best and not told_apart(best, end))


def told_apart(one: Cut, other: Cut) -> bool:
    """Decide whether the intervals tell which of two cuts costs less.

    Errors of two machines are independent; of the errors of two parts on one machine a share stays (ADR 0178).
    """
    return abs(one.joules - other.joules) > math.hypot(
        _between(one.first, other.first), _between(one.second, other.second)
    )


def _between(one: Side, other: Side) -> float:
    """Return the half-width of the difference of two parts on one machine; none of the same part."""
    if one == other:
        return 0.0
    apart = math.hypot(one.half_width, other.half_width)
    return SAME_CARD * apart if one.layers and other.layers else apart


def split_graph(
    graph: ModelGraph,
    profile: ModelProfile,
    between: tuple[AcceleratorProfile, AcceleratorProfile],
    link: Link,
    *,
    precision: str = "default",
    runtime: str = "torch-eager",
) -> Split:
    """Price every cut of ``graph``, whose rows are those of ``profile``.

    Raises NotCalibratedError where a side cannot be priced, and WorkloadError for a graph without a layer.
    """
    crossing = Crossing.of(graph, half=precision in ("bf16", "fp16"))
    places = [number + 1 for number, row in enumerate(profile.layers) if row.kind != "free"]
    if not places:
        raise WorkloadError(f"{profile.source} has no layer to cut at: give a model that computes")
    every = [0, *places]
    kept = _kept(every, [crossing.at(place).bytes for place in every])
    priced = _Sides(profile, between, precision=precision, runtime=runtime)
    cuts = tuple(_cut(place, profile, crossing, priced, link, last=place == every[-1]) for place in kept)
    return Split(
        batch_size=profile.workload.batch_size,
        between=(between[0].product, between[1].product),
        link=link,
        cuts=cuts,
        left_out=len(every) - len(kept),
        reasons=tuple(dict.fromkeys(priced.reasons)),
    )


def _kept(places: Sequence[int], sizes: Sequence[int]) -> list[int]:
    """Return the places to price: all of a small graph, else both ends and where no neighbour sends less."""
    if len(places) <= MOST_CUTS:
        return list(places)
    inner = range(1, len(places) - 1)
    least = [place for place in inner if sizes[place] <= min(sizes[place - 1], sizes[place + 1])]
    return [places[0], *(places[place] for place in least), places[-1]]


def _cut(place: int, profile: ModelProfile, crossing: Crossing, sides: _Sides, link: Link, *, last: bool) -> Cut:
    sent = Sent(tensors=0, bytes=0) if last else crossing.at(place)
    return Cut(
        after=profile.layers[place - 1].name if place else None,
        first=sides.of(0, 0, place),
        second=sides.of(1, len(profile.layers) if last else place, len(profile.layers)),
        tensors=sent.tensors,
        link_bytes=sent.bytes,
        link_joules=link.joules(sent.bytes),
        link_seconds=link.seconds(sent.bytes),
    )


class _Sides:
    """Prices parts of a profile on either machine."""

    def __init__(
        self,
        profile: ModelProfile,
        between: tuple[AcceleratorProfile, AcceleratorProfile],
        *,
        precision: str,
        runtime: str,
    ) -> None:
        self._profile, self._between = profile, between
        self._precision, self._runtime = precision, runtime
        self.reasons: list[str] = []

    def of(self, machine: int, start: int, end: int) -> Side:
        """Return what the layers from ``start`` up to ``end`` cost on the machine of that number."""
        layers = self._profile.layers[start:end]
        if all(row.kind == "free" for row in layers):
            nothing = Joules(0.0)
            return Side(layers=0, joules=nothing, joules_lower=nothing, joules_upper=nothing, seconds=Seconds(0.0))
        part = replace(self._profile, layers=layers, totals=totals(layers))
        found = price(part, self._between[machine], precision=self._precision, runtime=self._runtime)
        self.reasons += [f"{found.accelerator}: {reason}" for reason in found.reasons]
        return _side(found, sum(row.kind != "free" for row in layers))


def _side(found: EnergyEstimate, layers: int) -> Side:
    return Side(
        layers=layers,
        joules=found.joules_per_batch,
        joules_lower=found.joules_per_batch_lower,
        joules_upper=found.joules_per_batch_upper,
        seconds=found.latency_seconds,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What a cut puts on the link."""

    tensors: int
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossing:
    """For each activation its size, the node that makes it (−1: an input) and the last node that reads it."""

    spans: tuple[tuple[int, int, int], ...]

    @classmethod
    def of(cls, graph: ModelGraph, *, half: bool) -> Crossing:
        """Follow the activations of ``graph``. A view is the tensor that it is a view of.

        ``half``: floating elements are sent in 16 bits.
        """
        stored = {name for name, tensor in graph.tensors.items() if tensor.role in STORED}
        known, root = set(stored), dict[str, str]()
        made = {name: -1 for name in graph.inputs if name not in stored}
        read: dict[str, int] = {}
        for number, node in enumerate(graph.nodes):
            sources = [name for name in graph.reached(node.inputs) if name not in known]
            if node.folded or (not sources and not _draws(node)):
                known |= {name for name in node.outputs if name}
                continue
            for name in sources:
                read[root.get(name, name)] = number
            for name in node.outputs:
                if name:
                    made[name] = number
            root |= {view: root.get(base, base) for view, base in _views(node, graph, known)}
        sizes = {name: _sent_bytes(graph, name, half=half) for name in read}
        return cls(spans=tuple((sizes[name], made.get(name, -1), last) for name, last in read.items()))

    def at(self, place: int) -> Sent:
        """Return what crosses a cut before node ``place``: made before it, read from it on."""
        sizes = [size for size, made, last in self.spans if made < place <= last]
        return Sent(tensors=len(sizes), bytes=sum(sizes))


_VIEWS = ("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Dropout")
"""Operators whose result has the elements of their first input in the same order."""
_RANDOM = ("RandomNormal", "RandomUniform")


def _draws(node: Node) -> bool:
    """Decide whether a node without inputs makes another value in every pass."""
    return node.op_type in _RANDOM


def _views(node: Node, graph: ModelGraph, known: set[str]) -> Iterator[tuple[str, str]]:
    """Yield the result of a view with its first input, where both are as large."""
    if node.op_type not in _VIEWS or node.domain or not node.inputs or node.inputs[0] in known:
        return
    base, view = node.inputs[0], node.outputs[0]
    if graph.tensors[base].numel == graph.tensors[view].numel:
        yield view, base


def _sent_bytes(graph: ModelGraph, name: str, *, half: bool) -> int:
    tensor = graph.tensors[name]
    width = ITEMSIZE_BYTES[tensor.dtype]
    if half and tensor.dtype in FLOATING_DTYPES:
        width = min(width, 2.0)
    return round(tensor.numel * width)
