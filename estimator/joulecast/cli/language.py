"""From the options of a command to a language model, where the source is one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from joulecast.cli.fetching import fetch_model
from joulecast.cli.output import progress
from joulecast.readers.named import is_named, refuse_misspelt
from joulecast.sources.folders import is_configuration
from joulecast.workloads import DEFAULT_INPUT_TOKENS

if TYPE_CHECKING:
    from joulecast.blocks import LanguageModel
    from joulecast.cli.generation import GenerationOptions
    from joulecast.cli.options import ModelRequest
    from joulecast.layers import ModelProfile
    from joulecast.sources import FetchedModel


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageSource:
    """A language model and the facts that it was read from."""

    fetched: FetchedModel
    model: LanguageModel


def opened(request: ModelRequest, architecture: str | None = None) -> LanguageSource | FetchedModel | None:
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
        return LanguageSource(fetched=fetched, model=language_model(fetched, architecture=architecture))


def is_saved(source: str) -> bool:
    """Decide whether ``source`` is the file of a saved profile and not a model's configuration."""
    return source.endswith(".json") and Path(source).is_file() and not is_configuration(Path(source))


def refuse_generation(request: ModelRequest, options: GenerationOptions) -> None:
    """Raise a usage error where an option of generation was given for a model that is no language model."""
    given = [name for name in options.given if not (name == "--phase" and options.phase == "forward")]
    if given:
        raise typer.BadParameter(
            f"{request.source} is not a language model by its configuration, so it takes no {given[0]}: leave it out",
            param_hint=given[0],
        )


def forward_profiles(
    found: LanguageSource, batch_sizes: list[int] | None, tokens: int | None, *, default: int
) -> list[ModelProfile]:
    """Return one profile of a pass of the language model for each different batch size."""
    from joulecast.api.language_profiles import profile_language_model

    return [
        profile_language_model(found.fetched, found.model, batch_size=size, tokens=tokens or DEFAULT_INPUT_TOKENS)
        for size in dict.fromkeys(batch_sizes or [default])
    ]
