"""A model with each different layer once: the seconds of its passes are sums over layers, most of which are equal.

Seconds alone: joules of a pass are no such sum, because a power limit holds for the pass as a whole.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from joulecast.energy.engines.pricing import price_pass
from joulecast.serving.rows import rows

if TYPE_CHECKING:
    from joulecast.blocks import LanguageModel, Layer, Storage
    from joulecast.energy.profile import AcceleratorProfile
    from joulecast.serving.passes import Pass

_Kind = tuple["Layer", tuple[tuple[str, "Storage"], ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ThinModel:
    """``model``: with one layer of each kind; ``times``: how often each runs, by the start of its rows' names."""

    model: LanguageModel
    times: tuple[tuple[str, int], ...]

    def seconds(self, run: Pass, profile: AcceleratorProfile, *, engine: str, cards: int) -> float:
        """Return the seconds of the kernels of ``run`` of the whole model on one of ``cards`` cards."""
        priced = price_pass(rows(self.model, run, cards=cards), profile, engine=engine, cards=cards)
        return sum(each.seconds * self._times(each.name) for each in priced.layers)

    def _times(self, name: str) -> int:
        return next((times for start, times in self.times if name.startswith(start)), 1)


def thinned(model: LanguageModel) -> ThinModel:
    """Return ``model`` with one layer of each kind: the same blocks, stored alike."""
    kinds: Counter[_Kind] = Counter()
    for number, layer in enumerate(model.decoder.each_layer()):
        kinds[layer, _stored(model, _start(layer, number))] += 1
    layers = [layer for layer, _ in kinds]
    starts = [_start(layer, number) for number, layer in enumerate(layers)]
    return ThinModel(
        model=_with_layers(model, list(kinds), starts),
        times=tuple(zip(starts, kinds.values(), strict=True)),
    )


def _start(layer: Layer, number: int) -> str:
    return layer.path.format(number) + "."


def _stored(model: LanguageModel, start: str) -> tuple[tuple[str, Storage], ...]:
    """Return what of the layer whose modules' paths begin with ``start`` is stored in a way of its own."""
    own = model.stored_otherwise.items()
    return tuple(sorted(((p.removeprefix(start), s) for p, s in own if p.startswith(start)), key=lambda e: e[0]))


def _with_layers(model: LanguageModel, kinds: Sequence[_Kind], starts: Sequence[str]) -> LanguageModel:
    everywhere = [_start(layer, n) for n, layer in enumerate(model.decoder.each_layer())]
    rest = {p: s for p, s in model.stored_otherwise.items() if not p.startswith(tuple(everywhere))}
    own = {start + path: s for (_, stored), start in zip(kinds, starts, strict=True) for path, s in stored}
    layers = tuple((layer, 1) for layer, _ in kinds)
    return replace(model, decoder=replace(model.decoder, layers=layers), stored_otherwise=rest | own)
