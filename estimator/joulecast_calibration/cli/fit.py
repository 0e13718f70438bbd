"""The command ``joulecast fit``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from joulecast.energy.profile import AcceleratorProfile
    from joulecast_calibration.calibrate.summary import CalibrationState
    from joulecast_calibration.fit.profiles import FittedRows
from typing import Annotated

import typer

from joulecast.cli.output import progress, write
from joulecast_calibration.cli.evaluate import require_fit

EXAMPLES = (
    "Examples: `joulecast fit rows --out profile.json` · `joulecast fit --data measurements --out profiles` ·"
    " `joulecast estimate model.onnx -a profile.json`"
)

Rows = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="ROWS",
        help="What `joulecast measure` wrote: folders, or .jsonl files of them. All of one accelerator.",
        show_default=False,
    ),
]
Data = Annotated[
    Path | None,
    typer.Option("--data", metavar="DIR", help="In place of ROWS: a folder of published data sets.", exists=True,
                 file_okay=False),
]  # fmt: skip
Out = Annotated[
    Path, typer.Option("--out", metavar="PATH", help="The profile to write; with --data a folder of profiles.")
]


Measured = Annotated[
    Path | None,
    typer.Option("--measured", metavar="DIR", help="With --data: measured rows, a folder for each accelerator.",
                 exists=True, file_okay=False),
]  # fmt: skip


Served = Annotated[
    bool,
    typer.Option("--served", help="With --data: fit the time that vllm spends between passes, and its intervals, on"
                 " served models; --out is the table of engines' coefficients, kept but for these."),
]  # fmt: skip


def command(out: Out, rows: Rows = None, data: Data = None, measured: Measured = None, served: Served = False) -> None:
    """Fit an accelerator's profile on measured rows, or every profile on a folder of data sets.

    Takes a minute, with --data several.
    """
    if bool(rows) == bool(data):
        raise typer.BadParameter("give measured ROWS, or --data DIR with published data sets: one of the two")
    if measured and not data:
        raise typer.BadParameter("--measured goes with --data: give the folder of published data sets too")
    if served and (not data or measured):
        raise typer.BadParameter("--served goes with --data alone: give the folder of published data sets")
    require_fit()
    if served and data:
        _fit_served(data, out)
    elif data:
        _fit_data(data, out, measured)
    elif rows:
        _fit_rows(rows, out)


def _fit_rows(rows: list[Path], out: Path) -> None:
    if out.is_dir():
        raise typer.BadParameter(f"{out} is a folder: give the file of the profile, as --out {out / 'profile.json'}")
    from joulecast_calibration.files import write_whole
    from joulecast_calibration.fit.profiles import fit_measured

    with progress(f"fitting {', '.join(map(str, rows))}"):
        fitted = fit_measured(rows)
    write_whole(out, fitted.profile.to_json())
    write(fitted_text(fitted, out))


def _fit_served(data: Path, table: Path) -> None:
    if not table.is_file():
        raise typer.BadParameter(f"{table} is no file: with --served, --out is a table of engines' coefficients")
    from joulecast_calibration.evaluate.serving.shipping import fit_served, with_served
    from joulecast_calibration.files import write_whole

    with progress(f"fitting served models of {data}"):
        step, interval = fit_served(data)
    write_whole(table, with_served(table.read_text("utf-8"), step, interval))
    write(
        f"step         {step.seconds:.3g} s, and {step.sequence_seconds:.3g} s a sequence\n{step.origin}\n"
        f"intervals    seconds ± {interval.seconds:.3f}, watts ± {interval.watts:.3f}, joules ± {interval.joules:.3f}"
        f" (logarithms)\n{interval.origin}\n"
    )


def _fit_data(data: Path, out: Path, measured: Path | None) -> None:
    if out.is_file():
        raise typer.BadParameter(f"{out} is a file: with --data, --out is a folder for many profiles")
    from joulecast_calibration.fit.profiles import write as fit_and_write

    with progress(f"fitting {data}"):
        written = list(fit_and_write(data, out, measured))
    write("".join(f"{path}\n" for path in written))


_TASKS = ("vision", "nlp", "audio", "unseen_llms")


def fitted_text(fitted: FittedRows, path: Path) -> str:
    """Describe in a few lines what was fitted, its error, and where the profile was written."""
    table, profile = fitted.table, fitted.profile
    networks = int(table.is_network.sum())
    lines = [
        f"{profile.product}{', SIMULATED: good for tests alone' if profile.simulated else ''}",
        f"fitted       {networks} networks, {table.size - networks} layers",
        *(f"left out     {number} rows: {reason}" for reason, number in left_out_of(fitted).items()),
        *held_out_lines(profile),
        f"interval     {interval_text(profile)}",
        f"profile      {path}",
    ]
    return "".join(f"{line}\n" for line in lines)


def left_out_of(fitted: FittedRows) -> dict[str, int]:
    """Count the layers and networks of the journals that were not fitted, by reason."""
    return dict(sorted({**fitted.journal.refused, **fitted.table.left_out}.items()))


def held_out_lines(profile: AcceleratorProfile) -> list[str]:
    found = profile.held_out
    if not found:
        return ["held out     too few families to tell how wrong it is on others"]
    where = f"{found['rows']:.0f} rows of {found['families']:.0f} families, each by a fit without it"
    lines = [f"held out     {_errors(found, '')}, on {where}"]
    return lines + [f"  {task:<11}{_errors(found, f'{task}_')}" for task in _TASKS if f"{task}_median_ape" in found]


def interval_text(profile: AcceleratorProfile) -> str:
    interval = profile.interval
    width = 100 * math.expm1(interval.log_half_width)
    covered = f", held {100 * interval.coverage:.0f} % of held-out rows" if interval.coverage is not None else ""
    return f"{100 * interval.level:.0f} %: up to ±{width:.0f} %{covered}; {interval.rule}"


def _errors(found: Mapping[str, float], prefix: str) -> str:
    values = [100 * found[f"{prefix}{name}_ape"] for name in ("median", "mean", "max")]
    return "median {:.1f} %, mean {:.1f} %, max {:.1f} %".format(*values)


def calibrated_text(fitted: FittedRows, summary: CalibrationState, path: Path) -> str:
    """Extend ``fitted_text`` with the checks of the rows and the comparison with the old profile."""
    checks = [f"{check['state']:<5}{check['name']}: {check['says']}" for check in summary.verdict]
    steps = [
        f"{step['layers']:>4} layers fitted: median error {100 * step['median_ape']:.1f} %, mean"
        f" {100 * step['mean_ape']:.1f} %, on {step['rows']} {step['on']} that were not"
        for step in summary.learning
    ]
    better = f"{'better' if summary.better else 'no better'}: {summary.says}"
    return "".join(f"{line}\n" for line in [*checks, *steps]) + fitted_text(fitted, path) + f"{better}\n"
