"""From the options of a command to profiles: fetched once, counted per batch size."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from joulecast.cli.fetching import fetch_model
from joulecast.cli.options import GraphChoice
from joulecast.cli.output import progress
from joulecast.cli.workloads import WorkloadPattern, parse
from joulecast.documents import profile_from_document
from joulecast.errors import ModelFormatError, WorkloadError
from joulecast.forecast import DEFAULT_BATCH_SIZE
from joulecast.profiling import default_batch_size, profile

if TYPE_CHECKING:
    from joulecast.cli.options import ModelRequest
    from joulecast.layers import ModelProfile

_REMEDY = "make one with `joulecast profile MODEL -o json`"


def profiles(
    request: ModelRequest, batch_sizes: Sequence[int] | None, *, default: int = DEFAULT_BATCH_SIZE
) -> list[ModelProfile]:
    """One profile per batch size (``default`` unless said), each once.

    A saved profile answers for its own batch size alone. Raises JoulecastError, and usage errors for malformed options.
    """
    if _is_saved(request.source):
        _refuse_options(request)
        return [_saved(Path(request.source), batch_sizes)]
    pattern = parse(request.input or [], request.value or [])
    sizes = batch_sizes or [default_batch_size(pattern.input_shapes(default), default)]
    return _profiled(request, pattern, list(dict.fromkeys(sizes)))


def _profiled(request: ModelRequest, pattern: WorkloadPattern, batch_sizes: Sequence[int]) -> list[ModelProfile]:
    with progress(f"reading {request.source}"):
        fetched = fetch_model(request)
    with progress(f"counting {request.source}"):
        return [
            profile(
                fetched,
                batch_size=batch_size,
                input_shapes=pattern.input_shapes(batch_size),
                input_values=pattern.values,
                graph=request.graph.value,
            )
            for batch_size in batch_sizes
        ]


def _is_saved(source: str) -> bool:
    return source.endswith(".json") and Path(source).is_file()


def _refuse_options(request: ModelRequest) -> None:
    """A saved profile has its workload and its model: options that would change them contradict it."""
    given = {
        "--input": request.input,
        "--value": request.value,
        "--path": request.path,
        "--verify": request.verify,
        "--graph": request.graph is not GraphChoice.EXPORTED,
    }
    for option, value in given.items():
        if value:
            raise typer.BadParameter(
                f"{request.source} is a saved profile: leave {option} out, or give the model itself", param_hint=option
            )


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON value")


def _saved(path: Path, batch_sizes: Sequence[int] | None) -> ModelProfile:
    try:
        document = json.loads(path.read_text("utf-8"), parse_constant=_refuse_constant)
    except (OSError, ValueError, RecursionError) as error:
        raise ModelFormatError(f"{path} is not a JSON document ({error}): {_REMEDY}") from None
    if not isinstance(document, dict):
        raise ModelFormatError(f"{path} holds no profile: {_REMEDY}")
    saved = profile_from_document(document)
    own = saved.workload.batch_size
    if any(size != own for size in batch_sizes or []):
        raise WorkloadError(f"{path} was profiled for batch size {own}: leave -b out, or give the model itself")
    return saved
