"""Where the tensors of a pass lie, and which values were written there, because a write through one view changes
all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from joulecast.readers.module.calls import TensorSpec


@dataclass(frozen=True, slots=True)
class Place:
    """The bytes from ``start`` to before ``end`` of one storage.

    For a tensor with gaps these are only the bytes of its elements, by its shape and strides.
    """

    storage: int
    start: int
    end: int
    shape: tuple[int, ...] = ()
    strides: tuple[int, ...] = ()

    def meets(self, other: Place) -> bool:
        """Decide whether the spans in which the elements lie overlap."""
        return self.storage == other.storage and self.start < other.end and other.start < self.end

    def spans(self, other: Place) -> bool:
        return self.storage == other.storage and self.start <= other.start and other.end <= self.end


def storage_of(tensor: torch.Tensor) -> int:
    """Return the identity of the tensor's memory; of the tensor itself where it has no storage (a sparse one)."""
    try:
        return int(tensor.untyped_storage()._cdata)
    except NotImplementedError:
        return id(tensor)


def place_of(tensor: torch.Tensor, storage: int) -> Place:
    """Return where a tensor's elements lie in its storage."""
    if tensor.layout != torch.strided:
        return Place(storage, 0, 1)
    shape, strides = tuple(map(int, tensor.shape)), tuple(map(int, tensor.stride()))
    width = tensor.element_size()
    start = int(tensor.storage_offset()) * width
    last = sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
    return Place(storage, start, start if 0 in shape else start + (last + 1) * width, shape, strides)


@dataclass(frozen=True, slots=True)
class Write:
    """A value written to a place."""

    place: Place
    value: TensorSpec


@dataclass(slots=True)
class Memory:
    """The memory of a pass.

    - ``_first``: the value that a storage first held.
    - ``_seen``: by tensor, its place, the value that it is, and how many writes to its storage it includes.
    - ``earlier``: storages from before the pass.
    """

    earlier: set[int] = field(default_factory=set)
    _first: dict[int, TensorSpec] = field(default_factory=dict)
    _writes: dict[int, list[Write]] = field(default_factory=dict)
    _seen: dict[int, tuple[Place, str, int]] = field(default_factory=dict)

    def enter(self, tensor: torch.Tensor, spec: TensorSpec, within: Sequence[Place] | None = None) -> None:
        """Enter the tensor as the value ``spec``, which includes every write to its place so far.

        ``within``: places of what it was made from; a place outside of all of them in a known storage has seen no write
        yet.
        """
        storage = storage_of(tensor)
        place, writes = place_of(tensor, storage), self._writes.get(storage, ())
        self._first.setdefault(storage, spec)
        outside = within is not None and writes and not any(other.spans(place) for other in within)
        self._seen[id(tensor)] = place, spec.name, 0 if outside else len(writes)

    def change(self, written: Sequence[torch.Tensor], values: Mapping[int, TensorSpec], other: TensorSpec) -> None:
        """Put the value of each tensor where it lies, all at once: those that overlap see one another's from then on.
        ``other``: for a tensor that has none, a value of the call that changed it."""
        places = [self.place(tensor) for tensor in written]
        known = [len(self._writes.get(place.storage, ())) for place in places]
        for tensor, place, count in zip(written, places, known, strict=True):
            value = values.get(id(tensor), other)
            self._writes.setdefault(place.storage, []).append(Write(place, value))
            if id(tensor) in values:
                self._seen[id(tensor)] = place, value.name, count

    def knows(self, tensor: torch.Tensor) -> bool:
        """Decide whether some value lies in the tensor's storage."""
        return storage_of(tensor) in self._first

    def place(self, tensor: torch.Tensor) -> Place:
        """Return where a tensor lay when it was entered last, or where it lies if it never was."""
        seen = self._seen.get(id(tensor))
        return seen[0] if seen is not None else place_of(tensor, storage_of(tensor))

    def unseen(self, tensor: torch.Tensor, storage: int) -> tuple[TensorSpec, ...]:
        """Return the values written to the tensor's place since it was entered, through whatever view.

        Where it was given other memory since (``x.data = y``), return all that lies there. ``storage``: the one that it
        lies in now.
        """
        place, name, known = self._seen[id(tensor)]
        if storage != place.storage:
            return self.held(tensor)
        writes = self._writes.get(storage, ())
        if len(writes) == known:
            return ()
        return tuple(w.value for w in writes[known:] if w.value.name != name and w.place.meets(place))

    def held(self, tensor: torch.Tensor) -> tuple[TensorSpec, ...]:
        """Return all that lies at the place of a tensor that was never entered."""
        storage = storage_of(tensor)
        place = place_of(tensor, storage)
        first = (self._first[storage],) if storage in self._first else ()
        return (*first, *(write.value for write in self._writes.get(storage, ()) if write.place.meets(place)))

    def states(self) -> Iterator[Write]:
        """Yield what was written to memory that existed before the pass, because it outlives the pass."""
        for storage in self.earlier:
            yield from self._writes.get(storage, ())


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """The places that a call reads and those that it makes or changes."""

    reads: tuple[Place, ...]
    makes: tuple[Place, ...]


def needed(footprints: Sequence[Footprint], kept: Iterable[Place]) -> frozenset[int]:
    """Return the positions of the calls whose results the kept values need, directly or through other calls.

    They are found from the last call to the first by places alone, without the names of values, so that the result can
    be compared with what the names say.
    """
    live: dict[int, set[Place]] = {}
    for place in kept:
        _add(place, live)
    found = []
    for position in range(len(footprints) - 1, -1, -1):
        call = footprints[position]
        if any(place.meets(other) for place in call.makes for other in live.get(place.storage, ())):
            found.append(position)
            for place in call.makes:
                live.get(place.storage, set()).discard(place)
            for place in call.reads:
                _add(place, live)
    return frozenset(found)


def _add(place: Place, live: dict[int, set[Place]]) -> None:
    others = live.setdefault(place.storage, set())
    if not any(other.spans(place) for other in others):
        others.add(place)
