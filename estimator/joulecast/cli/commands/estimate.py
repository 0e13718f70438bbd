"""``joulecast estimate``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

import typer

from joulecast.api.documents import estimate_document, result_row
from joulecast.cli.generation import GenerationOptions, PhaseChoice, forecasts
from joulecast.cli.language import LanguageSource, forward_profiles, opened, refuse_generation
from joulecast.cli.models import profiles
from joulecast.cli.options import BatchSizes, ModelRequest, NoColor, Output, Precision, Runtime, Top, takes
from joulecast.cli.output import OutputFormat, show, write_document
from joulecast.serving.kernels import ENGINES
from joulecast.workloads import (
    DEFAULT_ACCELERATOR,
    DEFAULT_ENGINE,
    DEFAULT_PRECISION,
    DEFAULT_RUNTIME,
    FORECAST_BATCH_SIZE,
)

if TYPE_CHECKING:
    from joulecast.energy.profile import AcceleratorProfile
    from joulecast.layers import ModelProfile
    from joulecast.serving.requests import GenerationRequest

EXAMPLES = (
    "Examples: `joulecast estimate model.onnx` · `joulecast estimate model.onnx -a NVIDIA-L40S -b 1 -b 32 --explain` ·"
    " `joulecast estimate profile.json -a NVIDIA-B200 --precision bf16 -o json` ·"
    " `joulecast estimate hf://meta-llama/Llama-3.1-70B --concurrency 32 --tensor-parallel 4 -a NVIDIA-H200`"
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


@takes(ModelRequest, GenerationOptions)
def command(
    request: ModelRequest,
    generation: GenerationOptions,
    accelerator: Accelerators = None,
    batch_size: BatchSizes = None,
    precision: Precision = DEFAULT_PRECISION,
    runtime: Runtime = None,
    explain: Explain = False,
    top: Top = 10,
    output: Output = OutputFormat.TABLE,
    no_color: NoColor = False,
) -> None:
    """Forecast joules, seconds and watts, with an interval, on one or more accelerators.

    Of a model per batch; of a language model per request and per token, as an inference engine serves it.
    """
    accelerators = _accelerators(accelerator or [DEFAULT_ACCELERATOR], runtime)
    found = opened(request, generation.architecture)
    printed = Printed(explain=explain, top=top, output=output, color=not no_color)
    if not isinstance(found, LanguageSource):
        refuse_generation(request, generation)
        profiled = profiles(request, batch_size, fetched=found)
        printed.batches(profiled, accelerators, precision=precision, runtime=runtime or DEFAULT_RUNTIME)
        return
    phase = generation.phase or (PhaseChoice.REQUEST if found.model.generates else PhaseChoice.FORWARD)
    asked = {"precision": precision, "runtime": runtime or DEFAULT_ENGINE}
    if phase is PhaseChoice.FORWARD:
        profiled = forward_profiles(found, batch_size, generation.input_tokens, default=FORECAST_BATCH_SIZE)
        printed.batches(profiled, accelerators, **asked)
    elif batch_size:
        raise typer.BadParameter("generation runs requests at once: give --concurrency", param_hint="--batch-size")
    else:
        cached = replace(found, model=generation.cached(found.model))
        printed.generation(cached, generation.requests(phase), accelerators, **asked)


def _accelerators(names: Sequence[str], runtime: str | None) -> list[AcceleratorProfile]:
    """Return the accelerators of these names, before anything is fetched for them.

    The runtimes of engines are not those of a profile, which has its launch times.
    """
    from joulecast.accelerators.catalogue import accelerator_named

    needed = runtime if runtime and runtime not in ENGINES else DEFAULT_RUNTIME
    return [accelerator_named(name, needed) for name in names]


@dataclass(frozen=True, slots=True, kw_only=True)
class Printed:
    """How the command prints what it found."""

    explain: bool
    top: int
    output: OutputFormat
    color: bool

    def batches(
        self,
        profiled: Sequence[ModelProfile],
        accelerators: Sequence[AcceleratorProfile],
        *,
        precision: str,
        runtime: str,
    ) -> None:
        """Print forecasts of passes, one for each accelerator and batch size."""
        from joulecast.api.forecasting import estimate

        estimates = [estimate(profile, each, None, precision, runtime) for each in accelerators for profile in profiled]
        if self.output is OutputFormat.TABLE:
            from joulecast.cli.tables.estimates import estimate_tables

            show(estimate_tables(profiled[0], estimates, explain=self.explain, top=self.top), color=self.color)
            return
        document = estimate_document(estimates, model=profiled[0])
        rows = document["layers"] if self.explain else [result_row(each) for each in estimates]
        write_document(document, self.output, rows)

    def generation(
        self,
        found: LanguageSource,
        requests: Sequence[GenerationRequest],
        accelerators: Sequence[AcceleratorProfile],
        *,
        precision: str,
        runtime: str,
    ) -> None:
        """Print forecasts of generation, one for each accelerator and concurrency."""
        from joulecast.api.generation_documents import generation_document, generation_row

        estimates = forecasts(found.model, accelerators, requests, precision=precision, runtime=runtime)
        if self.output is OutputFormat.TABLE:
            from joulecast.cli.tables.generation import generation_tables

            show(generation_tables(found.fetched, found.model, estimates, explain=self.explain), color=self.color)
            return
        document = generation_document(estimates, fetched=found.fetched, model=found.model)
        rows = document["layers"] if self.explain else [generation_row(each) for each in estimates]
        write_document(document, self.output, rows)
