"""The command ``joulecast evaluate``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from joulecast.api.documents import header
from joulecast.cli.output import OutputFormat, progress, write, write_document
from joulecast.errors import JoulecastError, MeasurementError

if TYPE_CHECKING:
    from joulecast_calibration.evaluate.evaluation import Evaluation

EXAMPLES = (
    "Examples: `joulecast evaluate --data measurements` · `joulecast evaluate --data measurements -o json` ·"
    " `joulecast evaluate --data measurements -o html > report.html`"
)

Measured = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="DIR",
        help="Folder of measured data sets, each a folder with a model_energy.csv or with journals of `joulecast"
        " measure` (*.jsonl); without it, data/measurements of the checkout.",
        exists=True,
        file_okay=False,
    ),
]
Page = Annotated[
    Path | None, typer.Option("--page", metavar="FILE", help="Also write the accuracy page there.", dir_okay=False)
]
Picture = Annotated[
    Path | None,
    typer.Option(
        "--picture", metavar="FILE", help="Also draw the median errors of every system there, as SVG.", dir_okay=False
    ),
]


class EvaluationFormat(StrEnum):
    """Output formats of the command."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"
    CSV = "csv"
    HTML = "html"


Output = Annotated[EvaluationFormat, typer.Option("--output", "-o", help="What to print.", case_sensitive=False)]


def command(
    data: Measured = None,
    page: Page = None,
    picture: Picture = None,
    output: Output = EvaluationFormat.TABLE,
) -> None:
    """Score forecasts of every system against networks that were measured.

    Each is forecast by a fit that never saw its architecture. Takes minutes.
    """
    require_fit()
    if output is EvaluationFormat.HTML or picture:
        from joulecast_calibration.plotting import pyplot

        pyplot()  # report a missing package before minutes of fitting, not after
    from joulecast_calibration.evaluate.protocol import evaluate

    folder = data or own_measurements()
    with progress(f"scoring {folder}"):
        found = evaluate(folder, measured_only=page is not None)
    _print(found, output)
    if page:
        from joulecast_calibration.evaluate.report.page import as_page

        page.write_text(as_page(found), "utf-8")
    if picture:
        from joulecast_calibration.evaluate.report.overview import overview

        picture.write_text(overview(found), "utf-8")
    if not (found.results or found.op_types or found.served.scores or found.timed.scores):
        raise MeasurementError(f"nothing in {folder} could be scored: correct what the lines above name")


def _print(found: Evaluation, output: EvaluationFormat) -> None:
    from joulecast_calibration.evaluate.report.tables import as_json, as_table

    if output is EvaluationFormat.TABLE:
        write(as_table(found))
    elif output is EvaluationFormat.HTML:
        from joulecast_calibration.evaluate.report.document import as_html

        write(as_html(found))
    else:
        document = header("evaluation") | json.loads(as_json(found))
        rows = [*document["results"], *_card_rows(document["cards"]), *_timed_and_served(document)]
        write_document(document, OutputFormat(output.value), rows)


def _card_rows(scores: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield scores of cards that were left out under the columns of the others, for CSV."""
    for each in scores:
        own = {name: value for name, value in each.items() if name not in ("card", "fitted_on", "bias")}
        task = f"{own.pop('quantity')}: {own.pop('part')}"
        yield own | {"split": "card left out", "task": task, "min_ape": None}


def _timed_and_served(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield scores of served models and of seconds alone under the columns of the others, for CSV."""
    for split, scores in (("served", document["served"]), ("seconds", document["timed"])):
        for each in scores:
            own = {name: value for name, value in each.items() if name not in ("figure", "part", "bias")}
            yield own | {"split": split, "task": f"{each['figure']}: {each['part']}", "min_ape": None}


def own_measurements() -> Path:
    """Return ``data/measurements`` of this checkout. Raises MeasurementError where it holds nothing to score."""
    root = Path(__file__).parents[3]  # estimator/joulecast_calibration/cli
    if not (root / "pyproject.toml").is_file():
        raise MeasurementError("this joulecast is installed, not a checkout: name measured data sets with --data DIR")
    folder = root / "data" / "measurements"
    if not any(True for name in ("model_energy.csv", "*.jsonl") for _ in folder.glob(f"*/{name}")):
        raise MeasurementError(
            "data/measurements holds no measured rows yet, neither a table of networks (model_energy.csv) nor journals"
            " (*.jsonl): name other data sets with --data DIR"
        )
    return folder


def require_fit() -> None:
    """Raise JoulecastError (MissingDependency) where the extra ``fit`` is not installed."""
    try:
        import scipy.optimize  # noqa: F401
        import sklearn.linear_model  # noqa: F401
    except ImportError as error:
        raise JoulecastError(
            f"fitting needs scikit-learn, which cannot be imported ({error}): pip install 'joulecast[fit]'",
            reason="MissingDependency",
        ) from None
