"""The command ``joulecast fit``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from joulecast.cli.output import progress, write
from joulecast_calibration.cli.evaluate import require_fit
from joulecast_calibration.cli.fitting import fitted_text

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


def command(out: Out, rows: Rows = None, data: Data = None) -> None:
    """Fit an accelerator's profile on measured rows, or every profile on a folder of data sets.

    Takes a minute, with --data several.
    """
    if bool(rows) == bool(data):
        raise typer.BadParameter("give measured ROWS, or --data DIR with published data sets: one of the two")
    require_fit()
    if data:
        _fit_data(data, out)
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


def _fit_data(data: Path, out: Path) -> None:
    if out.is_file():
        raise typer.BadParameter(f"{out} is a file: with --data, --out is a folder for many profiles")
    from joulecast_calibration.fit.profiles import write as fit_and_write

    with progress(f"fitting {data}"):
        written = list(fit_and_write(data, out))
    write("".join(f"{path}\n" for path in written))
