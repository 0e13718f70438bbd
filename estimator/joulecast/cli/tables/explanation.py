"""Where the joules of a forecast go: by cause, by op type, by layer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from joulecast.cli.tables.profiles import label, plain_table
from joulecast.cli.tables.quantities import bar, metric, percent, quantity

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from joulecast.energy.model import EnergyEstimate, LayerEnergy


class _Cost(NamedTuple):
    """A line of a table of costs, in joules and seconds."""

    labels: tuple[str, ...]
    static: float
    compute: float
    memory: float
    seconds: float

    @property
    def joules(self) -> float:
        return self.static + self.compute + self.memory


def explanation(estimate: EnergyEstimate, *, top: int) -> list[RenderableType]:
    """Build three tables of one forecast; the last has the ``top`` layers (0: all)."""
    name = f"{estimate.accelerator}, batch size {estimate.batch_size}"
    by_op_type = _by_op_type(estimate.layers)
    by_layer = sorted((_cost(layer) for layer in estimate.layers), key=_joules, reverse=True)
    shown = by_layer[:top] if top else by_layer
    total = estimate.joules_per_batch
    return [
        _causes(f"Where the joules go: {name}", estimate),
        _costs(f"By op type: {name}", ("op type", "ops"), by_op_type, total),
        _costs(
            f"Layers that cost most ({len(shown):,} of {len(by_layer):,}): {name}", ("layer", "op type"), shown, total
        ),
    ]


def _causes(title: str, estimate: EnergyEstimate) -> Table:
    total = estimate.joules_per_batch or 1.0
    table = plain_table(title, ("cause", False), ("energy", True), ("share", True), ("", False), ("what it is", False))
    for cause, joules, meaning in causes(estimate):
        table.add_row(cause, quantity(joules, "J"), percent(joules / total), bar(joules / total), meaning)
    return table


def causes(estimate: EnergyEstimate) -> list[tuple[str, float, str]]:
    """Return the four parts that make up ``joules_per_batch``, with what each means."""
    layers = estimate.layers
    return [
        ("compute", sum(layer.compute_joules for layer in layers), "arithmetic"),
        ("memory", sum(layer.memory_joules for layer in layers), "bytes moved"),
        ("static", sum(layer.static_joules for layer in layers), "power that flows whatever runs, while kernels run"),
        ("gap", estimate.gap_joules, "power while no kernel runs: launches, host time"),
    ]


def _by_op_type(layers: Sequence[LayerEnergy]) -> list[_Cost]:
    groups: dict[str, list[LayerEnergy]] = defaultdict(list)
    for layer in layers:
        groups[layer.op_type].append(layer)
    return sorted(
        (_sum((op_type, f"{len(rows):,}"), rows) for op_type, rows in groups.items()), key=_joules, reverse=True
    )


def _sum(labels: tuple[str, ...], layers: Iterable[LayerEnergy]) -> _Cost:
    costs = [_cost(layer) for layer in layers]
    return _Cost(
        labels,
        static=sum(cost.static for cost in costs),
        compute=sum(cost.compute for cost in costs),
        memory=sum(cost.memory for cost in costs),
        seconds=sum(cost.seconds for cost in costs),
    )


def _cost(layer: LayerEnergy) -> _Cost:
    name = label(layer.name) if layer.priced else f"{label(layer.name)} (not priced)"
    parts = layer.static_joules, layer.compute_joules, layer.memory_joules, layer.seconds
    return _Cost((name, layer.op_type), *parts)


def _joules(cost: _Cost) -> float:
    return cost.joules


def _costs(title: str, labels: tuple[str, str], costs: Sequence[_Cost], total: float) -> Table:
    energy = metric("J", [cost.joules for cost in costs])
    time = metric("s", [cost.seconds for cost in costs])
    figures = (
        energy.unit,
        "share",
        f"compute {energy.unit}",
        f"memory {energy.unit}",
        f"static {energy.unit}",
        f"time {time.unit}",
    )
    table = plain_table(
        title, *((label, label == "ops") for label in labels), *((figure, True) for figure in figures), ("", False)
    )
    for cost in costs:
        share = cost.joules / (total or 1.0)
        parts = (energy.text(part) for part in (cost.compute, cost.memory, cost.static))
        table.add_row(
            *cost.labels, energy.text(cost.joules), percent(share), *parts, time.text(cost.seconds), bar(share)
        )
    return table
