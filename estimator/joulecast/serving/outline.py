"""A model with each different layer once: what layers that repeat cost is computed once and multiplied."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import groupby
from typing import TYPE_CHECKING, Protocol, TypeVar

from joulecast.serving.rows import collected

if TYPE_CHECKING:
    from typing import Self

    from joulecast.blocks import LanguageModel, Layer, Stack, Storage
    from joulecast.layers import LayerProfile
    from joulecast.serving.kernels import Kernels
    from joulecast.serving.passes import Pass


class _Row(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def scope(self) -> str: ...


_AnyRow = TypeVar("_AnyRow", bound=_Row)


@dataclass(frozen=True, slots=True, kw_only=True)
class CountedRows:
    """Rows of a pass, and how often each runs: ``times[i]`` layers run a row like ``rows[i]``."""

    rows: tuple[LayerProfile, ...]
    times: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class SameModel:
    """A model as a key, which equals that very object alone: its fields are too many to compare."""

    model: LanguageModel

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SameModel) and other.model is self.model

    def __hash__(self) -> int:
        return id(self.model)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """A model in short.

    - ``model``: with each different layer once, at the path of the first layer like it.
    - ``places``: for each stack, the path of every layer in order, with that of the first layer like it.
    - ``counts``: the path of each different layer, and how many are like it.
    """

    model: LanguageModel
    places: tuple[tuple[tuple[str, str], ...], ...]
    counts: tuple[tuple[str, int], ...]

    @classmethod
    def of(cls, model: LanguageModel) -> Self:
        """Return ``model`` in short. Layers are alike if their blocks and the storage of their weights are.

        The outlines of the last models are kept, since a forecast asks for that of its model several times.
        """
        return cls._of(SameModel(model))

    @classmethod
    @lru_cache(maxsize=8)
    def _of(cls, same: SameModel) -> Self:
        model = same.model
        decoder, places = _shortened(model, model.decoder)
        encoder, before = (None, ()) if model.encoder is None else _shortened(model, model.encoder)
        stacks = (before, places) if encoder else (places,)
        return cls(
            model=replace(model, decoder=decoder, encoder=encoder),
            places=stacks,
            counts=tuple(Counter(first for stack in stacks for _, first in stack).items()),
        )

    def rows(self, run: Pass, *, cards: int = 1) -> CountedRows:
        """Return the kernels of ``run`` on one of ``cards`` cards. Raises what ``serving.rows.rows`` raises."""
        return _rows(SameModel(self.model), self.counts, run, cards)

    def held_bytes(self, run: Pass, *, cards: int = 1) -> float:
        """Return the bytes of the weights that the kernels of ``run`` keep on a card, those of all layers."""
        kernels = self.collected(run, cards=cards)
        times = _times(kernels.rows, self.counts)
        return sum(held * often for held, often in zip(kernels.held, times, strict=True))

    def collected(self, run: Pass, *, cards: int) -> Kernels:
        return collected(self.model, run, cards=cards)

    def expanded(self, rows: Sequence[_AnyRow]) -> tuple[_AnyRow, ...]:
        """Return ``rows`` for every layer that runs them, in the order in which the model runs, by its own name."""
        firsts = [f"{first}." for first, _ in self.counts]
        groups = [(path[:-1], tuple(own)) for path, own in groupby(rows, lambda row: _layer_of(row.name, firsts))]
        return tuple(row for run in self._in_order(groups) for row in run)

    def _in_order(self, groups: Sequence[tuple[str, tuple[_AnyRow, ...]]]) -> Iterator[tuple[_AnyRow, ...]]:
        by_path, begins = dict(groups), {stack[0][1]: stack for stack in self.places if stack}
        for first, own in groups:
            if not first:
                yield own
            for path, like in begins.get(first, ()):
                if like in by_path:
                    yield tuple(_renamed(row, like, path) for row in by_path[like])


@lru_cache(maxsize=256)
def _rows(same: SameModel, counts: tuple[tuple[str, int], ...], run: Pass, cards: int) -> CountedRows:
    """Return the rows of a pass of a model in short. Those of the last passes are kept: forecasts share some."""
    found = tuple(collected(same.model, run, cards=cards).rows)
    return CountedRows(rows=found, times=_times(found, counts))


def _times(rows: Sequence[_Row], counts: Sequence[tuple[str, int]]) -> tuple[int, ...]:
    often = {f"{path}.": count for path, count in counts}
    return tuple(often.get(_layer_of(row.name, often), 1) for row in rows)


def _layer_of(name: str, paths: Iterable[str]) -> str:
    """Return the one of ``paths``, which end with a dot, that a row lies in, or an empty text."""
    for path in paths:
        if name.startswith(path):
            return path
    return ""


def _renamed(row: _AnyRow, first: str, path: str) -> _AnyRow:
    """Return the row of the layer ``first`` as that of the layer at ``path``."""
    if first == path:
        return row
    scope = path + row.scope.removeprefix(first)
    found: _AnyRow = replace(row, name=path + row.name.removeprefix(first), scope=scope)  # type: ignore[type-var]
    return found


def _shortened(model: LanguageModel, stack: Stack) -> tuple[Stack, tuple[tuple[str, str], ...]]:
    layers = [(layer, layer.path.format(number)) for number, layer in enumerate(stack.each_layer())]
    stored = _stored_within(model, [path for _, path in layers])
    known: dict[Layer, int] = {}
    kinds = {id(layer): known.setdefault(layer, len(known)) for layer, _ in stack.layers}
    firsts: dict[tuple[int, object], str] = {}
    different: list[Layer] = []
    places: list[tuple[str, str]] = []
    for layer, path in layers:
        kind = (kinds[id(layer)], stored.get(path, ()))
        if kind not in firsts:
            firsts[kind] = path
            different.append(replace(layer, path=path))
        places.append((path, firsts[kind]))
    return replace(stack, layers=tuple((layer, 1) for layer in different)), tuple(places)


def _stored_within(model: LanguageModel, paths: Sequence[str]) -> dict[str, tuple[tuple[str, Storage], ...]]:
    """Return, by the path of a layer, the modules in it that are stored otherwise than the rest of the model."""
    known = frozenset(paths)
    found: dict[str, list[tuple[str, Storage]]] = defaultdict(list)
    for module, storage in model.stored_otherwise.items():
        names = module.split(".")
        for depth in range(1, len(names)):
            path = ".".join(names[:depth])
            if path in known:
                found[path].append((".".join(names[depth:]), storage))
                break
    return {path: tuple(sorted(own, key=lambda pair: pair[0])) for path, own in found.items()}
