"""Options of generation, and the forecasts that they ask for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from joulecast.cli.options import Architecture
from joulecast.serving.requests import DEGREES, GenerationRequest

if TYPE_CHECKING:
    from joulecast.api.generation import GenerationEstimate
    from joulecast.blocks import LanguageModel
    from joulecast.energy.profile import AcceleratorProfile
    from joulecast.sources import FetchedModel

_PANEL = "Generation (language models)"


class PhaseChoice(StrEnum):
    """What of a model runs."""

    FORWARD = "forward"
    PREFILL = "prefill"
    DECODE = "decode"
    REQUEST = "request"


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationOptions:
    """The workload of a language model: the options that only such a model takes."""

    phase: Annotated[
        PhaseChoice | None,
        typer.Option(
            help="forward: one pass. prefill: reading the input. decode: one output token. request: all of it.",
            show_default="request of a model that generates, else forward",
            rich_help_panel=_PANEL,
        ),
    ] = None
    input_tokens: Annotated[
        int | None,
        typer.Option(min=1, help="Tokens of an input.", show_default="512", rich_help_panel=_PANEL),
    ] = None
    output_tokens: Annotated[
        int | None,
        typer.Option(min=1, help="Tokens of an output.", show_default="128", rich_help_panel=_PANEL),
    ] = None
    concurrency: Annotated[
        list[int] | None,
        typer.Option(
            "--concurrency", "-c", min=1, help="Requests at once; repeatable.", show_default="1", rich_help_panel=_PANEL
        ),
    ] = None
    requests_per_second: Annotated[
        float | None, typer.Option(help="Rate of requests, in place of --concurrency.", rich_help_panel=_PANEL)
    ] = None
    cached_tokens: Annotated[
        int | None,
        typer.Option(min=0, help="Input tokens that a prefix cache holds.", show_default="0", rich_help_panel=_PANEL),
    ] = None
    tensor_parallel: Annotated[
        list[int] | None,
        typer.Option(
            "--tensor-parallel",
            "-tp",
            help=f"Cards that share the model: {', '.join(map(str, DEGREES))}; repeatable.",
            show_default="1",
            rich_help_panel=_PANEL,
        ),
    ] = None
    cache_precision: Annotated[
        str | None,
        typer.Option(
            help="Precision of cached keys and values: bf16, fp16, fp8.",
            show_default="as the files say, else that of activations",
            rich_help_panel=_PANEL,
        ),
    ] = None
    architecture: Architecture = None

    @property
    def given(self) -> tuple[str, ...]:
        """The options that were given, as written on the command line."""
        unsaid = {field.name: field.default for field in fields(self)}
        return tuple(
            f"--{name.replace('_', '-')}" for name, default in unsaid.items() if getattr(self, name) != default
        )

    def cached(self, model: LanguageModel) -> LanguageModel:
        """Return ``model`` with its cache in the precision asked for. Raises WorkloadError for an unknown one."""
        from joulecast.api.language_models import in_cache_precision

        return in_cache_precision(model, self.cache_precision or "default")

    @property
    def degrees(self) -> tuple[int, ...]:
        """The numbers of cards that share the model."""
        return tuple(dict.fromkeys(self.tensor_parallel or [1]))

    def requests(self, phase: PhaseChoice) -> list[GenerationRequest]:
        """Return a request for each number of cards and concurrency. Raises WorkloadError for what cannot be asked."""
        stated = self.stated | (
            {} if self.requests_per_second is None else {"requests_per_second": self.requests_per_second}
        )
        counts: Sequence[int | None] = self.concurrency or [None if "requests_per_second" in stated else 1]
        return [
            GenerationRequest(phase=phase.value, concurrency=count, tensor_parallel=degree, **stated)  # type: ignore[arg-type]
            for degree in self.degrees
            for count in counts
        ]

    @property
    def stated(self) -> dict[str, int]:
        """The tokens that were given, by field of ``GenerationRequest``."""
        names = ("input_tokens", "output_tokens", "cached_tokens")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}


_OF_A_PASS = ("--phase", "--input-tokens", "--tensor-parallel", "--architecture")
"""Options of a language model that one pass has too."""


def asked_phase(options: GenerationOptions, model: LanguageModel, batch_sizes: Sequence[int] | None) -> PhaseChoice:
    """Return what is forecast of ``model``. Raises a usage error for options that the phase does not have."""
    phase = options.phase or (PhaseChoice.REQUEST if model.generates else PhaseChoice.FORWARD)
    if phase is not PhaseChoice.FORWARD and batch_sizes:
        raise typer.BadParameter("generation runs requests at once: give --concurrency", param_hint="--batch-size")
    unused = [name for name in options.given if name not in _OF_A_PASS]
    if phase is PhaseChoice.FORWARD and unused:
        raise typer.BadParameter(
            f"{model.architecture} is forecast for one pass, which has batches (-b), --input-tokens and"
            f" --tensor-parallel: leave {unused[0]} out",
            param_hint=unused[0],
        )
    return phase


def forecasts(
    model: LanguageModel,
    accelerators: Sequence[AcceleratorProfile],
    requests: Sequence[GenerationRequest],
    *,
    precision: str,
    runtime: str,
    clock_mhz: float | None = None,
    fetched: FetchedModel | None = None,
) -> list[GenerationEstimate]:
    """Return one forecast for each accelerator and request. Raises what ``forecast_fetched`` raises."""
    from joulecast.api.generating import forecast_fetched

    return [
        forecast_fetched(
            fetched, model, accelerator, request, precision=precision, runtime=runtime, clock_mhz=clock_mhz
        )
        for accelerator in accelerators
        for request in requests
    ]
