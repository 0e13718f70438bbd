"""``joulecast split``."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from joulecast.cli.fetching import fetch_model
from joulecast.cli.options import BatchSize, ModelRequest, NoColor, Output, Precision, Top, takes
from joulecast.cli.output import OutputFormat, progress, show, write_document
from joulecast.cli.workloads import parse
from joulecast.workloads import DEFAULT_PRECISION, DEFAULT_RUNTIME, FORECAST_BATCH_SIZE

EXAMPLES = (
    "Example: `joulecast split model.onnx --between NVIDIA-L4 --and NVIDIA-H100-80GB-HBM3 --link 1Gbit"
    " --link-joules-per-byte 1e-7`"
)

_PANEL = "Machines"
First = Annotated[str, typer.Option("--between", help="Accelerator where the inputs are.", rich_help_panel=_PANEL)]
Second = Annotated[str, typer.Option("--and", help="The other accelerator.", rich_help_panel=_PANEL)]
Rate = Annotated[str, typer.Option("--link", help="Rate of the link, as 100Mbit or 1Gbit.", rich_help_panel=_PANEL)]
PerByte = Annotated[
    float | None,
    typer.Option("--link-joules-per-byte", help="Of both ends and what lies between.", rich_help_panel=_PANEL),
]
Over = Annotated[
    str | None,
    typer.Option("--link-over", help="internet: joules per byte of a published mean.", rich_help_panel=_PANEL),
]
Delay = Annotated[
    float,
    typer.Option("--link-latency-milliseconds", min=0.0, help="Before the first byte.", rich_help_panel=_PANEL),
]
RuntimeOfGraph = Annotated[
    str,
    typer.Option(
        "--runtime", help="torch-eager, torch-cudagraph, onnxruntime-cuda, on both sides.", rich_help_panel="Workload"
    ),
]


@takes(ModelRequest)
def command(
    request: ModelRequest,
    between: First,
    other: Second,
    link: Rate,
    link_joules_per_byte: PerByte = None,
    link_over: Over = None,
    link_latency_milliseconds: Delay = 0.0,
    batch_size: BatchSize = None,
    precision: Precision = DEFAULT_PRECISION,
    runtime: RuntimeOfGraph = DEFAULT_RUNTIME,
    top: Top = 10,
    output: Output = OutputFormat.TABLE,
    no_color: NoColor = False,
) -> None:
    """Cut a graph between two machines: what both sides and the link spend at each layer boundary.

    The first machine has the inputs, the results stay where they are computed. The best cut by joules and the best by
    latency are marked.
    """
    from joulecast.accelerators.catalogue import accelerator_named
    from joulecast.planning.links import link_named
    from joulecast.planning.splits import cut_row, refuse_named, split_document, split_fetched

    joined = link_named(
        link, over=link_over, joules_per_byte=link_joules_per_byte, latency_seconds=link_latency_milliseconds / 1e3
    )
    machines = (accelerator_named(between, runtime), accelerator_named(other, runtime))
    refuse_named(request.source)
    workload = parse(request.input or [], request.value or [])
    workload = replace(workload, batch_size=batch_size, default_batch_size=FORECAST_BATCH_SIZE)
    with progress(f"cutting {request.source}"):
        fetched = fetch_model(request)
        found = split_fetched(
            fetched, workload, machines, joined, precision=precision, runtime=runtime, form=request.graph.value
        )
    if output is OutputFormat.TABLE:
        from joulecast.cli.tables.splits import split_tables

        show(split_tables(found, request.source, top=top), color=not no_color)
        return
    document = split_document(found, source=request.source)
    write_document(document, output, [cut_row(each) for each in found.cuts])
