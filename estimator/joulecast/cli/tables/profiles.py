"""What ``joulecast profile`` shows."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table

from joulecast.cli.tables.cells import Cells, line
from joulecast.cli.tables.quantities import bar, binary, metric, percent, quantity, size

if TYPE_CHECKING:
    from rich.console import RenderableType

    from joulecast.graph import Shape
    from joulecast.layers import Coverage, LayerProfile, ModelProfile

_NARROWEST = 8  # characters; a name folded into less is hard to read
_FORMS = {
    "exported": "exported graph",
    "traced": "no entry for it: its class of transformers traced, one pass as torch runs it",
    "engine": "kernels of an inference engine",
    "optimized": "graph optimised by onnxruntime for CPU; on a GPU it may fuse otherwise",
}
_UNCOUNTED = "has no counting rule: its bytes are in the figures, MACs and parameters that it may have are not"
_BOUNDED = "work on what a selection by content keeps; the figures hold the most that it may keep"
_VERIFIED = {"Full": "verified in full", "Manifest": "manifest verified", None: ""}


def profile_tables(profile: ModelProfile, *, top: int) -> list[RenderableType]:
    """Build identity and totals, a table by op type, a table of the ``top`` layers (0: all), and what has no rule."""
    executed = [layer for layer in profile.layers if layer.kind != "free"]
    shown: list[RenderableType] = [summary(profile), _by_op_type(executed), _by_layer(executed, top)]
    return [*shown, *uncovered(profile.coverage, _UNCOUNTED)]


def summary(profile: ModelProfile) -> Table:
    """Build two columns: what was profiled, and its sums."""
    return facts({**model_facts(profile), **_sums(profile)})


def facts(lines: Mapping[str, str]) -> Table:
    """Build a table of names and texts without rules; empty texts are left out."""
    grid = Cells.grid(padding=(0, 2))
    grid.add_column(style="dim")
    grid.add_column(overflow="fold")
    for name, text in lines.items():
        if text:
            grid.add_row(name, text)
    return grid


def model_facts(profile: ModelProfile) -> dict[str, str]:
    """Return which model was profiled and under which workload."""
    read = "" if profile.bytes_fetched is None else f"{size(profile.bytes_fetched)} read"
    about = (profile.format, _FORMS[profile.graph], read, _VERIFIED[profile.verification])
    return {
        "model": profile.source,
        "digest": profile.digest,
        "form": " · ".join(part for part in about if part),
        "inputs": ", ".join(f"{name} {shape_text(shape)}" for name, shape in profile.input_shapes.items()),
        "values": ", ".join(f"{name} = {value}" for name, value in profile.workload.input_values.items()),
    }


def _sums(profile: ModelProfile) -> dict[str, str]:
    totals, free = profile.totals, sum(layer.kind == "free" for layer in profile.layers)
    return {
        "batch size": str(profile.workload.batch_size),
        "MACs": f"{quantity(totals.macs, 'MAC')} (1 MAC = 2 FLOPs); ops that carry any: {totals.mac_rows:,}",
        "params": f"{totals.params:,}",
        "activations": f"{quantity(totals.activations, '')} elements",
        "moved": size(totals.bytes_moved),
        "kernels": ", ".join(f"{count:,} launches in {runtime}" for runtime, count in totals.kernels.items()),
        "free ops": f"{free:,} (constants, views, shape arithmetic: no kernel runs)" if free else "",
        "coverage": coverage_text(profile.coverage),
    }


def coverage_text(coverage: Coverage) -> str:
    """Describe the shares of FLOPs and of ops that are covered."""
    return f"{percent(coverage.flops)} of FLOPs, {percent(coverage.ops)} of ops"


def shape_text(shape: Shape) -> str:
    """Return a shape as ``1×3×224×224``; a scalar is ``()``."""
    return "×".join(map(str, shape)) or "()"


def uncovered(coverage: Coverage, what: str) -> list[RenderableType]:
    """Return warnings that list op types without a rule or a price, and those whose size is an upper bound."""
    found: list[RenderableType] = []
    if coverage.unsupported:
        found.append(line(f"not covered: {', '.join(coverage.unsupported)} {what}", style="yellow"))
    if coverage.upper_bounds:
        found.append(line(f"at most: {', '.join(coverage.upper_bounds)} {_BOUNDED}", style="yellow"))
    return found


def plain_table(title: str, *columns: tuple[str, bool]) -> Table:
    """Build a table with a rule only below its header.

    ``columns``: header (none for bars), and whether the column holds figures, which are never wrapped.
    """
    table = Cells(
        title=f"\n{title}",
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        padding=(0, 1, 0, 0),
    )
    for header, figures in columns:
        if figures or not header:
            table.add_column(header, justify="right" if figures else "left", no_wrap=True)
        else:
            table.add_column(header, overflow="fold", min_width=max(_NARROWEST, len(header)))
    return table


def grouped(layers: Sequence[LayerProfile]) -> Iterator[tuple[str, list[LayerProfile]]]:
    """Yield the layers of each op type, the most MACs first, then the most bytes."""
    groups: dict[str, list[LayerProfile]] = defaultdict(list)
    for layer in layers:
        groups[layer.op_type].append(layer)
    yield from sorted(groups.items(), key=lambda group: _weight(group[1]), reverse=True)


def _weight(layers: Sequence[LayerProfile]) -> tuple[int, int]:
    return sum(layer.macs for layer in layers), sum(layer.bytes_moved for layer in layers)


def _by_op_type(layers: Sequence[LayerProfile]) -> Table:
    groups = list(grouped(layers))
    weights = {op_type: _weight(rows) for op_type, rows in groups}
    total = sum(macs for macs, _ in weights.values()) or 1
    macs, moved = metric("MAC", [w[0] for w in weights.values()]), binary(w[1] for w in weights.values())
    table = plain_table(
        "By op type", ("op type", False), ("kind", False), ("ops", True), (macs.unit, True), ("share", True),
        ("params", True), (f"{moved.unit} moved", True), ("", False),
    )  # fmt: skip
    for op_type, rows in groups:
        share = weights[op_type][0] / total
        table.add_row(
            op_type, ", ".join(sorted({row.kind for row in rows})), f"{len(rows):,}", macs.text(weights[op_type][0]),
            percent(share), f"{sum(row.params for row in rows):,}", moved.text(weights[op_type][1]), bar(share),
        )  # fmt: skip
    return table


def _by_layer(layers: Sequence[LayerProfile], top: int) -> Table:
    ordered = sorted(layers, key=lambda layer: _weight([layer]), reverse=True)
    shown = ordered[:top] if top else ordered
    total = sum(layer.macs for layer in layers) or 1
    macs, moved = metric("MAC", [layer.macs for layer in shown]), binary(layer.bytes_moved for layer in shown)
    title = f"Layers with the most MACs ({len(shown):,} of {len(layers):,})"
    table = plain_table(
        title, ("layer", False), ("op type", False), ("inputs → outputs", False), (macs.unit, True), ("share", True),
        ("params", True), (f"{moved.unit} moved", True),
    )  # fmt: skip
    for layer in shown:
        table.add_row(
            _named(layer), layer.op_type, _shapes(layer), macs.text(layer.macs), percent(layer.macs / total),
            f"{layer.params:,}", moved.text(layer.bytes_moved),
        )  # fmt: skip
    return table


def _named(layer: LayerProfile) -> str:
    return f"{label(layer.name)} (× {layer.repeats})" if layer.repeats > 1 else label(layer.name)


def label(name: str) -> str:
    """Return a row's name without the number that distinguishes it from others of its module."""
    return re.sub(r"(?<=.)%\d.*$", "", name)


def _shapes(layer: LayerProfile) -> str:
    def side(shapes: Sequence[Shape]) -> str:
        return ", ".join(shape_text(shape) for shape in shapes)

    return (
        f"{side(layer.input_shapes)} → {side(layer.output_shapes)}" if layer.input_shapes else side(layer.output_shapes)
    )
