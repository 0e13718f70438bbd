"""``joulecast estimate``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, TypedDict

import typer

from joulecast.api.documents import estimate_document, result_row
from joulecast.cli.generation import GenerationOptions, PhaseChoice, asked_phase, forecasts
from joulecast.cli.language import LanguageSource, forward_estimates, forward_profiles, opened
from joulecast.cli.models import passes
from joulecast.cli.options import (
    BatchSizes,
    Clock,
    ModelRequest,
    NoColor,
    Output,
    PowerLimit,
    Precision,
    Runtime,
    Top,
    takes,
)
from joulecast.cli.output import OutputFormat, show, write_document
from joulecast.cli.sites import SiteOptions, costs_document, lines, priced
from joulecast.energy.engines.intervals import refuse_limit
from joulecast.serving.kernels import graph_runtime
from joulecast.workloads import (
    DEFAULT_ACCELERATOR,
    DEFAULT_ENGINE,
    DEFAULT_PRECISION,
    FORECAST_BATCH_SIZE,
)

if TYPE_CHECKING:
    from joulecast.energy.model import EnergyEstimate
    from joulecast.energy.profile import AcceleratorProfile
    from joulecast.layers import ModelProfile
    from joulecast.serving.requests import GenerationRequest
    from joulecast.site import Site

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


class _Asked(TypedDict):
    precision: str
    runtime: str
    clock_mhz: float | None


@takes(ModelRequest, GenerationOptions, SiteOptions)
def command(
    request: ModelRequest,
    generation: GenerationOptions,
    place: SiteOptions,
    accelerator: Accelerators = None,
    batch_size: BatchSizes = None,
    precision: Precision = DEFAULT_PRECISION,
    runtime: Runtime = None,
    power_limit_watts: PowerLimit = None,
    clock_mhz: Clock = None,
    explain: Explain = False,
    top: Top = 10,
    output: Output = OutputFormat.TABLE,
    no_color: NoColor = False,
) -> None:
    """Forecast joules, seconds and watts, with an interval, on one or more accelerators.

    Of a model per batch; of a language model per request and per token, as an inference engine serves it.
    """
    accelerators, site = _accelerators(accelerator or [DEFAULT_ACCELERATOR], runtime), place.found()
    found = opened(request, generation.architecture)
    printed = Printed(explain=explain, top=top, output=output, color=not no_color, site=site)
    if not isinstance(found, LanguageSource):
        profiled = passes(request, generation, batch_size, found)
        from joulecast.api.forecasting import estimate

        each = [
            estimate(
                own,
                accelerator,
                None,
                precision,
                runtime,
                power_limit_watts=power_limit_watts,
                clock_mhz=clock_mhz,
            )
            for accelerator in accelerators
            for own in profiled
        ]
        printed.passes(profiled[0], each)
        return
    phase = asked_phase(generation, found.model, batch_size)
    engine = runtime or DEFAULT_ENGINE
    refuse_limit(engine, power_limit_watts)
    asked: _Asked = {"precision": precision, "runtime": engine, "clock_mhz": clock_mhz}
    if phase is PhaseChoice.FORWARD:
        tokens = generation.input_tokens
        profiled = forward_profiles(found, batch_size, tokens, default=FORECAST_BATCH_SIZE, precision=precision)
        degrees = generation.degrees
        printed.passes(profiled[0], forward_estimates(profiled, accelerators, degrees=degrees, **asked))
    else:
        cached = replace(found, model=generation.cached(found.model))
        printed.generation(cached, generation.requests(phase), accelerators, **asked)


def _accelerators(names: Sequence[str], runtime: str | None) -> list[AcceleratorProfile]:
    """Return the accelerators of these names, before anything is fetched for them."""
    from joulecast.accelerators.catalogue import accelerator_named

    return [accelerator_named(name, graph_runtime(runtime)) for name in names]


@dataclass(frozen=True, slots=True, kw_only=True)
class Printed:
    """How the command prints what it found."""

    explain: bool
    top: int
    output: OutputFormat
    color: bool
    site: Site | None

    def passes(self, profile: ModelProfile, estimates: Sequence[EnergyEstimate]) -> None:
        """Print forecasts of passes of the model of ``profile``."""
        costs = priced(
            self.site,
            (
                (
                    f"{each.accelerator}, batch size {each.batch_size}",
                    "inference",
                    each.joules_per_batch / each.batch_size,
                    each.average_power_watts,
                )
                for each in estimates
            ),
        )
        if self.output is OutputFormat.TABLE:
            from joulecast.cli.tables.estimates import estimate_tables

            tables = estimate_tables(profile, estimates, explain=self.explain, top=self.top)
            show([*tables, *lines(self.site, costs)], color=self.color)
            return
        document = estimate_document(estimates, model=profile) | costs_document(self.site, costs)
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
        clock_mhz: float | None,
    ) -> None:
        """Print forecasts of generation, one for each accelerator and concurrency."""
        from joulecast.api.generation_documents import generation_document, generation_row

        estimates = forecasts(
            found.model,
            accelerators,
            requests,
            precision=precision,
            runtime=runtime,
            clock_mhz=clock_mhz,
            fetched=found.fetched,
        )
        costs = priced(
            self.site,
            (
                (
                    f"{each.accelerator}, {each.concurrency} at once",
                    "request",
                    each.joules_per_request.value,
                    each.average_power_watts,
                )
                for each in estimates
            ),
        )
        if self.output is OutputFormat.TABLE:
            from joulecast.cli.tables.generation import generation_tables

            tables = generation_tables(found.fetched, found.model, estimates, explain=self.explain)
            show([*tables, *lines(self.site, costs)], color=self.color)
            return
        document = generation_document(estimates, fetched=found.fetched, model=found.model)
        document |= costs_document(self.site, costs)
        rows = document["layers"] if self.explain else [generation_row(each) for each in estimates]
        write_document(document, self.output, rows)
