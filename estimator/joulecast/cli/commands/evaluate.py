"""``joulecast evaluate``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from joulecast.cli.options import Output
from joulecast.cli.output import OutputFormat, progress, write, write_document
from joulecast.documents import header
from joulecast.errors import JoulecastError

EXAMPLES = "Examples: `joulecast evaluate --data measurements` · `joulecast evaluate --data measurements -o json`"

Data = Annotated[
    Path,
    typer.Option("--data", metavar="DIR", help="Folder of measured data sets.", exists=True, file_okay=False),
]
Page = Annotated[
    Path | None, typer.Option("--page", metavar="FILE", help="Also write the accuracy page there.", dir_okay=False)
]


def command(data: Data, page: Page = None, output: Output = OutputFormat.TABLE) -> None:
    """Score forecasts against networks that were measured.

    Each is forecast by a fit that never saw its architecture. Takes minutes.
    """
    require_fit()
    from joulecast.calibration.evaluate import report
    from joulecast.calibration.evaluate.protocol import evaluate

    with progress(f"scoring {data}"):
        found = evaluate(data)
    if output is OutputFormat.TABLE:
        write(report.as_table(found))
    else:
        document = header("evaluation") | json.loads(report.as_json(found))
        write_document(document, output, document["results"])
    if page:
        page.write_text(report.as_page(found), "utf-8")


def require_fit() -> None:
    """Raises JoulecastError (MissingDependency) where the extra ``fit`` is not installed."""
    try:
        import scipy.optimize  # noqa: F401
    except ImportError:
        raise JoulecastError(
            "fitting needs scipy, which is not installed: pip install 'joulecast[fit]'", reason="MissingDependency"
        ) from None
