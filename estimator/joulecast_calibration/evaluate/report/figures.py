"""Draw the pictures of the report, each as one SVG. Needs matplotlib (extra ``report``)."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from joulecast.energy.features import Array, Flags
from joulecast_calibration.evaluate.contenders import PHYSICAL, SYSTEMS
from joulecast_calibration.evaluate.evaluation import LearningScore, OpTypeScore, ScoredForecasts, half_widths_percent
from joulecast_calibration.plotting import pyplot

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WIDE = (10.0, 4.0)  # inches
_FLOOR_PERCENT = 0.1  # smaller errors are drawn as this: a logarithmic axis has no zero
_PERCENTS = (0.5, 1, 2, 5, 10, 20, 50, 100, 200)
_MOST_BARS = 24  # groups of bars that a page is wide enough for
_DOT = {"s": 10, "alpha": 0.6, "linewidths": 0}


def error_distribution(each: Sequence[ScoredForecasts]) -> str:
    """Draw the errors of every system as a histogram and violins, one forecast a line."""
    figure, (left, right) = subplots(_WIDE, 1, 2)
    logs = [np.log10(np.maximum(own.percent, _FLOOR_PERCENT)) for own in each]
    edges = np.linspace(min(map(np.min, logs)), max(map(np.max, logs)), 30)
    for own, values in zip(each, logs, strict=True):
        width = 2.0 if own.system == PHYSICAL else 1.0
        left.hist(10**values, bins=list(10**edges), histtype="step", label=own.system, linewidth=width)
    left.set(xscale="log", xlabel="absolute error, %", ylabel="rows")
    left.legend(fontsize="small")
    right.violinplot(logs, showmedians=True, widths=0.9)
    right.set(ylabel="absolute error, %")
    right.set_xticks(range(1, len(each) + 1), [own.system for own in each], rotation=30)
    right.set_yticks(range(-1, 4), [f"{10.0**power:g}" for power in range(-1, 4)])
    right.grid(axis="y", alpha=0.3)
    return as_svg(figure)


def error_by_batch(each: Sequence[ScoredForecasts]) -> str:
    """Draw the median error of every system by batch size."""
    figure, axes = subplots(_WIDE)
    for own in each:
        sizes = np.array([row.batch_size for row in own.rows], dtype=float)
        steps = np.unique(sizes)
        medians = [np.median(own.percent[sizes == step]) for step in steps]
        axes.plot(steps, medians, marker="o", label=own.system, linewidth=2.0 if own.system == PHYSICAL else 1.0)
    axes.set(xscale="log", yscale="log", xlabel="batch size", ylabel="median absolute error, %")
    axes.set_xticks(steps, [f"{step:g}" for step in steps])
    axes.set_yticks(_PERCENTS, [f"{percent:g}" for percent in _PERCENTS])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small", ncols=3)
    return as_svg(figure)


def errors_by_group(
    each: Sequence[ScoredForecasts],
    group: Callable[[ScoredForecasts], Array],
    *,
    label: Callable[[ScoredForecasts], str],
) -> str:
    """Draw the median error of each forecast in each group of rows as bars side by side."""
    figure, axes = subplots(_WIDE)
    names = sorted({name for own in each for name in group(own).tolist()})
    width = 0.8 / len(each)
    for position, own in enumerate(each):
        medians = [np.median(own.percent[group(own) == name]) if (group(own) == name).any() else 0.0 for name in names]
        places = np.arange(len(names)) + (position - (len(each) - 1) / 2) * width
        look = {"color": f"C{SYSTEMS.index(own.system)}", "hatch": "///" if own.study else "", "edgecolor": "white"}
        axes.bar(places, medians, width, label=label(own), **look)
    axes.set_xticks(range(len(names)), names)
    axes.set(ylabel="median absolute error, %")
    figure.legend(fontsize="small", ncols=6 if len(each) <= len(SYSTEMS) else 4, loc="outside upper center")
    return as_svg(figure)


def sorted_errors(each: Sequence[ScoredForecasts]) -> str:
    """Draw the median error of every system on each architecture, from the best to the worst."""
    figure, axes = subplots(_WIDE)
    for own in each:
        names, where = np.unique(own.architectures, return_inverse=True)
        medians = np.sort([np.median(own.percent[where == position]) for position in range(names.size)])
        share = 100 * (1 + np.arange(names.size)) / names.size
        width = 2.0 if own.system == PHYSICAL else 1.0
        axes.plot(share, np.maximum(medians, _FLOOR_PERCENT), label=own.system, linewidth=width)
    axes.set(yscale="log", xlabel="architectures, %", ylabel="median absolute error, % (or less)")
    axes.set_yticks(_PERCENTS, [f"{percent:g}" for percent in _PERCENTS])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small", ncols=3)
    return as_svg(figure)


def error_by_op_type(each: Sequence[OpTypeScore]) -> str:
    """Draw the median error on measured layers of each op type, the most frequent first, one bar a system."""
    counts = {score.op_type: score.n for score in each}
    names = sorted(counts, key=lambda name: -counts[name])[:_MOST_BARS]
    systems = [system for system in SYSTEMS if any(score.system == system for score in each)]
    width = 0.8 / len(systems)
    figure, axes = subplots(_WIDE)
    for position, system in enumerate(systems):
        found = {score.op_type: score.median_ape for score in each if score.system == system}
        places = np.arange(len(names)) + (position - (len(systems) - 1) / 2) * width
        heights = [max(found.get(name, _FLOOR_PERCENT), _FLOOR_PERCENT) for name in names]
        axes.bar(places, heights, width, label=system, color=f"C{SYSTEMS.index(system)}")
    axes.set_xticks(
        range(len(names)), [f"{name} ({counts[name]})" for name in names], rotation=60, ha="right", fontsize="small"
    )
    axes.set(yscale="log", ylabel="median absolute error, %", xlim=(-0.6, len(names) - 0.4))
    axes.grid(axis="y", alpha=0.3)
    figure.legend(fontsize="small", ncols=6, loc="outside upper center")
    return as_svg(figure)


def error_by_layers(each: Sequence[LearningScore]) -> str:
    """Draw the median and mean error against the number of fitted layers."""
    figure, axes = subplots((10.0, 3.2))
    steps = np.arange(len(each))
    axes.plot(steps, [score.median_ape for score in each], marker="o", label="median")
    axes.plot(steps, [score.mean_ape for score in each], marker="o", label="mean")
    axes.set_xticks(steps, [str(score.layers) if score.layers else "data sheet alone" for score in each])
    axes.set(xlabel="layers fitted", ylabel="absolute error, %")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    return as_svg(figure)


def intervals(each: Sequence[ScoredForecasts]) -> str:
    """Draw coverage and half-width of the 90 % interval by architecture or task, one line a split."""
    figure, (left, right) = subplots(_WIDE, 1, 2)
    names = sorted(set(each[0].groups.tolist()))
    for own in each:
        kept = [own.groups == name for name in names]
        left.plot(names, [own.inside[rows].mean() for rows in kept], "o", label=own.split)
        widths = half_widths_percent(own.log_half_width)
        right.plot(names, [np.median(widths[rows]) for rows in kept], "o", label=own.split)
    left.axhspan(0.85, 0.95, alpha=0.15)
    left.set(ylabel="share of rows inside", ylim=(0, 1.05))
    right.set(ylabel="median half-width, % of the forecast")
    for axes in (left, right):
        axes.tick_params(axis="x", rotation=30)
        axes.legend(fontsize="small")
    return as_svg(figure)


def predicted_against_measured(own: ScoredForecasts) -> str:
    """Draw forecast against measured joules by architecture or task, with the interval's bounds as bars."""
    figure, axes = subplots((6.0, 6.0))
    low, high = (own.joules * np.exp(sign * own.log_half_width) for sign in (-1, 1))
    axes.vlines(own.truth, low, high, alpha=0.08, linewidth=1)
    _dots(axes, own, own.truth, own.joules)
    ends = [own.truth.min(), own.truth.max()]
    axes.plot(ends, ends, color="black", linewidth=1)
    axes.set(xscale="log", yscale="log", xlabel="measured, J per batch", ylabel="forecast, J per batch")
    axes.legend(fontsize="small")
    return as_svg(figure)


def residuals(own: ScoredForecasts) -> str:
    """Draw the signed error against measured joules, clock, batch size and sequence length."""
    rows = own.rows
    panels = {
        "measured, J": own.truth,
        "SM clock, MHz": np.array([row.clock_mhz or np.nan for row in rows]),
        "batch size": np.array([row.batch_size for row in rows], dtype=float),
        "tokens": np.array([row.sequence or np.nan for row in rows]),
    }
    known = {name: values for name, values in panels.items() if np.isfinite(values).any()}
    figure, every = subplots(_WIDE, 1, len(known), sharey=True, squeeze=False)
    for axes, (name, values) in zip(every[0], known.items(), strict=True):
        _dots(axes, own, values, 100 * (own.joules / own.truth - 1))
        axes.axhline(0, color="black", linewidth=1)
        axes.set(xlabel=name, xscale="linear" if "clock" in name else "log")
    every[0][0].set(ylabel="forecast less measured, %")
    every[0][-1].legend(fontsize="x-small")
    return as_svg(figure)


def repeat_distances(percent: Array, own: ScoredForecasts) -> str:
    """Draw how far repeated rows differ from the first, beside the errors of forecasts."""
    figure, axes = subplots((10.0, 2.6))
    for position, values in enumerate((percent, own.percent)):
        axes.scatter(np.maximum(values, 0.01), np.full(values.size, position), marker="|", alpha=0.6)
    axes.set_yticks([0, 1], ["repeats", f"errors of {own.system}"])
    axes.set(xscale="log", xlabel="%", ylim=(-0.6, 1.6))
    return as_svg(figure)


def subplots(size_inches: tuple[float, float], *grid: int, **options: Any) -> Any:
    """Return a figure and its axes."""
    return pyplot().subplots(*grid, figsize=size_inches, layout="constrained", **options)


def _dots(axes: Axes, own: ScoredForecasts, x: Array, y: Array) -> None:
    groups = own.groups
    for name in sorted(set(groups.tolist())):
        kept: Flags = groups == name
        axes.scatter(x[kept], y[kept], label=name, **_DOT)  # type: ignore[arg-type]


def as_svg(figure: Any) -> str:
    """Convert the figure to an SVG element whose letters are text, and close the figure."""
    plot = pyplot()
    text = io.StringIO()
    with plot.rc_context({"svg.fonttype": "none"}):
        figure.savefig(text, format="svg", metadata={"Date": None})
    plot.close(figure)
    return "<svg" + text.getvalue().partition("<svg")[2]
