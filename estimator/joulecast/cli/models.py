"""From the options of a command to profiles: fetched once, counted per batch size."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from joulecast.api.documents import profile_from_document
from joulecast.api.profiling import ProfileRequest, profile_request
from joulecast.cli.fetching import fetch_model
from joulecast.cli.language import TracedSource, is_saved, refuse_generation, refuse_phases, traced_profiles
from joulecast.cli.options import ModelRequest
from joulecast.cli.output import progress
from joulecast.cli.workloads import parse
from joulecast.errors import ModelFormatError, WorkloadError
from joulecast.printable import printable
from joulecast.readers.named import current, is_named, refuse_misspelt, renamed
from joulecast.workloads import FORECAST_BATCH_SIZE, WorkloadRequest

if TYPE_CHECKING:
    from joulecast.cli.generation import GenerationOptions
    from joulecast.layers import ModelProfile
    from joulecast.sources import FetchedModel

_REMEDY = "make one with `joulecast profile MODEL -o json`"

_UNSAID = {field.name: field.default for field in fields(ModelRequest)}
"""What each option is when it is not given."""

_OF_FETCHING = (
    "--value", "--path", "--graph", "--platform", "--verify", "--budget-bytes", "--budget-seconds",
    "--insecure-registry", "--permit-host", "--mirror", "--ca-file",
)  # fmt: skip
"""Options of models that are files or images."""


def passes(
    request: ModelRequest,
    generation: GenerationOptions,
    batch_sizes: list[int] | None,
    opened: TracedSource | FetchedModel | None,
    *,
    default: int = FORECAST_BATCH_SIZE,
) -> list[ModelProfile]:
    """Return profiles of a source that no engine serves. Raises usage errors for options of generation.

    ``default``: the batch size where neither ``batch_sizes`` nor the model says one.
    """
    if isinstance(opened, TracedSource):
        refuse_phases(opened, generation)
        return traced_profiles(opened, batch_sizes, generation.input_tokens, default=default)
    refuse_generation(request, generation)
    return profiles(request, batch_sizes, default=default, fetched=opened)


def profiles(
    request: ModelRequest,
    batch_sizes: Sequence[int] | None,
    *,
    default: int = FORECAST_BATCH_SIZE,
    fetched: FetchedModel | None = None,
) -> list[ModelProfile]:
    """Return one profile for each different batch size.

    Where no batch size is given, the shapes or the model decide it, else it is ``default``.

    ``fetched``: the source, where it was fetched already. A saved profile answers for its own batch size alone.

    Raises JoulecastError, and usage errors for malformed options.
    """
    if is_saved(request.source):
        _refuse(request, ("--input", "--value", "--path", "--verify", "--graph"), "is a saved profile")
        return [_saved(Path(request.source), batch_sizes)]
    asked = replace(parse(request.input or [], request.value or []), default_batch_size=default)
    sizes: Sequence[int | None] = batch_sizes or [None]
    workloads = [replace(asked, batch_size=size) for size in dict.fromkeys(sizes)]
    return _profiled(request, workloads, fetched)


def _profiled(
    request: ModelRequest, workloads: Sequence[WorkloadRequest], fetched: FetchedModel | None
) -> list[ModelProfile]:
    if is_named(request.source):
        request = replace(request, source=_current(request.source))
        _refuse(request, _OF_FETCHING, "is built by an installed library")
        with progress(f"tracing {request.source}"):
            return [profile_request(ProfileRequest(source=request.source, workload=each)) for each in workloads]
    if fetched is None:
        refuse_misspelt(request.source)
        with progress(f"reading {request.source}"):
            fetched = fetch_model(request)
    with progress(f"counting {request.source}"):
        return [
            profile_request(ProfileRequest(source=fetched, workload=each, graph=request.graph.value))
            for each in workloads
        ]


def _current(source: str) -> str:
    """Return a named source as it is written now, and say so on standard error if that differs."""
    notice = renamed(source)
    if notice is not None:
        sys.stderr.write(f"notice: {printable(notice)}\n")
    return current(source)


def _refuse(request: ModelRequest, options: Sequence[str], why: str) -> None:
    """Raise a usage error for options that would change a source that cannot be changed."""
    for option in options:
        name = option.removeprefix("--").replace("-", "_")
        if getattr(request, name) != _UNSAID[name]:
            raise typer.BadParameter(
                f"{request.source} {why}: leave {option} out, or give the model's file or image", param_hint=option
            )


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON value")


def _saved(path: Path, batch_sizes: Sequence[int] | None) -> ModelProfile:
    try:
        document = json.loads(path.read_text("utf-8"), parse_constant=_refuse_constant)
    except (OSError, ValueError, RecursionError) as error:
        raise ModelFormatError(f"{path} is not a JSON document ({error}): {_REMEDY}") from None
    if not isinstance(document, dict):
        raise ModelFormatError(f"{path} does not hold a profile: {_REMEDY}")
    saved = profile_from_document(document)
    own = saved.workload.batch_size
    if any(size != own for size in batch_sizes or []):
        raise WorkloadError(f"{path} was profiled for batch size {own}: leave -b out, or give the model itself")
    return saved
