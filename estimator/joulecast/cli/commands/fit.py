"""``joulecast fit``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from joulecast.cli.commands.evaluate import Data, require_fit
from joulecast.cli.output import progress, write

EXAMPLES = (
    "Examples: `joulecast fit --data measurements --out profiles` ·"
    " `joulecast estimate model.onnx -a profiles/NVIDIA-H200.json`"
)

Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the profiles go.", file_okay=False)]


def command(data: Data, out: Out) -> None:
    """Fit accelerator profiles from measured data sets, and print the files written.

    Takes minutes.
    """
    require_fit()
    from joulecast.calibration.fit.profiles import write as fit_and_write

    with progress(f"fitting {data}"):
        written = list(fit_and_write(data, out))
    write("".join(f"{path}\n" for path in written))
