"""``joulecast compare``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from joulecast.api.documents import estimate_document, result_row
from joulecast.cli.generation import GenerationOptions, PhaseChoice, asked_phase, comparable
from joulecast.cli.language import LanguageSource, forward_estimates, forward_profiles, opened
from joulecast.cli.options import BatchSizes, ModelRequest, NoColor, Output, Precision, Runtime, graph_runtime, takes
from joulecast.cli.output import OutputFormat, show, write_document
from joulecast.errors import JoulecastError, NotCalibratedError
from joulecast.workloads import DEFAULT_ENGINE, DEFAULT_PRECISION, FORECAST_BATCH_SIZE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from joulecast.api.generation import GenerationEstimate
    from joulecast.energy.model import EnergyEstimate
    from joulecast.energy.profile import AcceleratorProfile
    from joulecast.layers import ModelProfile

EXAMPLES = (
    "Examples: `joulecast compare model.onnx` ·"
    " `joulecast compare model.onnx -a NVIDIA-H200 -a NVIDIA-L40S -b 1 -b 8 -b 32` ·"
    " `joulecast compare model.onnx --all -o csv` ·"
    " `joulecast compare hf://Qwen/Qwen3-8B -a NVIDIA-H200 -a NVIDIA-L40S -c 8 -c 64 --output-tokens 256`"
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


@takes(ModelRequest, GenerationOptions)
def command(
    request: ModelRequest,
    generation: GenerationOptions,
    accelerator: Accelerators = None,
    batch_size: BatchSizes = None,
    every: All = False,
    precision: Precision = DEFAULT_PRECISION,
    runtime: Runtime = None,
    output: Output = OutputFormat.TABLE,
    no_color: NoColor = False,
) -> None:
    """Compare accelerators and batch sizes for one model, the fewest joules per inference first.

    Of a language model: accelerators and concurrencies, the fewest joules per request first. Without -a: every
    accelerator that has more behind it than its data sheet.
    """
    found, unavailable = _found(accelerator or _candidates(every=every), runtime)
    if not found:
        raise next(iter(unavailable.values()))
    opened_as = opened(request, generation.architecture)
    printed = Printed(output=output, color=not no_color)
    if not isinstance(opened_as, LanguageSource):
        from joulecast.api.forecasting import estimate
        from joulecast.cli.models import passes

        profiled = passes(request, generation, batch_size, opened_as)
        estimates = _priced(
            found, unavailable, lambda each: [estimate(own, each, None, precision, runtime) for own in profiled]
        )
        printed.passes(profiled[0], estimates, unavailable)
        return
    phase = asked_phase(generation, opened_as.model, batch_size)
    asked = {"precision": precision, "runtime": runtime or DEFAULT_ENGINE}
    if phase is PhaseChoice.FORWARD:
        tokens = generation.input_tokens
        profiled = forward_profiles(opened_as, batch_size, tokens, default=FORECAST_BATCH_SIZE, precision=precision)
        cards = generation.tensor_parallel or 1
        estimates = _priced(found, unavailable, lambda each: forward_estimates(profiled, [each], cards=cards, **asked))
        printed.passes(profiled[0], estimates, unavailable)
        return
    served, missing = comparable(
        generation.cached(opened_as.model), found, generation.requests(phase), **asked, fetched=opened_as.fetched
    )
    printed.generation(opened_as, served, [*unavailable.items(), *missing])


@dataclass(frozen=True, slots=True, kw_only=True)
class Printed:
    """How the command prints what it found."""

    output: OutputFormat
    color: bool

    def passes(
        self, profile: ModelProfile, estimates: list[EnergyEstimate], unavailable: Mapping[str, JoulecastError]
    ) -> None:
        """Print forecasts of passes of the model of ``profile``, the fewest joules per inference first."""
        estimates.sort(key=lambda each: each.joules_per_batch / each.batch_size)
        if self.output is OutputFormat.TABLE:
            from joulecast.cli.tables.estimates import comparison_tables

            show(comparison_tables(profile, estimates, unavailable), color=self.color)
            return
        document = estimate_document(estimates, model=profile, unavailable=unavailable, with_layers=False)
        write_document(document, self.output, [result_row(each) for each in estimates])

    def generation(
        self,
        found: LanguageSource,
        estimates: Sequence[GenerationEstimate],
        unavailable: Sequence[tuple[str, JoulecastError]],
    ) -> None:
        """Print forecasts of generation in the order given."""
        from joulecast.api.generation_documents import generation_document, generation_row

        if self.output is OutputFormat.TABLE:
            from joulecast.cli.tables.generation import comparison_tables

            show(comparison_tables(found.fetched, found.model, estimates, unavailable), color=self.color)
            return
        document = generation_document(
            estimates, fetched=found.fetched, model=found.model, unavailable=unavailable, with_layers=False
        )
        write_document(document, self.output, [generation_row(each) for each in estimates])


def _candidates(*, every: bool) -> list[str]:
    """Return the accelerators known by more than a data sheet; all of them if asked or if there are no others."""
    from joulecast.accelerators.catalogue import installed

    backed = [name for name, accelerator in installed().items() if accelerator.origin != "datasheet"]
    return list(installed()) if every or not backed else backed


def _found(names: Sequence[str], runtime: str | None) -> tuple[list[AcceleratorProfile], dict[str, JoulecastError]]:
    """Return the accelerators of these names, and the errors of those that are known but not calibrated.

    Raises UnknownAcceleratorError.
    """
    from joulecast.accelerators.catalogue import accelerator_named

    found: list[AcceleratorProfile] = []
    unavailable: dict[str, JoulecastError] = {}
    for name in dict.fromkeys(names):
        try:
            found.append(accelerator_named(name, graph_runtime(runtime)))
        except NotCalibratedError as error:
            unavailable[name] = error
    return found, unavailable


def _priced(
    accelerators: Sequence[AcceleratorProfile],
    unavailable: dict[str, JoulecastError],
    price: Callable[[AcceleratorProfile], list[EnergyEstimate]],
) -> list[EnergyEstimate]:
    """Return every forecast that can be made.

    Adds the others to ``unavailable``, and raises its first if none can be made.
    """
    estimates: list[EnergyEstimate] = []
    for accelerator in accelerators:
        try:
            estimates += price(accelerator)
        except NotCalibratedError as error:
            unavailable[accelerator.product] = error
    if unavailable and not estimates:
        raise next(iter(unavailable.values()))
    return estimates
