"""``joulecast estimate``."""

from __future__ import annotations

from typing import Annotated

import typer

from joulecast.api.documents import estimate_document, result_row
from joulecast.cli.options import BatchSizes, ModelRequest, NoColor, Output, Precision, Runtime, Top, takes_model
from joulecast.cli.output import OutputFormat, show, write_document
from joulecast.workloads import DEFAULT_ACCELERATOR, DEFAULT_PRECISION, DEFAULT_RUNTIME

EXAMPLES = (
    "Examples: `joulecast estimate model.onnx` · `joulecast estimate model.onnx -a NVIDIA-L40S -b 1 -b 32 --explain` ·"
    " `joulecast estimate profile.json -a NVIDIA-B200 --precision bf16 -o json`"
)

Accelerators = Annotated[
    list[str] | None,
    typer.Option(
        "--accelerator",
        "-a",
        help="Product name, as in `joulecast accelerators`; repeatable.",
        show_default=DEFAULT_ACCELERATOR,
        rich_help_panel="Workload",
    ),
]
Explain = Annotated[
    bool,
    typer.Option(
        "--explain", help="Also show where the joules go; with -o csv a line per layer.", rich_help_panel="Output"
    ),
]


@takes_model
def command(
    request: ModelRequest,
    accelerator: Accelerators = None,
    batch_size: BatchSizes = None,
    precision: Precision = DEFAULT_PRECISION,
    runtime: Runtime = DEFAULT_RUNTIME,
    explain: Explain = False,
    top: Top = 10,
    output: Output = OutputFormat.TABLE,
    no_color: NoColor = False,
) -> None:
    """Forecast joules, seconds and watts per batch, with an interval, on one or more accelerators."""
    from joulecast.accelerators.catalogue import accelerator_named
    from joulecast.api.forecasting import estimate
    from joulecast.cli.models import profiles

    found = [accelerator_named(name, runtime) for name in accelerator or [DEFAULT_ACCELERATOR]]
    profiled = profiles(request, batch_size)
    estimates = [estimate(profile, each, None, precision, runtime) for each in found for profile in profiled]
    if output is OutputFormat.TABLE:
        from joulecast.cli.tables.estimates import estimate_tables

        show(estimate_tables(profiled[0], estimates, explain=explain, top=top), color=not no_color)
        return
    document = estimate_document(estimates, model=profiled[0])
    rows = document["layers"] if explain else [result_row(each) for each in estimates]
    write_document(document, output, rows)
