"""``joulecast plan``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from joulecast.cli.generation import GenerationOptions
from joulecast.cli.language import LanguageSource, opened
from joulecast.cli.options import (
    Clocks,
    ModelRequest,
    NoColor,
    Output,
    PowerLimits,
    Runtime,
    TriesLimits,
    takes,
)
from joulecast.cli.output import OutputFormat, show, write_document
from joulecast.cli.planning import ObjectiveOptions, PlanRequest, require_known
from joulecast.cli.sites import SiteOptions, costs_document, lines, priced
from joulecast.workloads import DEFAULT_PRECISION

if TYPE_CHECKING:
    from joulecast.api.documents import Document
    from joulecast.layers import ModelProfile

EXAMPLES = (
    "Examples: `joulecast plan model.onnx` ·"
    " `joulecast plan model.onnx -a NVIDIA-H200 -a NVIDIA-L40S -b 1 -b 8 -b 32 --latency-milliseconds 20` ·"
    " `joulecast plan hf://Qwen/Qwen3-8B --requests-per-second 20 --inter-token-latency-milliseconds 50`"
    " `--today NVIDIA-H200,c=8`"
)

Accelerators = Annotated[
    list[str] | None,
    typer.Option(
        "--accelerator",
        "-a",
        help="Product name, as in `joulecast accelerators`; repeatable.",
        show_default="all with more behind them than a data sheet",
        rich_help_panel="Workload",
    ),
]
All = Annotated[
    bool,
    typer.Option("--all", help="Also accelerators known by their data sheet alone.", rich_help_panel="Workload"),
]
BatchSizes = Annotated[
    list[int] | None,
    typer.Option(
        "--batch-size",
        "-b",
        min=1,
        help="Samples in a batch; repeatable.",
        show_default="powers of two up to 128, where the model leaves it open",
        rich_help_panel="Workload",
    ),
]
Precisions = Annotated[
    list[str] | None,
    typer.Option(
        "--precision",
        "-p",
        help="What the arithmetic runs in: default, fp32, tf32, bf16, fp16; repeatable.",
        show_default=DEFAULT_PRECISION,
        rich_help_panel="Workload",
    ),
]
Top = Annotated[
    int, typer.Option("--top", min=0, help="Rows of the table; 0 for all candidates.", rich_help_panel="Output")
]


@takes(ModelRequest, GenerationOptions, ObjectiveOptions, SiteOptions)
def command(
    request: ModelRequest,
    generation: GenerationOptions,
    objective: ObjectiveOptions,
    place: SiteOptions,
    accelerator: Accelerators = None,
    every: All = False,
    batch_size: BatchSizes = None,
    precision: Precisions = None,
    runtime: Runtime = None,
    power_limit_watts: PowerLimits = None,
    clock_mhz: Clocks = None,
    tries_limits: TriesLimits = False,
    top: Top = 4,
    output: Output = OutputFormat.TABLE,
    no_color: NoColor = False,
) -> None:
    """Choose accelerator and setting for a model: the fewest joules within limits of time.

    Names no choice that the intervals do not tell from the others, but the measurement that would decide. Of a
    language model: accelerators, concurrencies and numbers of cards.
    """
    from joulecast.accelerators.catalogue import installed

    require_known(accelerator or [], runtime)
    site = place.found()
    asked = PlanRequest(
        model=request,
        generation=generation,
        objective=objective,
        accelerators=accelerator or (list(installed()) if every else []),
        batch_sizes=batch_size or [],
        precisions=precision or [DEFAULT_PRECISION],
        runtime=runtime,
        power_limits_watts=power_limit_watts or [],
        clocks_mhz=clock_mhz or [],
        tries_limits=tries_limits,
    )
    found = opened(request, generation.architecture)
    plan, profile = asked.of_language_model(found) if isinstance(found, LanguageSource) else asked.of_graph(found)
    costs = priced(
        site, ((str(each.setting), each.unit, each.joules, each.average_power_watts) for each in plan.candidates)
    )
    if output is OutputFormat.TABLE:
        from joulecast.cli.tables.plans import plan_tables

        tables = plan_tables(plan, request.source, top=top)
        show([*tables, *lines(site, costs[: top or None])], color=not no_color)
    else:
        from joulecast.planning.documents import candidate_row, plan_document

        document = plan_document(plan, model=_model(found, profile)) | costs_document(site, costs)
        write_document(document, output, [candidate_row(each) for each in plan.candidates])
    if not plan.candidates:
        raise typer.Exit(1)


def _model(found: object, profile: ModelProfile | None) -> Document | None:
    """Return which model is planned, as a document of forecasts tells it."""
    if profile is not None:
        from joulecast.api.documents import model_document

        return model_document(profile)
    if isinstance(found, LanguageSource):
        from joulecast.api.generation_documents import language_model_fields

        return language_model_fields(found.fetched, found.model)
    return None
