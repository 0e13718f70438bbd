"""From the options of a command to a language model, where the source is one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from joulecast.cli.fetching import fetch_model
from joulecast.cli.output import progress
from joulecast.errors import UnsupportedOperatorError
from joulecast.readers.named import is_named, refuse_misspelt
from joulecast.sources.folders import is_configuration
from joulecast.workloads import DEFAULT_INPUT_TOKENS, DEFAULT_PRECISION

if TYPE_CHECKING:
    from joulecast.blocks import LanguageModel
    from joulecast.cli.generation import GenerationOptions
    from joulecast.cli.options import ModelRequest
    from joulecast.energy.model import EnergyEstimate
    from joulecast.energy.profile import AcceleratorProfile
    from joulecast.layers import ModelProfile
    from joulecast.sources import FetchedModel


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageSource:
    """A language model and the facts that it was read from."""

    fetched: FetchedModel
    model: LanguageModel


@dataclass(frozen=True, slots=True, kw_only=True)
class TracedSource:
    """A language model that no entry reads, for ``error``, and whose class of transformers can be traced."""

    fetched: FetchedModel
    error: UnsupportedOperatorError


def opened(
    request: ModelRequest, architecture: str | None = None
) -> LanguageSource | TracedSource | FetchedModel | None:
    """Fetch the source, and read it if it is a language model. None for a saved profile and a network by name.

    Raises JoulecastError.
    """
    if is_named(request.source) or is_saved(request.source):
        return None
    from joulecast.api.language_models import is_language_model, language_model

    refuse_misspelt(request.source)
    with progress(f"reading {request.source}"):
        fetched = fetch_model(request)
        if not is_language_model(fetched):
            return fetched
        _refuse_options_of_graphs(request)
        try:
            return LanguageSource(fetched=fetched, model=language_model(fetched, architecture=architecture))
        except UnsupportedOperatorError as error:
            from joulecast.api.language_profiles import falls_back

            if architecture is not None or not falls_back(fetched, error):
                raise
            return TracedSource(fetched=fetched, error=error)


def _refuse_options_of_graphs(request: ModelRequest) -> None:
    """Raise a usage error where an option that only graphs have was given for a language model."""
    given = {"--input": request.input, "--value": request.value, "--graph": request.graph.value != "exported"}
    for option in (name for name, value in given.items() if value):
        raise typer.BadParameter(
            f"{request.source} is a language model, which has no {option}: leave it out, and give --input-tokens",
            param_hint=option,
        )


def is_saved(source: str) -> bool:
    """Decide whether ``source`` is the file of a saved profile and not a model's configuration."""
    return source.endswith(".json") and Path(source).is_file() and not is_configuration(Path(source))


def refuse_generation(request: ModelRequest, options: GenerationOptions) -> None:
    """Raise a usage error where an option of generation was given for a model that is no language model."""
    given = [name for name in options.given if not (name == "--phase" and options.phase == "forward")]
    if not given:
        return
    what = "a saved profile of one pass" if is_saved(request.source) else "not a language model by its configuration"
    way_out = ", or give the model itself" if is_saved(request.source) else ""
    raise typer.BadParameter(
        f"{request.source} is {what}, so it takes no {given[0]}: leave it out{way_out}", param_hint=given[0]
    )


def refuse_phases(found: TracedSource, options: GenerationOptions) -> None:
    """Raise a usage error where an option asks for generation of a model that is traced: it has one pass alone."""
    forward = {"--input-tokens", *(("--phase",) if options.phase == "forward" else ())}
    given = [name for name in options.given if name not in forward]
    if given:
        raise typer.BadParameter(
            f"no entry reads {found.fetched.reference}, and its class of transformers is traced for one pass as torch"
            f" runs it, which tells nothing of an engine's cache and batches: leave {given[0]} out",
            param_hint=given[0],
        )


def traced_profiles(
    found: TracedSource, batch_sizes: list[int] | None, tokens: int | None, *, default: int
) -> list[ModelProfile]:
    """Return one profile of a pass of the traced class for each different batch size."""
    from joulecast.api.language_profiles import traced_instead

    with progress(f"tracing the class of {found.fetched.reference}"):
        return [
            traced_instead(found.fetched, found.error, batch_size=size, tokens=tokens or DEFAULT_INPUT_TOKENS)
            for size in dict.fromkeys(batch_sizes or [default])
        ]


def forward_profiles(
    found: LanguageSource,
    batch_sizes: list[int] | None,
    tokens: int | None,
    *,
    default: int,
    precision: str = DEFAULT_PRECISION,
) -> list[ModelProfile]:
    """Return one profile of a pass of the language model in ``precision`` for each different batch size."""
    from joulecast.api.language_models import in_precision
    from joulecast.api.language_profiles import profile_language_model

    model = in_precision(found.model, precision)
    return [
        profile_language_model(found.fetched, model, batch_size=size, tokens=tokens or DEFAULT_INPUT_TOKENS)
        for size in dict.fromkeys(batch_sizes or [default])
    ]


def forward_estimates(
    profiled: Sequence[ModelProfile],
    accelerators: Sequence[AcceleratorProfile],
    *,
    precision: str,
    runtime: str,
    clock_mhz: float | None = None,
    degrees: Sequence[int] = (1,),
) -> list[EnergyEstimate]:
    """Return forecasts of passes that ``forward_profiles`` counted in ``precision``, on so many cards each."""
    from joulecast.api.language_profiles import price_forward

    return [
        price_forward(profile, accelerator, precision=precision, runtime=runtime, clock_mhz=clock_mhz, cards=cards)
        for accelerator in accelerators
        for cards in degrees
        for profile in profiled
    ]
